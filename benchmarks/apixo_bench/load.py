"""Load on a server: by wrk where it is installed, else by the bundled generator."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from apixo_bench import cores
from apixo_bench.servers import BODY, HEADERS, STATUS, SUBMIT, CannotRunError

CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the load."""

    method: str
    path: str
    body: str = ""

    def wire(self, host: str) -> bytes:
        """Write it as HTTP/1.1."""
        headers = {"Host": host, **HEADERS}
        if self.body:
            headers["Content-Length"] = str(len(self.body.encode()))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{lines}\r\n{self.body}".encode()


def polls(task_ids: Sequence[str]) -> list[Request]:
    """Poll these tasks in turn."""
    return [Request("GET", f"{STATUS}?taskId={task_id}") for task_id in task_ids]


def submits() -> list[Request]:
    """Submit the page's own example, again and again."""
    return [Request("POST", SUBMIT, BODY)]


@dataclass(frozen=True, slots=True)
class Result:
    """What a load came to: answers a second, their times in ms, and those that were no 200."""

    rps: float
    p50_ms: float
    p99_ms: float
    answers: int
    errors: int


# Requests are written once, before the load: what is left of wrk's script is a table's next entry.
_SCRIPT = """
local asked = {requests}
local written, next = {{}}, 0
init = function()
  for i, r in ipairs(asked) do written[i] = wrk.format(r[1], r[2], {headers}, r[3]) end
end
request = function() next = next % #written + 1; return written[next] end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n{{"rps": %f, "p50_ms": %f, "p99_ms": %f, "answers": %d, "errors": %d}}',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def generator() -> str:
    """Name what makes the load."""
    return "wrk" if shutil.which("wrk") else "bundled (benchmarks/apixo_bench/loader.py)"


def run(
    port: int,
    requests: Sequence[Request],
    *,
    seconds: float,
    connections: int = CONNECTIONS,
    bundled: bool = False,
) -> Result:
    """Load a server on this machine from the load's core.

    Raises:
        CannotRunError: The generator failed, or got no answer at all.
    """
    with tempfile.TemporaryDirectory(prefix="apixo-bench-") as folder:
        if shutil.which("wrk") and not bundled:
            command = _wrk(Path(folder), port, requests, seconds, connections)
        else:
            command = _bundled(Path(folder), port, requests, seconds, connections)
        with cores.on(cores.LOAD):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        result = Result(**json.loads(done.stdout.strip().rpartition("\n")[2]))
    except (ValueError, TypeError) as error:
        raise CannotRunError(f"the load failed: {done.stdout}{done.stderr}"[-600:]) from error
    if not result.answers:
        raise CannotRunError("the load got no answer")
    return result


def _wrk(
    folder: Path, port: int, requests: Sequence[Request], seconds: float, connections: int
) -> list[str]:
    asked = ", ".join(
        f"{{{json.dumps(entry.method)}, {json.dumps(entry.path)}, {json.dumps(entry.body) if entry.body else 'nil'}}}"
        for entry in requests
    )
    headers = ", ".join(f"[{json.dumps(n)}]={json.dumps(v)}" for n, v in HEADERS.items())
    script = folder / "load.lua"
    script.write_text(_SCRIPT.format(requests=f"{{{asked}}}", headers=f"{{{headers}}}"), "utf-8")
    whole = max(1, round(seconds))
    options = ["-t1", f"-c{connections}", f"-d{whole}s", "-s", str(script)]
    return ["wrk", *options, f"http://127.0.0.1:{port}/"]


def _bundled(
    folder: Path, port: int, requests: Sequence[Request], seconds: float, connections: int
) -> list[str]:
    order = folder / "requests.json"
    order.write_text(json.dumps([asdict(entry) for entry in requests]), "utf-8")
    options = ["--port", str(port), "--seconds", str(seconds), "--connections", str(connections)]
    return [sys.executable, "-m", "apixo_bench.loader", *options, str(order)]
