"""Sources and results of a real server."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.process import Running, running

pytestmark = pytest.mark.slow

AUTH = {"Authorization": "Bearer sk-test-0123456789abcd"}


def submit(server: Running, image: str) -> str:
    body = {"input": {"image_urls": [image], "resolution": "2k"}}
    answer = httpx.post(f"{server.base_url}/generateTask/image-upscaler", json=body, headers=AUTH)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["taskId"])


def ended(server: Running, task_id: str) -> dict[str, Any]:
    url = f"{server.base_url}/statusTask/image-upscaler"
    while True:
        answer = httpx.get(url, params={"taskId": task_id}, headers=AUTH).json()
        found: dict[str, Any] = answer["data"]
        if found["state"] in ("success", "failed"):
            return found


def test_an_expired_link_fails_as_on_the_live_api(tmp_path: Path) -> None:
    with running("--latency", "0", cwd=tmp_path) as server:
        expired = f"{server.origin}/files/expired.jpg"
        assert ended(server, submit(server, expired))["failCode"] == "ImageFormatIncorrect"
        assert ended(server, submit(server, "http://127.0.0.1:1/x.jpg"))["state"] == "success"
    with running("--latency", "0", "--refused-sources", "placeholder", cwd=tmp_path) as server:
        expired = f"{server.origin}/files/expired.jpg"
        assert ended(server, submit(server, expired))["state"] == "success"


def test_a_source_that_hangs_does_not_delay_the_end(tmp_path: Path) -> None:
    options = ("--latency", "0", "--fetch-timeout", "3600")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        image = f"http://127.0.0.1:{silent.getsockname()[1]}/x.jpg"
        with running(*options, cwd=tmp_path) as server:
            task_id = submit(server, image)
            connection, _ = silent.accept()
            with connection:
                assert server.stop()[0] == 0
    with running(*options, cwd=tmp_path) as server:  # now nothing listens there
        assert ended(server, task_id)["state"] == "success"


def test_the_headers_of_a_result_do_not_change(tmp_path: Path) -> None:
    with running("--latency", "0", cwd=tmp_path) as server:
        found = ended(server, submit(server, "https://example.com/1.jpg"))
        url = found["resultJson"].split('"')[3]
        answers = [httpx.get(url, timeout=60) for _ in range(2)]
    headers = [{**answer.headers, "date": ""} for answer in answers]
    assert headers[0] == headers[1]
    assert headers[0]["last-modified"] == http_date(found["completeTime"])


def http_date(at_ms: int) -> str:
    from email.utils import formatdate

    return formatdate(at_ms / 1000, usegmt=True)
