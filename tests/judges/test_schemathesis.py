"""Schemathesis, knowing the OpenAPI document alone, finds nothing wrong with the emulator."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gauntlet.conduct import KEY
from gauntlet.mutants import MUTANTS
from gauntlet.server import serving
from support.process import environment, running

from apixo_schemas import document, openapi_document

pytestmark = pytest.mark.slow
PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    output: str
    # The phases that ran, with their verdicts.
    phases: dict[str, str]


def examined(base_url: str, folder: Path, *, examples: int) -> Outcome:
    """Let Schemathesis look at a server of the API, in all of its phases."""
    found = openapi_document()
    # The rules instead of the types: they say of every body whether it is accepted.
    found["components"]["schemas"]["SubmitRequest"] = document("submit-request.json")
    path = folder / "openapi.json"
    path.write_text(json.dumps(found))
    return _run(folder, path, f"--url={base_url}", f"--max-examples={examples}")


def _run(folder: Path, source: Path | str, *more: str) -> Outcome:
    report = folder / "events.ndjson"
    options = [
        f"--header=Authorization: Bearer {KEY}",
        "--seed=1",
        "--generation-database=none",
        "--report=ndjson",
        f"--report-ndjson-path={report}",
    ]
    done = subprocess.run(
        [Path(sys.executable).parent / "schemathesis", "run", source, *more, *options],
        cwd=folder,
        env=environment(HOME=str(folder)),
        capture_output=True,
        text=True,
        timeout=180,
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


def test_the_control_api_takes_every_request_that_its_document_allows(tmp_path: Path) -> None:
    with running("--ephemeral", cwd=tmp_path) as emulator:
        url = f"{emulator.origin}/_emulator/openapi.json"
        # The stream of events has no end.
        options = ("--exclude-operation-id=streamEvents", "--phases=coverage,fuzzing")
        found = _run(tmp_path, url, "--max-examples=10", *options)
    assert found.code == 0, found.output
    assert [found.phases[name] for name in ("coverage", "fuzzing")] == ["success"] * 2


def test_it_would_notice_an_error_of_another_shape(tmp_path: Path) -> None:
    with serving(MUTANTS["errors: FastAPI's shape"].conduct(1)) as base_url:
        found = examined(base_url, tmp_path, examples=20)
    assert found.code == 1, found.output
