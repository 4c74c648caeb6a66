"""`serve --profile` behaves as was observed."""

import base64
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.process import Running, running

AUTH = {"Authorization": "Bearer sk-test-0123456789abcd"}
PROFILE = """
form = 1
name = "seen on a Monday"

[assumptions]
"error.data" = "absent"
"task_id.form" = "task_{digits:12}"
"retry_after" = "absent"
"cost_time" = { share = 0.5 }
"output_format.case" = "insensitive"
"values.whitespace" = "trimmed"
"pending.share" = 0.0
"image_url.not_a_url" = "SensitiveContent"
"image.damaged" = "Unknown error"
"failed.charged" = "refunded"
"body.content_type" = { status = 415, message = "Send JSON." }

[assumptions."error.wording"]
unauthorized = "No key, no picture."

[rules]
"mode.invalid" = "Unsupported mode."
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("profile")
    (folder / "profile.toml").write_text(PROFILE, "utf-8")
    (folder / "apixo-emulator.toml").write_text('profile = "profile.toml"\nrate = 0\n', "utf-8")
    with running("--ephemeral", cwd=folder) as server:
        yield server


def submit(server: Running, *, headers: dict[str, str] | None = None, **given: Any) -> Any:
    body = {"input": {"image_urls": ["https://example.com/1.jpg"], **given}}
    url = f"{server.base_url}/generateTask/image-upscaler"
    return httpx.post(url, json=body, headers=AUTH | (headers or {}))


def test_errors_are_worded_and_shaped_as_observed(server: Running) -> None:
    refused = httpx.get(f"{server.base_url}/apikeys/current-balance")
    assert refused.json() == {"code": 401, "message": "No key, no picture."}
    broken = submit(server, mode="text-to-image")
    assert (broken.status_code, broken.json()) == (
        400,
        {"code": 400, "message": "Unsupported mode."},
    )
    other = submit(server, headers={"Content-Type": "text/plain"})
    assert (other.status_code, other.json()["message"]) == (415, "Send JSON.")


def test_the_served_document_follows_the_profile(server: Running) -> None:
    paths = httpx.get(f"{server.origin}/openapi.json").json()["paths"]
    refused = paths["/apikeys/current-balance"]["get"]["responses"]["401"]
    example = refused["content"]["application/json"]["examples"]["unauthorized"]["value"]
    assert example == {"code": 401, "message": "No key, no picture."}


def test_tasks_look_as_observed(server: Running) -> None:
    answer = submit(server, output_format=" WEBP ")
    task_id = answer.json()["data"]["taskId"]
    assert task_id.startswith("task_")
    assert task_id.removeprefix("task_").isdigit()
    httpx.post(f"{server.origin}/_emulator/clock/advance", json={"ms": 1500}).raise_for_status()
    url = f"{server.base_url}/statusTask/image-upscaler"
    data = httpx.get(url, params={"taskId": task_id}, headers=AUTH).json()["data"]
    assert (data["state"], data["costTime"]) == ("success", 750)
    limited = httpx.get(
        f"{server.base_url}/apikeys/current-balance", headers={"Authorization": "Bearer test_429"}
    )
    assert "retry-after" not in limited.headers


def test_sources_fail_as_observed_and_failed_tasks_are_paid_back(
    server: Running, rocket: Path
) -> None:
    whole = base64.b64encode(rocket.read_bytes()).decode()
    damaged = base64.b64encode(rocket.read_bytes()[:-9000]).decode()
    own = AUTH | {"Authorization": "Bearer sk-test-of-its-own-0001"}
    ids = [
        submit(server, headers=own, image_urls=[url]).json()["data"]["taskId"]
        for url in (
            "no-url",
            f"data:image/jpeg;base64,{damaged}",
            f"data:image/jpeg;base64,{whole}",
        )
    ]
    assert usd_left(server, own) == Decimal("99.97")
    assert [ended(server, task_id, own) for task_id in ids] == [
        "SensitiveContent",
        "Unknown error",
        None,
    ]
    assert usd_left(server, own) == Decimal("99.99")
    accounts = httpx.get(f"{server.origin}/_emulator/accounts").json()["accounts"]
    assert [found["spent"] for found in accounts if found["key"] == "sk-…0001"] == ["0.0100"]


def usd_left(server: Running, headers: dict[str, str]) -> Decimal:
    answer = httpx.get(f"{server.base_url}/apikeys/current-balance", headers=headers)
    return Decimal(str(answer.json()["data"]))


def ended(server: Running, task_id: str, headers: dict[str, str]) -> str | None:
    """The failure code of a task, once it has ended; its clock stands still (rate 0)."""
    url = f"{server.base_url}/statusTask/image-upscaler"
    while True:
        httpx.post(f"{server.origin}/_emulator/clock/advance", json={"ms": 1500}).raise_for_status()
        data = httpx.get(url, params={"taskId": task_id}, headers=headers).json()["data"]
        if data["state"] in {"success", "failed"}:
            code: str | None = data.get("failCode")
            return code
