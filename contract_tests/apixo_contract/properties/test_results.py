"""Results: callbacks that say what a poll says, and files that are complete or absent."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import httpx
from hypothesis import strategies as st

from apixo_client import (
    ApiError,
    CallbackReply,
    CallbackRequest,
    CallbackServer,
    DownloadError,
    parse_callback,
)
from apixo_contract.properties import expected
from apixo_contract.properties.registry import client_property
from apixo_contract.properties.service import Pieces, Service
from apixo_contract.properties.target import Target

_HOOK = "https://app.example/hook"
_CALLBACK_S = 180.0


def callback_of_a_task(service: Service, scenario: str) -> tuple[str, bytes]:
    """Return the id of a task that has ended, and the body of its callback."""
    target = service.target
    if target.emulator is not None:
        image = f"https://example.com/emulate/{scenario}.jpg"
        receiver = target.emulator.receiver(_HOOK)
        task_id = service.submit(image, _HOOK)
        target.emulator.settle()
        return task_id, receiver.received[0].body
    came, bodies = Event(), list[bytes]()

    def answer(call: CallbackRequest) -> CallbackReply:
        bodies.append(call.body)
        came.set()
        return CallbackReply(200)

    host = "0.0.0.0" if target.callback_url else "127.0.0.1"  # noqa: S104 - behind the user's tunnel
    with CallbackServer(answer, host=host, port=target.callback_port) as server:
        task_id = service.submit("", target.callback_url or f"{server.url}/hook")
        assert came.wait(_CALLBACK_S), "a callback was expected, none came"
    return task_id, bodies[0]


def needs_callbacks(target: Target) -> str:
    """Return why callbacks cannot be judged: this machine cannot be reached."""
    is_reached = target.kind != "live" or target.callback_url
    return "" if is_reached else "No address for callbacks is known: give --callback-url."


@client_property(
    "client.callback",
    needs=needs_callbacks,
    tasks=1,
    examples=(40, 2, 1),
    scenario=st.sampled_from(["slow-3", "SensitiveContent", "extra-fields"]),
)
def test_a_callback_is_read_as_a_poll_is(service: Service, scenario: str) -> None:
    """A delivered body is read field by field, and as a poll that holds the same data."""
    task_id, body = callback_of_a_task(service, scenario)
    called_back = parse_callback(body)
    data = json.loads(body)["data"]
    expected.assert_view(called_back, data)
    polled = service.client()("status", task_id)
    # A field that has no value, such as `costTime`, may be absent in one of them only.
    assert called_back == polled or data != service.one_call.data
    assert called_back.id == task_id
    assert called_back.is_final


@client_property("client.download", tasks=1, examples=(4, 2, 1))
def test_a_download_is_the_raw_bytes(service: Service) -> None:
    """A downloaded file has the bytes of the result, and its server does not get the API key."""
    client = service.client()
    result = client("upscale", service.image_url, resolution="2k")
    path = client("download", result.url, service.target.folder / "result")
    assert path.read_bytes() == service.fetch(result.url)
    assert "authorization" not in service.calls[-1].headers


@client_property(
    "client.file",
    examples=(150, 50, 20),
    content=st.binary(max_size=200),
    arrived=st.integers(0, 200),
    status=st.sampled_from([200, 200, 200, 404, 410, 500]),
    breaks=st.booleans(),
    before=st.none() | st.binary(max_size=5),
)
def test_a_file_is_complete_or_absent(
    service: Service,
    *,
    content: bytes,
    arrived: int,
    status: int,
    breaks: bool,
    before: bytes | None,
) -> None:
    """A download that breaks off, comes short, is empty or is refused leaves the file as it was before."""
    came = content[:arrived]
    path: Path = service.target.folder / "file"
    path.unlink(missing_ok=True)
    if before is not None:
        path.write_bytes(before)
    others = set(service.target.folder.iterdir()) - {path}
    errors = [httpx.ReadError("broken off")] if breaks else []
    service.answer = lambda _call: httpx.Response(
        status,
        headers={"Content-Length": str(len(content))},
        stream=Pieces(came, *errors),
    )
    outcome = service.client().attempt("download", "https://files.example/x.jpg", path)
    arrives = came == content != b"" and not errors
    is_complete = status == 200 and arrives
    if is_complete:
        assert outcome.error is None
        assert path.read_bytes() == content
    else:
        assert isinstance(outcome.error, DownloadError | ApiError)
        assert (path.read_bytes() if path.exists() else None) == before
    assert set(service.target.folder.iterdir()) - {path} == others
