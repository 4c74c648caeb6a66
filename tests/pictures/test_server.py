"""Sources and results of the whole application."""

from __future__ import annotations

import socket
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient
from support.process import running

from apixo_emulator import create_app

AUTH = {"Authorization": "Bearer sk-test-0123456789abcd"}
SUBMIT = "/generateTask/image-upscaler"


def body(image: str) -> dict[str, Any]:
    return {"input": {"image_urls": [image], "resolution": "2k"}}


def ended(client: TestClient, image: str) -> dict[str, Any]:
    """Submit a picture and return its task once it has ended."""
    task_id = client.post(f"/api/v1{SUBMIT}", json=body(image)).json()["data"]["taskId"]
    while True:
        answer = client.get(f"/api/v1/statusTask/image-upscaler?taskId={task_id}").json()
        found: dict[str, Any] = answer["data"]
        if found["state"] in ("success", "failed"):
            return found


def client(**options: Any) -> TestClient:
    return TestClient(create_app(ephemeral=True, latency="0", **options), headers=AUTH)


def test_an_expired_link_fails_as_on_the_live_api(site: Any) -> None:
    with client() as api:
        assert ended(api, f"{site.base}/expired.jpg")["failCode"] == "ImageFormatIncorrect"
        assert ended(api, "http://127.0.0.1:1/x.jpg")["state"] == "success"
    with client(refused_sources="placeholder") as api:
        assert ended(api, f"{site.base}/expired.jpg")["state"] == "success"


def test_the_headers_of_a_result_do_not_change() -> None:
    with client() as api:
        found = ended(api, "https://example.com/1.jpg")
        url = found["resultJson"].split('"')[3]
        headers = [{**api.get(url).headers, "date": ""} for _ in range(2)]
    assert headers[0] == headers[1]
    assert headers[0]["last-modified"] == formatdate(found["completeTime"] / 1000, usegmt=True)


@pytest.mark.slow
def test_a_source_that_hangs_does_not_delay_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        image = f"http://127.0.0.1:{silent.getsockname()[1]}/x.jpg"
        with running("--latency", "0", "--fetch-timeout", "3600", cwd=tmp_path) as server:
            url = f"{server.base_url}{SUBMIT}"
            assert httpx.post(url, json=body(image), headers=AUTH).status_code == 200
            connection, _ = silent.accept()
            with connection:
                assert server.stop()[0] == 0
