"""An emulator with a client of its API, as an application would call it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from support.process import Running

KEY = "sk-test-0123456789abcd"
SUBMIT = "/api/v1/generateTask/image-upscaler"
STATUS = "/api/v1/statusTask/image-upscaler"


@dataclass
class Desk:
    """An emulator with a client of its API, as an application would call it."""

    server: Running
    api: httpx.Client

    @property
    def origin(self) -> str:
        return self.server.origin

    def page(self, path: str = "") -> str:
        return f"{self.origin}/_emulator/{path}"

    def submit(self, url: str = "https://example.com/input.jpg", **more: Any) -> str:
        top = {name: more.pop(name) for name in ("request_type", "callback_url") if name in more}
        asked = {"image_urls": [url]} | more
        body: dict[str, Any] = {"request_type": "async"} | top | {"input": asked}
        answer = self.api.post(SUBMIT, json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"]["taskId"])

    def status(self, task_id: str) -> Any:
        return self.api.get(STATUS, params={"taskId": task_id}).json()["data"]

    def steer(self, path: str, **body: Any) -> Any:
        answer = self.api.post(self.page(path), json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def desk_of(server: Running) -> Iterator[Desk]:
    """A desk for a server, with a client that is closed."""
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=server.origin, headers=headers, timeout=30) as api:
        yield Desk(server, api)
