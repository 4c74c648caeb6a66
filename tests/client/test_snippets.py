"""The receivers that the documentation shows are served from the page, and certified."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from certify.receivers import serving_asgi
from support import nodejs
from werkzeug.serving import make_server

from apixo_client import Task
from apixo_emulator.certify.cli import ANY_KEY
from apixo_emulator.certify.emulator import OwnEmulator, own_emulator
from apixo_emulator.certify.model import Verdict
from apixo_emulator.certify.receiver import ReceiverCertifier
from apixo_emulator.certify.receiver_cases import receiver_cases
from apixo_schemas import document

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text("utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)

Serve = Callable[[dict[str, Any]], AbstractContextManager[str]]


def snippet(word: str) -> dict[str, Any]:
    """Run the snippet of the page that contains a word, and return its names."""
    (code,) = [each for each in PYTHON if word in each]
    # The page's client polls as the API recommends, which takes 5 s in one case.
    quick = code.replace("Apixo()", "Apixo(pace=Pace.every(0.1))").replace(
        "import Apixo,", "import Apixo, Pace,"
    )
    names: dict[str, Any] = {"__name__": "snippet", "Task": Task}
    exec(compile(quick, "client.md", "exec", dont_inherit=True), names)  # noqa: S102 - the page's own
    return names


def fastapi(names: dict[str, Any]) -> AbstractContextManager[str]:
    return serving_asgi(names["app"])


@contextmanager
def flask(names: dict[str, Any]) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, names["app"], threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def django(names: dict[str, Any]) -> AbstractContextManager[str]:
    from django import setup
    from django.conf import settings
    from django.core.handlers.asgi import ASGIHandler
    from django.urls import path

    urls = [path("webhooks/apixo", names["apixo"])]
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="test",
        ROOT_URLCONF=type("urls", (), {"urlpatterns": urls}),
        LOGGING_CONFIG=None,
    )
    setup()
    return serving_asgi(ASGIHandler())


@pytest.fixture(scope="module")
def emulator() -> Iterator[OwnEmulator]:
    with own_emulator(0, ["--latency", "0", "--seed", "1"], profile=ANY_KEY) as emulator:
        yield emulator


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "serve"), [("FastAPI()", fastapi), ("Flask(", flask), ("csrf_exempt\n", django)]
)
def test_a_documented_receiver_passes_every_case(
    word: str,
    serve: Serve,
    emulator: OwnEmulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APIXO_BASE_URL", emulator.base_url)
    monkeypatch.setenv("APIXO_API_KEY", "application")
    names = snippet(word)

    def wait_idle() -> None:
        # The worker is one thread, so that what was handed over before is done.
        names["worker"].submit(int).result()

    with serve(names) as origin:
        certifier = ReceiverCertifier(
            f"{origin}/webhooks/apixo", emulator, wait_idle=wait_idle, slow_s=30
        )
        results = asyncio.run(certifier.run(receiver_cases(), 4, lambda _: None))
    names["worker"].shutdown()
    names["client"].close()
    assert {each.id: each.why for each in results if each.verdict is not Verdict.PASS} == {}


@pytest.mark.slow
def test_the_documented_receiver_for_express_passes_every_case(
    emulator: OwnEmulator, tmp_path: Path
) -> None:
    (code,) = re.findall(r"^```js\n(.*?app\.listen.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    # Beside the packages, as it imports one.
    program = nodejs.packages() / "receiver.mjs"
    program.write_text(code.replace("sleep(5000)", "sleep(200)"), "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {"APIXO_BASE_URL": emulator.base_url, "APIXO_API_KEY": "k", "PORT": str(port)}
    command = [str(nodejs.NODE), str(program)]
    url = f"http://127.0.0.1:{port}/webhooks/apixo"
    with subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **environment}) as process:
        try:
            until_it_listens(port)
            certifier = ReceiverCertifier(url, emulator, slow_s=30)
            results = asyncio.run(certifier.run(receiver_cases(), 4, lambda _: None))
        finally:
            process.terminate()
    assert {each.id: each.why for each in results if each.verdict is not Verdict.PASS} == {}


def until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    pytest.fail("the receiver does not listen")


def test_the_asgi_receiver_of_the_documentation_checks_its_secret() -> None:
    app = snippet("CallbackReceiver")["app"]
    bodies = document("callback.json")["examples"]
    body = json.dumps(bodies[0]).encode()

    async def post(query: str) -> int:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
            return (await client.post(f"/hook{query}", content=body)).status_code

    assert asyncio.run(post("")) == 403
    assert asyncio.run(post("?secret=put-this-into-the-url")) == 200
