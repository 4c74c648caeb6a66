"""The control API over HTTP: operations, guard, wire faults, events, metrics."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.process import AUTH, Running, running

TOKEN = "a-long-secret-token"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    options = ("--latency", "41000", "--rate", "0", "--ephemeral", "--control-token", TOKEN)
    with running(*options, cwd=tmp_path_factory.mktemp("control")) as server:
        yield server


@pytest.fixture
def control(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.origin}/_emulator/") as client:
        client.post("reset").raise_for_status()
        yield client


def test_the_journal_is_masked_verified_and_exported(
    server: Running, control: httpx.Client
) -> None:
    server.submit()
    httpx.post(f"{server.base_url}/generateTask/image-upscaler", json={}, headers=AUTH)
    listed = control.get("requests")
    assert "0123456789" not in listed.text
    accepted, rejected = listed.json()["requests"]
    assert accepted["key"] == "sk-…abcd"
    assert rejected["brokenRule"] == "input.missing"
    assert control.get(f"requests/{rejected['number']}").json() == rejected
    met = control.post(
        "requests/verify", json={"call": "submit", "status": 200, "count": {"exactly": 1}}
    )
    assert met.json()["met"] is True
    missed = control.post("requests/verify", json={"call": "submit", "resolution": "8k"}).json()
    assert missed["met"] is False
    assert "8k" in missed["words"]
    assert len(control.get("requests.har").json()["log"]["entries"]) == 2


def test_schemas_metrics_config_and_worlds_are_served(
    server: Running, control: httpx.Client
) -> None:
    server.submit()
    for name in control.get("schemas").json()["schemas"]:
        assert json.loads(control.get(f"schemas/{name}").text)
    assert control.get("schemas/nope").status_code == 404
    text = control.get("metrics").text
    assert 'apixo_requests_total{endpoint="submit",status="200"}' in text
    assert 'apixo_tasks{state="pending"} 1' in text
    assert control.get("config").json()["worldPerKey"] is False
    assert [world["id"] for world in control.get("worlds").json()["worlds"]] == ["default"]
    assert control.get("tasks?world=nope").status_code == 404


def test_events_tell_calls_and_clock_changes(server: Running, control: httpx.Client) -> None:
    with control.stream("GET", "events") as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("event")) == "event: clock"
        server.submit()
        assert next(line for line in lines if line.startswith("event")) == "event: request"
        told = json.loads(next(lines).removeprefix("data: "))
        assert told["endpoint"] == "submit"
        control.post("clock/advance", json={"ms": 5})
        assert next(line for line in lines if line.startswith("event")) == "event: clock"


def test_the_token_opens_the_control_api_under_any_name(server: Running) -> None:
    url = f"{server.origin}/_emulator/clock"
    stranger = {"Host": "emulator.example"}
    assert httpx.get(url, headers=stranger).status_code == 403
    known = {**stranger, "X-Apixo-Emulator-Token": TOKEN}
    assert httpx.get(url, headers=known).status_code == 200
    wrong = {**stranger, "X-Apixo-Emulator-Token": "another-token"}
    assert httpx.get(url, headers=wrong).status_code == 403
    foreign = {**known, "Origin": "http://evil.example"}
    assert httpx.get(url, headers=foreign).status_code == 403


def test_a_dripping_answer_is_whole_in_the_end(server: Running, control: httpx.Client) -> None:
    control.post("scenarios", json={"scenario": "drip", "times": 1}).raise_for_status()
    body = b'{"input":{"image_urls":["https://example.com/input.jpg"]}}'
    head = (
        b"POST /api/v1/generateTask/image-upscaler HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Authorization: Bearer sk-drip\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    )
    address = ("127.0.0.1", httpx.URL(server.origin).port or 0)
    with socket.create_connection(address) as sock:
        sock.sendall(head % len(body) + body)
        pieces = []
        while piece := sock.recv(65536):
            pieces.append(piece)
    _, _, answer = b"".join(pieces).partition(b"\r\n\r\n")
    assert json.loads(answer)["code"] == 200
    assert len(pieces) > len(answer) // 2


@pytest.mark.slow
def test_a_unix_socket_serves_too(tmp_path: Path) -> None:
    path = tmp_path / "emulator.sock"
    with running("--uds", str(path), "--ephemeral", cwd=tmp_path) as server:
        assert server.base_url.endswith(f"on the Unix socket {path}")
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport, base_url="http://localhost") as client:
            assert client.get("/_emulator/clock").json()["rate"] == 1.0
            assert client.get("/api/v1/apikeys/current-balance", headers=AUTH).json()["data"] == 100
    assert not path.exists()


def test_a_browser_that_shows_the_token_keeps_it_as_a_cookie(server: Running) -> None:
    with httpx.Client(headers={"Host": "emulator.example"}) as client:
        url = f"{server.origin}/_emulator/"
        assert client.get(url).status_code == 403
        assert client.get(url, params={"token": "another"}).status_code == 403
        welcome = client.get(url, params={"token": TOKEN})
        assert (welcome.status_code, welcome.headers["location"]) == (303, "/_emulator/")
        cookie = welcome.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        kept = {"Cookie": cookie.partition(";")[0]}
        assert client.get(f"{url}clock", headers=kept).status_code == 200


@pytest.mark.slow
def test_a_listener_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with (
        running("--ephemeral", cwd=tmp_path) as server,
        httpx.stream("GET", f"{server.origin}/_emulator/events") as stream,
    ):
        next(stream.iter_lines())
        server.process.terminate()
        assert server.process.wait(timeout=5) == 0


def test_secrets_in_urls_are_masked_in_lists_too(server: Running, control: httpx.Client) -> None:
    hook = "http://127.0.0.1:1/hook?secret=hidden2"
    server.submitted(
        "https://example.com/a.jpg?token=hidden3", request_type="callback", callback_url=hook
    )
    for path in ("tasks", "deliveries", "requests"):
        assert "hidden" not in control.get(path).text


@pytest.mark.slow
def test_with_many_worlds_a_control_call_says_which(tmp_path: Path) -> None:
    with running("--world-per-key", "--ephemeral", cwd=tmp_path) as server:
        url = f"{server.origin}/_emulator/scenarios"
        lost = httpx.post(url, json={"scenario": "stuck"})
        assert lost.status_code == 409
        assert "--key" in lost.json()["message"]
        assert httpx.post(url, json={"scenario": "stuck"}, headers=AUTH).status_code == 200
        task_id = server.submitted()
        assert server.status(task_id).json()["data"]["state"] in ("pending", "processing")
        assert httpx.get(f"{server.origin}/_emulator/config").json()["worldPerKey"] is True


@pytest.mark.slow
def test_a_configured_key_is_masked_in_the_calls_of_others(tmp_path: Path) -> None:
    key = "sk-configured-0123456789"
    config = f'[[account]]\nkey = "{key}"\n'
    (tmp_path / "apixo-emulator.toml").write_text(config, "utf-8")
    with running("--ephemeral", cwd=tmp_path) as server:
        server.submit(f"https://example.com/{key}.jpg")
        assert key not in httpx.get(f"{server.origin}/_emulator/requests").text
