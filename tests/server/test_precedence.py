"""Calls go first: what the system knows of the server's threads while pictures are drawn."""

import os
import sys
from pathlib import Path

import httpx
import pytest
from support.process import running

AUTH = {"Authorization": "Bearer sk-test-0123456789abcd"}
BODY = {"input": {"image_urls": ["https://example.com/input.jpg"]}}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="others know no such thing")


def niceness(pid: int) -> dict[str, set[int]]:
    """Give the niceness of a process's threads, of the first one and of the others."""
    found: dict[str, set[int]] = {"first": set(), "others": set()}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found["first" if int(task.name) == pid else "others"].add(int(fields[16]))
    return found


def test_drawing_stands_back_and_calls_do_not(tmp_path: Path) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    with running("--latency", "0", cwd=tmp_path) as server:
        submitted = httpx.post(
            f"{server.base_url}/generateTask/image-upscaler", json=BODY, headers=AUTH
        )
        task_id = submitted.json()["data"]["taskId"]
        httpx.get(f"{server.origin}/files/{task_id}.jpg", timeout=60).raise_for_status()
        found = niceness(server.process.pid)
    assert found["first"] == {ours}
    assert min(19, ours + 15) in found["others"]
