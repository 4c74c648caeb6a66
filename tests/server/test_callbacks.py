"""Callbacks from a real emulator to real receivers."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from outbound.receivers import Receiver
from support.process import AUTH, Running, running
from support.receivers import receiving

from apixo_schemas import document

pytestmark = pytest.mark.slow

PAYLOAD = Draft202012Validator(document("callback.json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("callbacks")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    with running("--latency", "0", "--callback-retries", "0,0,0", cwd=folder) as server:
        yield server


def sent(
    server: Running, callback_url: str, image: str = "https://a.example/1.jpg", **headers: str
) -> httpx.Response:
    return server.submit(image, headers=headers, request_type="callback", callback_url=callback_url)


def submit(server: Running, callback_url: str, image: str = "https://a.example/1.jpg") -> str:
    return server.submitted(image, request_type="callback", callback_url=callback_url)


def delivery(server: Running, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.origin}/_emulator/deliveries/{task_id}").json()
    return found


def settled(server: Running, task_id: str) -> dict[str, Any]:
    while (found := delivery(server, task_id))["state"] not in ("delivered", "exhausted"):
        pass
    return found


@pytest.mark.parametrize("image", ["1.jpg", "emulate/SensitiveContent.jpg"])
def test_success_and_failure_are_delivered_as_a_poll_tells_them(
    server: Running, folder: Path, image: str
) -> None:
    with receiving() as receiver:
        task_id = submit(server, f"{receiver.url}/hook?secret=1", f"https://a.example/{image}")
        received = receiver.next()
    assert received.path == "/hook?secret=1"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["x-apixo-emulator-depth"] == "1"
    assert "authorization" not in received.headers
    PAYLOAD.validate(json.loads(received.body))
    assert received.body == server.status(task_id).content
    assert settled(server, task_id)["state"] == "delivered"
    key = AUTH["Authorization"].removeprefix("Bearer ").encode()
    assert not any(key in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_what_is_not_answered_200_is_tried_again_with_the_same_bytes(server: Running) -> None:
    with receiving(500, 302, 204, 200) as receiver:
        task_id = submit(server, receiver.url)
        received = [receiver.next() for _ in range(4)]
        found = settled(server, task_id)
    assert len({call.body for call in received}) == 1
    assert found["state"] == "delivered"
    assert [attempt["status"] for attempt in found["attempts"]] == [500, 302, 204, 200]
    assert found["attempts"][1]["error"] == (
        f"expected the status 200, received 302 to {receiver.url}/elsewhere: redirects are not"
        " followed, use that URL"
    )


def test_after_three_retries_it_is_exhausted_until_redelivered(server: Running) -> None:
    with receiving(500) as receiver:
        task_id = submit(server, receiver.url)
        found = settled(server, task_id)
        assert (found["state"], len(found["attempts"])) == ("exhausted", 4)
        receiver.statuses = [200]
        answer = httpx.post(f"{server.origin}/_emulator/deliveries/{task_id}/redeliver")
        assert answer.status_code == 200, answer.text
        bodies = {receiver.next().body for _ in range(5)}
        assert len(bodies) == 1
        found = settled(server, task_id)
    assert (found["state"], len(found["attempts"])) == ("delivered", 5)


def test_the_built_in_inbox_takes_callbacks(server: Running) -> None:
    found = settled(server, submit(server, f"{server.origin}/_emulator/inbox"))
    assert (found["state"], found["attempts"][0]["status"]) == ("delivered", 200)


def test_a_receiver_that_speaks_no_http_uses_up_the_retries(server: Running) -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    receiver = Receiver(lambda connection, _request: connection.sendall(upgrade))
    try:
        found = settled(server, submit(server, receiver.url()))
    finally:
        receiver.close()
    assert found["state"] == "exhausted"
    assert [attempt["status"] for attempt in found["attempts"]] == [None] * 4
    assert "answered 101" in found["attempts"][0]["error"]


def test_each_failed_attempt_is_logged(tmp_path: Path) -> None:
    options = ("--latency", "0", "--callback-retries", "0")
    with running(*options, cwd=tmp_path) as server, receiving(500, 200) as receiver:
        task_id = submit(server, receiver.url)
        settled(server, task_id)
        log = server.stop()[2]
    (line,) = [line for line in log.splitlines() if "callback" in line]
    assert f"callback of task {task_id}: attempt 1: expected the status 200, received 500" in line


def test_a_key_that_a_receiver_repeats_is_shown_nowhere(tmp_path: Path) -> None:
    key = "plain-key-without-a-form"

    def echo(connection: socket.socket, request: bytes) -> None:
        target = request.split(b" ")[1]
        head = b"HTTP/1.1 302 Found\r\nLocation: http://a.example%b\r\n\r\nnot at %b, but `%b`"
        connection.sendall(head % (target, target, key.encode()))

    receiver = Receiver(echo)
    try:
        with running("--latency", "0", "--callback-retries", "0", cwd=tmp_path) as server:
            asked = sent(server, receiver.url(f"/{key}?k={key}"), Authorization=f"Bearer {key}")
            found = settled(server, asked.json()["data"]["taskId"])
            log = server.stop()[2]
    finally:
        receiver.close()
    assert "302 to http://a.example/plai…form?k=plai…form" in found["attempts"][0]["error"]
    assert found["attempts"][0]["answer"] == "not at /plai…form?k=plai…form, but `plai…form`"
    assert "attempt 2" in log
    assert key not in log


def test_a_hung_receiver_delays_nobody_else(server: Running) -> None:
    with receiving() as hung, receiving() as quick:
        hung.hung.add("/")
        for _ in range(60):
            submit(server, hung.url + "/")
        task_id = submit(server, quick.url)
        assert json.loads(quick.next().body)["data"]["taskId"] == task_id
        assert server.status(task_id).status_code == 200


def test_a_callback_under_way_at_a_kill_is_made_again_with_the_same_bytes(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.hung.add("/")
        with running("--latency", "0", cwd=tmp_path) as server:
            submit(server, receiver.url + "/")
            first = receiver.next()
            server.process.kill()
        receiver.hung.clear()
        with running("--latency", "0", cwd=tmp_path):
            assert receiver.next().body == first.body


def test_sigterm_ends_it_with_0_while_a_receiver_hangs(tmp_path: Path) -> None:
    with running("--latency", "0", cwd=tmp_path) as server, receiving() as receiver:
        receiver.hung.add("/")
        submit(server, receiver.url + "/")
        receiver.next()
        assert server.stop()[0] == 0


def test_strict_takes_public_https_only_but_a_rewrite_leads_home(tmp_path: Path) -> None:
    with receiving() as receiver:
        rewrite = f"https://your-server.com/hooks={receiver.url}/local"
        options = ("--callbacks", "strict", "--callback-rewrite", rewrite, "--latency", "0")
        with running(*options, cwd=tmp_path) as server:
            for url in ("http://example.com/", receiver.url, "https://localhost/", "nope"):
                answer = sent(server, url)
                message = "The parameter {{callback_url}} must be a public HTTPS URL."
                assert (answer.status_code, answer.json()["message"]) == (400, message)
            assert sent(server, "https://your-server.com/hooks/apixo").status_code == 200
            assert receiver.next().path == "/local/apixo"


def test_what_is_under_way_cannot_be_sent_again(server: Running) -> None:
    with receiving() as receiver:
        receiver.hung.add("/")
        task_id = submit(server, receiver.url + "/")
        receiver.next()
        answer = httpx.post(f"{server.origin}/_emulator/deliveries/{task_id}/redeliver")
    assert (answer.status_code, answer.json()["code"]) == (409, 409)
    assert "an attempt is under way" in answer.json()["message"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("not a url", "this is no URL"),
        ("ftp://hooks.example/", "expected http or https, found 'ftp'"),
        ("http://127.0.0.1:99999/", "a port from 1 to 65535"),
    ],
)
def test_what_nothing_can_call_is_accepted_and_its_one_attempt_says_why(
    server: Running, url: str, words: str
) -> None:
    """Assumption ``callback_url.not_https``."""
    found = settled(server, submit(server, url))
    assert found["state"] == "exhausted"
    (attempt,) = found["attempts"]
    assert words in attempt["error"]


def test_metadata_addresses_and_control_paths_are_never_taken(server: Running) -> None:
    with receiving() as receiver:
        kept = submit(server, receiver.url)
    port = httpx.URL(server.origin).port
    control = [
        f"http://{host}:{port}/_emulator/{path}"
        for host in ("127.0.0.1", "localhost", "emulator.localhost")
        for path in ("ui/clock/reset", "reset", "%69nbox", "inbox/../reset")
    ]
    metadata = ("http://169.254.169.254/latest", "http://[::ffff:a9fe:a9fe]/", "http://0.0.0.0/")
    for url in (*control, *metadata):
        answer = sent(server, url)
        assert answer.status_code == 400, url
        assert "never called" in answer.json()["message"]
    assert server.status(kept).status_code == 200


def test_a_loop_of_callbacks_ends(server: Running) -> None:
    with receiving() as receiver:
        deep = sent(server, receiver.url, **{"X-Apixo-Emulator-Depth": "10"})
        found = settled(server, deep.json()["data"]["taskId"])
    assert found["state"] == "exhausted"
    assert "a loop" in found["attempts"][0]["error"]
