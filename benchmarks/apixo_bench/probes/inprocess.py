"""Time calls that are answered within this process; tells by JSON the median µs of each kind.

Run: python -m apixo_bench.probes.inprocess NAME
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from apixo_bench.servers import BODY, HEADERS, STATUS, SUBMIT

LIVE = "https://api.apixo.ai"
TASK_ID = "0123456789abcdef0123456789abcdef"
ANSWER = {
    "code": 200,
    "message": "success",
    "data": {"taskId": TASK_ID, "state": "processing", "createTime": 1767965610929},
}
_BATCHES, _CALLS = 20, 50
Call = Callable[[str, str, str | None], Any]


@contextmanager
def httpx_alone() -> Iterator[Call]:
    """The floor: httpx without a network."""
    import httpx

    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json=ANSWER))
    with httpx.Client(transport=transport, headers=HEADERS) as client:
        yield lambda method, url, body: client.request(method, url, content=body).json()


@contextmanager
def respx_static() -> Iterator[Call]:
    """Two static routes."""
    import httpx
    import respx

    with respx.mock:
        respx.get(url__startswith=LIVE + STATUS).respond(json=ANSWER)
        respx.post(LIVE + SUBMIT).respond(json=ANSWER)
        with httpx.Client(headers=HEADERS) as client:
            yield lambda method, url, body: client.request(method, url, content=body).json()


@contextmanager
def requests_alone() -> Iterator[Call]:
    """The floor: requests without a network."""
    import io

    import requests
    from requests.adapters import BaseAdapter
    from urllib3.response import HTTPResponse

    packed = json.dumps(ANSWER).encode()

    class Nowhere(BaseAdapter):
        def send(self, request: Any, *_args: Any, **_options: Any) -> requests.Response:
            answer = requests.Response()
            answer.status_code, answer.request, answer.url = 200, request, request.url
            answer.raw = HTTPResponse(io.BytesIO(packed), preload_content=False)
            return answer

        def close(self) -> None:
            pass

    with requests.Session() as session:
        session.mount("https://", Nowhere())
        yield lambda method, url, body: session.request(
            method, url, data=body, headers=HEADERS
        ).json()


@contextmanager
def responses_static() -> Iterator[Call]:
    """Two static routes."""
    import requests
    import responses

    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(LIVE + STATUS, json=ANSWER)
        mock.post(LIVE + SUBMIT, json=ANSWER)
        with requests.Session() as session:
            yield lambda method, url, body: session.request(
                method, url, data=body, headers=HEADERS
            ).json()


def _intercept() -> AbstractContextManager[Any]:
    import apixo_emulator

    # Older source trees have none; the probe then fails with these words.
    intercept: Any = getattr(apixo_emulator, "intercept", None)
    if intercept is None:
        raise SystemExit("this emulator has no intercept()")
    context: AbstractContextManager[Any] = intercept()
    return context


@contextmanager
def emulator_httpx() -> Iterator[Call]:
    """The emulator in the place of the live API, under httpx."""
    import httpx

    with _intercept(), httpx.Client(headers=HEADERS) as client:
        yield lambda method, url, body: client.request(method, url, content=body).json()


@contextmanager
def emulator_requests() -> Iterator[Call]:
    """The emulator in the place of the live API, under requests."""
    import requests

    with _intercept(), requests.Session() as session:
        yield lambda method, url, body: session.request(
            method, url, data=body, headers=HEADERS
        ).json()


PROBES = {
    "httpx": httpx_alone,
    "respx": respx_static,
    "emulator-httpx": emulator_httpx,
    "requests": requests_alone,
    "responses": responses_static,
    "emulator-requests": emulator_requests,
}


def median_us(call: Callable[[], Any]) -> float:
    """Time a call: the median over batches."""
    took = []
    for _ in range(_BATCHES):
        began = time.perf_counter()
        for _ in range(_CALLS):
            call()
        took.append((time.perf_counter() - began) / _CALLS * 1e6)
    return statistics.median(took)


def main() -> None:
    """Run one probe."""
    with PROBES[sys.argv[1]]() as call:
        task_id = call("POST", LIVE + SUBMIT, BODY)["data"]["taskId"]
        url = f"{LIVE}{STATUS}?taskId={task_id}"
        poll = median_us(lambda: call("GET", url, None))
        submit = median_us(lambda: call("POST", LIVE + SUBMIT, BODY))
    print(json.dumps({"status": poll, "submit": submit}))


if __name__ == "__main__":
    main()
