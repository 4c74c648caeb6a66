"""The files for containers and for GitHub, checked by what needs neither."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
import yaml
from support.process import environment

from apixo_emulator.cli import main
from apixo_emulator.config_file import load_settings
from apixo_emulator.settings import OPTIONS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_every_service_that_is_waited_for_has_a_health_check(compose: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    for service in compose["services"].values():
        for name in service.get("depends_on", {}):
            awaited = compose["services"][name]
            assert "healthcheck" in awaited or ("build" in awaited and "HEALTHCHECK" in dockerfile)


def test_the_emulators_start_with_options_that_exist(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("emulator-1", "emulator-2"):
        service = compose["services"][name]
        command, *arguments = service["command"]
        serve = main.commands[command]
        environment = service["environment"]
        with click.Context(serve) as context:
            context.auto_envvar_prefix = None
            serve.parse_args(context, list(arguments))
        values = {key: value for key, value in context.params.items() if value}
        known = {variable for option in OPTIONS.values() for variable in option.variables}
        assert set(environment) <= known
        assert load_settings(values, environ=environment, folder=tmp_path).workers == 2


def test_named_volumes_and_mounted_files_exist(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (
                (ROOT / source).is_file()
                if source.startswith(".")
                else source in compose["volumes"]
            )


def test_the_balancer_names_the_emulators_of_the_compose_file(compose: dict[str, Any]) -> None:
    config = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
    for name in compose["services"]:
        assert (f"server {name}:8787;" in config) == name.startswith("emulator-")


def started_in_a_job(folder: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    """Run what action.yml runs after the installation."""
    env = environment(
        ARGS=arguments,
        PORT="0",
        WAIT="30",
        SET_ENV="true",
        APIXO_EMULATOR_BIN=str(Path(sys.executable).parent),
        RUNNER_TEMP=str(folder),
        GITHUB_OUTPUT=str(folder / "output"),
        GITHUB_ENV=str(folder / "env"),
    )
    script = ROOT / "deploy" / "start-in-job.sh"
    return subprocess.run(
        ["bash", script],  # noqa: S607 - as the action does
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.slow
def test_the_action_starts_an_emulator_and_tells_the_next_steps_where_it_is(tmp_path: Path) -> None:
    done = started_in_a_job(tmp_path, "--latency 0 --seed 1")
    assert done.returncode == 0, done.stdout + done.stderr
    process = int(done.stdout.rpartition("process ")[2].partition(")")[0])
    try:
        lines = (tmp_path / "output").read_text() + (tmp_path / "env").read_text()
        told = dict(line.split("=", 1) for line in lines.splitlines())
        assert httpx.get(told["dashboard"]).is_success
        assert told["url"] == told["APIXO_BASE_URL"]
        key = {"Authorization": f"Bearer {told['APIXO_API_KEY']}"}
        assert httpx.get(f"{told['url']}/apikeys/current-balance", headers=key).is_success
    finally:
        os.kill(process, signal.SIGTERM)


@pytest.mark.slow
def test_the_action_fails_with_the_words_of_an_emulator_that_cannot_start(tmp_path: Path) -> None:
    done = started_in_a_job(tmp_path, "--latncy 0")
    assert done.returncode == 1
    assert "::error::The emulator has ended at its start:" in done.stdout
    assert "Did you mean --latency?" in done.stdout
