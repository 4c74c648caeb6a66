"""What a call in process costs beside the static routes of respx and responses, and a fixture.

    python benchmarks/in_process.py

Times are of the processor, as nothing here waits; medians, and the routes that are compared take
turns, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import requests
import responses
import respx

import apixo_emulator
from apixo_emulator.testing import InProcess
from apixo_emulator.testing.interception import Setup, open_session

API = "https://api.apixo.ai/api/v1"
BALANCE = f"{API}/apikeys/current-balance"
MOCKED = "https://mocked.test/api/v1/apikeys/current-balance"
HEADERS = {"Authorization": "Bearer k"}
ANSWER = {"code": 200, "message": "success", "data": 100.0}
BODY = {"input": {"image_urls": ["https://example.com/in.jpg"], "resolution": "2k"}}
ROUNDS = 400
TESTS = 1000
FIXTURE_ROUNDS = 200
RUNS = 5
COLLECTIONS = 40


def microseconds(work: Callable[[], object]) -> float:
    """Time one run."""
    began = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - began) / 1000


def in_turns(*works: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Return the median of each, run in turns after a warm-up."""
    for work in works:
        work()
    times = [[microseconds(work) for work in works] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def calls_of_httpx() -> tuple[float, float]:
    """Compare a call with respx' own static route."""
    with respx.mock, apixo_emulator.intercept(), httpx.Client(headers=HEADERS) as client:
        respx.get(MOCKED).respond(json=ANSWER)
        static, ours = in_turns(lambda: client.get(MOCKED), lambda: client.get(BALANCE))
    return static, ours


def calls_of_requests() -> tuple[float, float]:
    """Compare a call with a static route of responses."""
    with (
        responses.RequestsMock() as mock,
        apixo_emulator.intercept(),
        requests.Session() as session,
    ):
        session.headers.update(HEADERS)
        mock.get(MOCKED, json=ANSWER)
        static, ours = in_turns(
            lambda: session.get(MOCKED, timeout=5), lambda: session.get(BALANCE, timeout=5)
        )
    return static, ours


def cycle(client: httpx.Client, emulator: InProcess) -> None:
    """Submit, see the success, fetch the result: a JPG of the 2k tier."""
    submitted = client.post(f"{API}/generateTask/image-upscaler", json=BODY).json()
    emulator.advance(seconds=41)
    query = {"taskId": submitted["data"]["taskId"]}
    done = client.get(f"{API}/statusTask/image-upscaler", params=query).json()
    (url,) = json.loads(done["data"]["resultJson"])["resultUrls"]
    client.get(url).raise_for_status()


def whole_cycle() -> tuple[float, float]:
    """Return the first cycle, which draws the picture, and the median of those after it."""
    with apixo_emulator.intercept() as emulator, httpx.Client(headers=HEADERS) as client:
        first = microseconds(lambda: cycle(client, emulator))
        (median,) = in_turns(lambda: cycle(client, emulator))
    return first, median


def fixture() -> float:
    """Return what the fixture does for a test before and after it."""
    emulator = InProcess(Setup.of(patch_sleep=True))

    def once() -> None:
        emulator.reset()
        with open_session(emulator):
            pass

    (median,) = in_turns(once, rounds=FIXTURE_ROUNDS)
    emulator.close()
    return median


def suite(folder: Path, parameter: str) -> float:
    """Return the seconds that a suite of empty tests takes."""
    text = "import httpx, requests, pytest\n"
    text += f"@pytest.mark.parametrize('n', range({TESTS}))\ndef test_it(n{parameter}): ...\n"
    (folder / "test_suite.py").write_text(text, "utf-8")
    return run(folder)


def run(folder: Path, *options: str) -> float:
    """Return the seconds of the quickest of several runs of pytest."""
    return min(once(folder, *options) for _ in range(RUNS))


def once(folder: Path, *options: str) -> float:
    """Return the seconds that one run of pytest takes."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    # Only pytest itself and the plugin under measurement.
    command += ["-p", "no:randomly", "-p", "no:xdist", "-p", "no:asyncio", "-p", "no:anyio"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def collection(folder: Path) -> list[float]:
    """Return the quartiles of what collecting nothing costs more with the plugin, in ms.

    Each run is compared with the one beside it: the machine drifts by more than the plugin costs.
    """
    plain = ("--collect-only", "-p", "no:apixo")
    pairs = range(COLLECTIONS)
    costs = [once(folder, "--collect-only") - once(folder, *plain) for _ in pairs]
    return [cost * 1000 for cost in statistics.quantiles(costs)]


def main() -> None:
    """Measure and print."""
    static, ours = calls_of_httpx()
    print(f"httpx:    respx' static route {static:6.0f} µs, a call in process {ours:6.0f} µs")
    static, ours = calls_of_requests()
    print(f"requests: responses' route    {static:6.0f} µs, a call in process {ours:6.0f} µs")
    first, median = whole_cycle()
    print(
        f"submit, success, result: {median:.0f} µs; the first, which draws: {first / 1000:.0f} ms"
    )
    print(f"fixture, before and after a test: {fixture():.0f} µs")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        added = suite(folder, ", apixo") - suite(folder, "")
        print(f"{TESTS} tests using the fixture add {added:.2f} s")
        (folder / "test_suite.py").unlink()
        low, median, high = collection(folder)
        print(f"the plugin adds {median:.1f} ms to collecting nothing ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
