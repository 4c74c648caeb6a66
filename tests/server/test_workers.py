"""Several processes on one socket and one store."""

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from support.process import AUTH, Running, children, command, environment, running
from support.receivers import receiving

OPTIONS = ("--workers", "2", "--latency", "0", "--callback-retries", "0.1,0.1,0.1")


pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running(*OPTIONS, cwd=tmp_path) as server:
        yield server


def test_workers_share_tasks_and_balance(server: Running) -> None:
    assert len(children(server.process.pid)) == 2
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: server.submitted(), range(40)))
    assert len(set(ids)) == 40
    for task_id in ids:  # each poll opens a connection, so it may meet any process
        assert server.status(task_id).json()["data"]["state"] == "success"
    balance = httpx.get(f"{server.base_url}/apikeys/current-balance", headers=AUTH)
    assert balance.json()["data"] == 99.6


def test_each_callback_is_sent_once_by_one_of_them(server: Running) -> None:
    with receiving() as receiver, ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda _: server.submit(request_type="callback", callback_url=receiver.url),
                range(60),
            )
        )
        bodies = [receiver.next().body for _ in range(60)]
        assert receiver.received.empty()
    assert len(set(bodies)) == 60


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(server: Running) -> None:
    victim, other = children(server.process.pid)
    os.kill(victim, signal.SIGKILL)
    while Path(f"/proc/{victim}").exists():
        pass  # until then the system may still give it connections
    while len(children(server.process.pid)) < 2:
        assert server.submit().status_code == 200
    assert other in children(server.process.pid)
    code, _, errors = server.stop()
    assert code == 0
    assert f"worker process {victim} ended with -9; another takes its place" in errors


def test_a_worker_that_cannot_start_again_is_tried_later_and_the_others_go_on(
    server: Running, tmp_path: Path
) -> None:
    clock = tmp_path / ".apixo-emulator" / "clock"
    clock.rename(tmp_path / "kept")
    clock.mkdir()  # a worker cannot open it, as where the disk is full
    victim, other = children(server.process.pid)
    os.kill(victim, signal.SIGKILL)
    assert server.process.stderr is not None
    lines = [server.process.stderr.readline() for _ in range(3)]
    assert f"worker process {victim} ended with -9; another takes its place" in lines[0]
    assert "ended with 2: cannot write to the data folder" in lines[1]
    assert "another takes its place in 0.5 s" in lines[1]
    assert "another takes its place in 1 s" in lines[2]
    assert server.submit().status_code == 200
    clock.rmdir()
    (tmp_path / "kept").rename(clock)
    while len(children(server.process.pid)) < 2:
        assert server.submit().status_code == 200
    assert other in children(server.process.pid)
    code, _, errors = server.stop()
    assert code == 0
    assert "Traceback" not in errors


def test_workers_that_cannot_start_at_first_end_it_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "data" / "clock").mkdir(parents=True)
    done = subprocess.run(
        command("serve", "--port", "0", "--data", "data", "--workers", "2"),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("apixo-emulator: cannot write to the data folder")
    assert done.stderr.count("\n") == 1


def test_a_port_of_another_emulator_with_workers_is_taken(server: Running, tmp_path: Path) -> None:
    port = server.origin.rpartition(":")[2]
    for workers in ("1", "2"):
        done = subprocess.run(
            command("serve", "--port", port, "--ephemeral", "--workers", workers),
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 2
        assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr


def test_an_interrupt_of_the_terminal_ends_them_all_with_0(tmp_path: Path) -> None:
    """It reaches every process of the group."""
    process = subprocess.Popen(
        command("serve", "--port", "0", "--ephemeral", "--workers", "2"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("apixo-emulator ready: ")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    with running(*OPTIONS, cwd=tmp_path) as server:
        nodes = children(server.process.pid)
        server.process.kill()
        server.process.wait()
        while any(_alive(pid) for pid in nodes):
            pass
        # Its data folder is free again.
        with running("--latency", "0", cwd=tmp_path) as again:
            assert again.submit().status_code == 200


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
