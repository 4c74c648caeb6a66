"""A PgBouncer in transaction pooling mode before a test's PostgreSQL; run as a program it installs one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from urllib.parse import quote

ADVICE = (
    "these tests need PgBouncer, and there is none on PATH or in /usr/sbin: install Debian's package"
    " (apt-get install pgbouncer)"
)
_STARTS_S = 20


def found() -> str | None:
    """The path of PgBouncer, None if there is none."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pooled(socket_path: str, database: str = "postgres") -> Iterator[str]:
    """Give a URL at which a PgBouncer shares four connections to a server among all clients.

    Args:
        socket_path: The Unix socket of the server.
        database: The database.
    """
    program = found()
    assert program is not None, ADVICE
    server = Path(socket_path).parent
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        port = _free_port()
        (folder / "users").write_text('"postgres" ""\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n{database} = host={server} user=postgres\n"
            "[pgbouncer]\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 4\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"logfile = {folder}/log\nmax_client_conn = 200\n"
        )
        owner = server.stat().st_uid
        # It refuses to run as root, and has to reach the server's socket.
        user = ["-u", _name_of(owner)] if os.geteuid() == 0 else []
        for path in (folder, folder / "pgbouncer.ini", folder / "users"):
            if os.geteuid() == 0:
                os.chown(path, owner, -1)
        process = subprocess.Popen([program, "-q", *user, str(folder / "pgbouncer.ini")])
        try:
            _wait_for(port, process)
            yield f"postgresql://postgres@127.0.0.1:{port}/{quote(database)}"
        finally:
            process.terminate()
            process.wait(_STARTS_S)


def _name_of(uid: int) -> str:
    import pwd

    name = pwd.getpwuid(uid).pw_name
    return "nobody" if name == "root" else name


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + _STARTS_S
    while monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
    raise AssertionError(f"PgBouncer did not start: exit code {process.poll()}")


def install() -> int:
    """Install Debian's package where there is none."""
    apt = shutil.which("apt-get")
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not found() and apt:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update", "-qq"], ["install", "-qq", "-y", "pgbouncer"]):
            subprocess.run([*sudo, apt, *arguments], env=quiet, check=False)
    if found():
        return 0
    sys.stderr.write(f"{ADVICE}\n")
    return 1


if __name__ == "__main__":
    sys.exit(install())
