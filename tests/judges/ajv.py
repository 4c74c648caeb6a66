"""ajv and ajv-errors in one Node.js process, asked one body at a time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.nodejs import NODE, packages

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Judgement:
    valid: bool
    message: str | None


@dataclass
class Judge:
    """The schema, compiled by ajv."""

    _process: subprocess.Popen[str]

    def judge(self, body: Any) -> Judgement:
        """Say whether a body is valid, and give the first message if it is not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(body) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "node has ended; its words are above"
        return Judgement(**json.loads(line))


@contextmanager
def judging(schema: Path) -> Iterator[Judge]:
    """Start the process; it ends with its input."""
    command = [NODE, _HERE / "judge.mjs", schema, packages()]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        yield Judge(process)
