"""Documented behaviour, the same however the emulator is run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from support.receivers import receiving

from apixo_schemas import contract
from server.targets import HEADERS, IN_PROCESS, PROCESSES, Target, in_process

SUBMIT = "/api/v1/generateTask/image-upscaler"
STATUS = "/api/v1/statusTask/image-upscaler"
BALANCE = "/api/v1/apikeys/current-balance"
GOOD = {"input": {"image_urls": ["https://example.com/input.jpg"]}}
PAGE = "http://localhost:3000"
MIB = 2**20


SLOW = [pytest.param(start, marks=pytest.mark.slow) for start in PROCESSES]


@pytest.fixture(scope="module", params=[*IN_PROCESS, *SLOW], ids=lambda start: start.__name__)
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    with request.param(tmp_path_factory.mktemp("target")) as target:
        yield target


def magic(scenario: str) -> dict[str, Any]:
    return {"input": {"image_urls": [f"https://example.com/emulate/{scenario}.jpg"]}}


@dataclass(frozen=True)
class Case:
    """A request and its answer: the status, the message of its envelope, some headers."""

    method: str
    path: str
    status: int
    message: str | None = None
    json: Any = None
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=lambda: HEADERS)
    answered: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path[:60]} {self.status}"


def error(error_id: str) -> tuple[int, str]:
    entry = contract().errors[error_id]
    return entry.status, entry.message


CASES = (
    Case("POST", SUBMIT, 200, "success", json=GOOD),
    Case("GET", BALANCE, 200, "success"),
    Case("GET", BALANCE, *error("unauthorized"), headers={}),
    Case("POST", SUBMIT, *error("unauthorized"), json=GOOD, headers={}),
    Case("POST", "/api/v1/generateTask/nope", *error("model_not_found"), json=GOOD),
    Case("GET", "/api/v1/statusTask/nope?taskId=x", *error("model_not_found")),
    Case("GET", f"{STATUS}?taskId=nope", *error("task_not_found")),
    Case("GET", STATUS, *error("task_id_missing")),
    Case("POST", SUBMIT, *error("invalid_json"), raw=b"{"),
    Case("POST", SUBMIT, *error("invalid_json"), raw=b""),
    Case("POST", SUBMIT, *error("invalid_json"), raw=b"[" * 100_000),
    Case("POST", SUBMIT, *error("invalid_json"), raw=b"{" + b" " * 2 * MIB),
    Case("POST", SUBMIT, 400, json={}),
    Case("POST", SUBMIT, *error("payload_too_large"), raw=b" " * 25 * MIB),
    Case("POST", SUBMIT, *error("unavailable"), json=magic("http-503")),
    Case("POST", SUBMIT, *error("rate_limited"), json=magic("http-429")),
    Case("GET", SUBMIT, *error("method_not_allowed"), answered={"allow": "POST"}),
    Case("POST", STATUS, *error("method_not_allowed"), raw=b"", answered={"allow": "GET"}),
    Case("OPTIONS", SUBMIT, *error("method_not_allowed")),
    Case("GET", "/nope", *error("path_not_found")),
    Case("GET", "/nope%0A", *error("path_not_found")),
    Case("GET", "/openapi.json/", *error("path_not_found")),
    Case("DELETE", "/openapi.json", *error("method_not_allowed")),
    Case("GET", "/api/v1/", *error("path_not_found")),
    Case("GET", "/files/nope.jpg", *error("result_not_found")),
    Case("DELETE", "/files/nope.jpg", *error("method_not_allowed")),
    Case("GET", "/_emulator/nope", *error("path_not_found")),
    Case("PUT", "/_emulator/clock", *error("method_not_allowed")),
    Case("GET", "/docs/models/schemas/index.json", 200),
    Case("GET", "/_emulator/health", 200),
    Case("GET", "/_emulator/clock", 200),
    Case("GET", "/_emulator/openapi.json", 200),
    Case("GET", "/_emulator/", 200),
    Case("GET", "/_emulator/nope", *error("path_not_found"), headers={"Accept": "text/html"}),
    # Web pages
    Case(
        "OPTIONS",
        SUBMIT,
        204,
        headers={
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        },
        answered={
            "access-control-allow-origin": PAGE,
            "access-control-allow-headers": "authorization, content-type",
            "access-control-allow-methods": "GET, HEAD, POST",
        },
    ),
    Case(
        "POST",
        SUBMIT,
        200,
        json=GOOD,
        headers={**HEADERS, "Origin": PAGE},
        answered={"access-control-allow-origin": PAGE, "vary": "origin"},
    ),
    Case(
        "GET",
        "/nope",
        404,
        headers={"Origin": PAGE},
        answered={"access-control-allow-origin": PAGE},
    ),
    Case(
        "OPTIONS",
        SUBMIT,
        *error("method_not_allowed"),
        headers={"Origin": "https://example.com", "Access-Control-Request-Method": "POST"},
    ),
    Case("POST", "/_emulator/reset", 403, headers={"Origin": PAGE}),
    Case("POST", "/_emulator/reset", 403, headers={"X-Apixo-Emulator-Depth": "1"}),
    Case("GET", "/_emulator/clock", 403, headers={"X-Forwarded-For": "127.0.0.1"}),
    Case("GET", "/_emulator/clock", 403, headers={"X-Forwarded-Proto": "https"}),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_request_is_answered_as_documented(target: Target, case: Case) -> None:
    options: dict[str, Any] = {"headers": case.headers}
    if case.raw is not None:
        options["content"] = case.raw
    if case.json is not None:
        options["json"] = case.json
    answer = target.call(case.method, case.path, **options)
    assert answer.status_code == case.status, answer.text
    for name, value in case.answered.items():
        assert answer.headers[name] == value
    if case.status >= 400:
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()) == {"code", "message", "data"}
        assert answer.json()["code"] == case.status
    if case.message is not None:
        assert answer.json()["message"] == case.message
    origin = case.headers.get("Origin")
    if origin != case.answered.get("access-control-allow-origin"):
        assert "access-control-allow-origin" not in answer.headers


def test_a_task_succeeds_and_its_result_is_a_file(target: Target) -> None:
    task_id = target.submit().json()["data"]["taskId"]
    data = target.status(task_id).json()["data"]
    assert data["state"] == "success"
    (url,) = json.loads(data["resultJson"])["resultUrls"]
    assert url == f"{target.base_url}/files/{task_id}.jpg"
    whole = target.call("GET", url, headers={})
    assert (whole.status_code, whole.headers["content-type"]) == (200, "image/jpeg")
    tag = {"If-None-Match": whole.headers["etag"]}
    assert target.call("GET", url, headers=tag).status_code == 304
    head = target.call("HEAD", url, headers={})
    assert (head.headers["content-length"], head.content) == (str(len(whole.content)), b"")
    part = target.call("GET", url, headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, whole.content[2:6])
    beyond = target.call("GET", url, headers={"Range": "bytes=99999999-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, 416)
    page = target.call("GET", url, headers={"Origin": PAGE})
    assert page.headers["access-control-allow-origin"] == PAGE


def test_a_task_fails_on_demand(target: Target) -> None:
    task_id = target.submit("https://example.com/emulate/Timeout.jpg").json()["data"]["taskId"]
    data = target.status(task_id).json()["data"]
    assert (data["state"], data["failCode"]) == ("failed", "Timeout")


def test_a_cut_off_response_is_an_error_of_the_connection(target: Target) -> None:
    for scenario in ("reset", "truncated"):
        # Without a server the error is that of the connection, too.
        with pytest.raises((httpx.TransportError, ConnectionResetError)):
            target.submit(f"https://example.com/emulate/{scenario}.jpg")


def test_the_address_tells_where_api_and_dashboard_are(target: Target) -> None:
    expected = {
        "api": f"{target.base_url}/api/v1",
        "dashboard": f"{target.base_url}/_emulator/",
    }
    assert target.call("GET", "/").json().items() >= expected.items()
    page = target.call("GET", "/", headers={"Accept": "text/html,*/*"})
    assert page.headers["content-type"].startswith("text/html")
    assert all(url in page.text for url in expected.values())


def test_browsers_are_sent_to_pages(target: Target) -> None:
    task_id = target.submit().json()["data"]["taskId"]
    browser = {"Accept": "text/html,application/xhtml+xml"}
    for path, page in (
        ("", "/_emulator/"),
        ("/tasks", "/_emulator/"),
        (f"/tasks/{task_id}", f"/_emulator/ui/tasks/{task_id}"),
        ("/requests", "/_emulator/ui/requests"),
        ("/deliveries", "/_emulator/ui/callbacks"),
        ("/scenarios", "/_emulator/ui/scenarios"),
    ):
        sent = target.call("GET", f"/_emulator{path}", headers=browser)
        assert sent.status_code == 307
        assert (target.base_url + page).endswith(sent.headers["location"])
        shown = target.call("GET", page, headers=browser)
        assert shown.headers["content-type"].startswith("text/html")
    assert target.call("GET", "/_emulator/tasks").headers["content-type"] == "application/json"


def test_a_page_links_to_its_own_emulator(target: Target) -> None:
    page = target.call("GET", "/_emulator/", headers={}).text
    prefix = httpx.URL(target.base_url).path.rstrip("/")
    for link in (part.partition('"')[0] for part in page.split('href="')[1:]):
        assert link.startswith((f"{prefix}/_emulator/", "#")), link


def test_a_callback_is_made_while_the_application_lives(target: Target) -> None:
    with receiving() as receiver:
        answer = target.submit(request_type="callback", callback_url=receiver.url)
        task_id = answer.json()["data"]["taskId"]
        if target.lives:
            assert json.loads(receiver.next().body)["data"]["taskId"] == task_id
        else:
            assert receiver.received.empty()


@pytest.mark.parametrize(
    ("cors", "page", "allowed"),
    [
        ("any", "https://example.com", True),
        ("loopback", "https://example.com", False),
        ("loopback", "http://app.localhost:5173", True),
        ("loopback", "http://127.0.0.1", True),
        ("loopback", "http://[::1]:3000", True),
        ("loopback", "http://localhost.example.com", False),
        ("loopback", "null", False),
        ("off", "http://localhost:3000", False),
    ],
)
def test_the_option_says_which_pages_may_call(*, cors: str, page: str, allowed: bool) -> None:
    with in_process(cors=cors) as target:
        asks = {"Origin": page, "Access-Control-Request-Method": "POST"}
        preflight = target.call("OPTIONS", SUBMIT, headers=asks)
        assert preflight.status_code == (204 if allowed else 405)
        answer = target.call("POST", SUBMIT, json=GOOD, headers={**HEADERS, "Origin": page})
        assert answer.status_code == 200
        for found in (preflight, answer):
            name = found.headers.get("access-control-allow-origin")
            assert name == (page if allowed else None)
        control = target.call("POST", "/_emulator/reset", headers={"Origin": page})
        assert control.status_code == 403
        assert "access-control-allow-origin" not in control.headers
