"""Schemathesis, knowing the OpenAPI document alone, finds nothing wrong with the emulator."""

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
from gauntlet.conduct import KEY, Conduct
from gauntlet.mutants import MUTANTS
from gauntlet.server import serving
from support.process import environment, running

pytestmark = pytest.mark.slow
PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    output: str
    # The phases that ran, with their verdicts.
    phases: dict[str, str]


def examined(base_url: str, folder: Path, *, examples: int) -> Outcome:
    """Let Schemathesis look at a server, in all of its phases."""
    report = folder / "events.ndjson"
    options = [
        f"--url={base_url}",
        f"--header=Authorization: Bearer {KEY}",
        f"--max-examples={examples}",
        "--seed=1",
        "--generation-database=none",
        "--report=ndjson",
        f"--report-ndjson-path={report}",
    ]
    with as_file(files("apixo_schemas") / "v1" / "openapi.json") as document:
        done = subprocess.run(
            [Path(sys.executable).parent / "schemathesis", "run", document, *options],
            cwd=folder,
            env=environment(HOME=str(folder)),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    events = [json.loads(line) for line in report.read_text().splitlines()]
    return Outcome(done.returncode, done.stdout + done.stderr, _phases(events))


def _phases(events: list[dict[str, Any]]) -> dict[str, str]:
    ended = [event["PhaseFinished"] for event in events if "PhaseFinished" in event]
    return {phase["phase"]["name"]: phase["status"] for phase in ended}


def test_the_emulator_in_all_phases(tmp_path: Path) -> None:
    with running("--ephemeral", "--api-key", KEY, cwd=tmp_path) as emulator:
        found = examined(emulator.base_url, tmp_path, examples=100)
    assert found.code == 0, found.output
    assert [found.phases.get(name) for name in PHASES] == ["success"] * 4, found.phases


def test_an_independent_server_of_the_same_page(tmp_path: Path) -> None:
    with serving(Conduct(1)) as base_url:
        found = examined(base_url, tmp_path, examples=20)
    assert found.code == 0, found.output


@pytest.mark.parametrize("name", ["errors: FastAPI's shape", "auth: no key needed"])
def test_it_would_notice(name: str, tmp_path: Path) -> None:
    with serving(MUTANTS[name].conduct(1)) as base_url:
        found = examined(base_url, tmp_path, examples=20)
    assert found.code == 1, found.output
