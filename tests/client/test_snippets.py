"""The receivers that the documentation shows run, and answer as the service expects."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from apixo_client import Task
from apixo_schemas import document

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text("utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SNIPPETS = sorted((Path(__file__).parent / "snippets").glob("*.py"))
URL = "http://receiver.example/webhooks/apixo"

Post = Callable[[bytes], httpx.Response]


def raw(name: str) -> bytes:
    bodies = document("callback.json")["examples"]
    return json.dumps(next(body for body in bodies if body["data"]["state"] == name)).encode()


def asgi(app: Any, query: str = "") -> Post:
    async def post(body: bytes) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
            return await client.post(URL + query, content=body)

    return lambda body: asyncio.run(post(body))


def wsgi(app: Any) -> Post:
    def post(body: bytes) -> httpx.Response:
        with httpx.Client(transport=httpx.WSGITransport(app=app)) as client:
            return client.post(URL, content=body)

    return post


def django_app(view: Any) -> Any:
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.urls import path

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["receiver.example"], SECRET_KEY="test")
    django.setup()
    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": [path("webhooks/apixo", view)]})
    return WSGIHandler()


SERVED: dict[str, Callable[[dict[str, Any]], Post]] = {
    "django_app": lambda names: wsgi(django_app(names["apixo"])),
    "fastapi_app": lambda names: asgi(names["app"]),
    "flask_app": lambda names: wsgi(names["app"]),
}


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda path: path.stem)
def test_a_framework_receives(snippet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    post = SERVED[snippet.stem](runpy.run_path(str(snippet)))
    answers = [post(body) for body in (raw("success"), raw("failed"), raw("success"), b"{")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400]
    assert "expected a JSON object" in answers[-1].text
    done, failed = "task_12345678 success", "task_12345678 failed"
    assert capsys.readouterr().out.splitlines() == [done, failed, done]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda path: path.stem)
def test_the_documentation_shows_it(snippet: Path) -> None:
    assert f"    tests/client/snippets/{snippet.name}:2:\n" in PAGE


def test_the_receiver_of_the_documentation() -> None:
    (code,) = [each for each in PYTHON if "CallbackReceiver" in each]
    names: dict[str, Any] = {"__name__": "snippet", "Task": Task}
    exec(compile(code, "client.md", "exec", dont_inherit=True), names)  # noqa: S102 - the page's own
    assert asgi(names["app"])(raw("success")).status_code == 403
    query = "?secret=put-this-into-the-url"
    assert asgi(names["app"], query)(raw("success")).status_code == 200
