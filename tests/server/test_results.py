"""Result pictures over a real socket, from a source on this machine."""

import json
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import pyvips
from support.files import FileServer, file_server
from support.process import Running, running

pytestmark = pytest.mark.slow

SUBMIT = "/generateTask/image-upscaler"
STATUS = "/statusTask/image-upscaler"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, rocket: Path) -> Iterator[Running]:
    cwd = tmp_path_factory.mktemp("results")
    host = cwd / "images" / "example.com"
    host.mkdir(parents=True)
    (host / "folder.jpg").write_bytes(rocket.read_bytes())
    with running("--latency", "0", "--images", "images", cwd=cwd) as server:
        yield server


@pytest.fixture
def files() -> Iterator[FileServer]:
    with file_server() as server:
        yield server


@pytest.fixture
def api(server: Running) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer sk-test-0123456789abcd"}
    with httpx.Client(base_url=server.base_url, headers=headers, timeout=60) as client:
        yield client


def submitted(api: httpx.Client, url: str, **given: Any) -> str:
    body = {"input": {"image_urls": [url], **given}}
    return str(api.post(SUBMIT, json=body).raise_for_status().json()["data"]["taskId"])


def final(api: httpx.Client, task_id: str) -> dict[str, Any]:
    while True:
        data: dict[str, Any] = api.get(STATUS, params={"taskId": task_id}).json()["data"]
        if data["state"] in ("success", "failed"):
            return data


def result_url(api: httpx.Client, url: str, **given: Any) -> str:
    data = final(api, submitted(api, url, **given))
    assert data["state"] == "success", data
    (found,) = json.loads(data["resultJson"])["resultUrls"]
    return str(found)


def likeness(result: bytes, source: Path) -> float:
    """The mean difference per channel, 0 to 255, of the result reduced to its source's size."""
    original = pyvips.Image.new_from_file(str(source))
    image = pyvips.Image.new_from_buffer(result, "").thumbnail_image(
        original.width, height=original.height, size="force"
    )
    return float((image.extract_band(0, n=3) - original).abs().avg())


def test_the_result_is_the_source_enlarged(
    api: httpx.Client, files: FileServer, rocket: Path
) -> None:
    source = files.url("/rocket.jpg", rocket.read_bytes())
    url = result_url(api, source, resolution="4K", output_format="webp")
    answer = httpx.get(url, timeout=60)
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["content-length"] == str(len(answer.content))
    image = pyvips.Image.new_from_buffer(answer.content, "")
    assert (image.width, image.height) == (4096, 2733)
    assert likeness(answer.content, rocket) < 4


def test_a_task_does_not_end_before_its_source_was_looked_at(
    api: httpx.Client, files: FileServer, rocket: Path
) -> None:
    url = files.url("/slow.jpg", rocket.read_bytes())
    gate = files.hold("/slow.jpg")
    task_id = submitted(api, url)
    assert api.get(STATUS, params={"taskId": task_id}).json()["data"]["state"] == "processing"
    gate.set()
    assert final(api, task_id)["state"] == "success"


def test_hung_sources_do_not_hold_up_an_inlined_one(
    api: httpx.Client, files: FileServer, rocket: Path
) -> None:
    for number in range(70):
        files.hold(f"/{number}.jpg")
        submitted(api, f"{files.origin}/{number}.jpg")
    inlined = "data:image/jpeg;base64," + b64encode(rocket.read_bytes()).decode()
    data = final(api, submitted(api, inlined))
    assert data["state"] == "success"
    assert data["costTime"] < 5000  # a hung one is given up after 10 s


@pytest.fixture(scope="module")
def result(server: Running) -> str:
    headers = {"Authorization": "Bearer sk-test-0123456789abcd"}
    with httpx.Client(base_url=server.base_url, headers=headers, timeout=60) as client:
        return result_url(client, "https://example.com/folder.jpg", resolution="2k")


def test_ranges_and_conditions(result: str) -> None:
    whole = httpx.get(result, timeout=60)
    etag, size = whole.headers["etag"], len(whole.content)
    assert whole.headers["vary"] == "origin"
    for asked, status, length in (
        ("bytes=100-199", 206, 100),
        ("BYTES=0-1", 206, 2),
        ("bytes=-5", 206, 5),
        ("bytes", 200, size),
        ("bytes=", 200, size),
        ("bytes=x-y", 200, size),
        ("lines=1-2", 200, size),
        ("bytes=9-1", 200, size),
    ):
        part = httpx.get(result, headers={"Range": asked}, timeout=60)
        assert (part.status_code, len(part.content)) == (status, length), asked
    part = httpx.get(result, headers={"Range": "bytes=100-199"})
    assert part.content == whole.content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{size}"
    beyond = httpx.get(result, headers={"Range": f"bytes={size}-"})
    assert beyond.status_code == beyond.json()["code"] == 416
    assert beyond.headers["content-range"] == f"bytes */{size}"
    for known in (etag, f'"other", W/{etag}', "*"):
        answer = httpx.get(result, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert httpx.get(result, headers={"If-None-Match": '"other"'}).status_code == 200
    head = httpx.head(result)
    assert (head.content, head.headers["content-length"]) == (b"", str(size))


def test_polls_are_answered_while_a_picture_is_drawn(api: httpx.Client) -> None:
    url = result_url(api, "https://example.org/1.jpg", resolution="8k", output_format="png")
    with ThreadPoolExecutor(1) as pool:
        drawn = pool.submit(httpx.get, url, timeout=60)
        polls = 0
        while not drawn.done():
            assert api.get("/apikeys/current-balance").status_code == 200
            polls += 1
    assert polls > 10
    assert drawn.result().status_code == 200


def test_a_result_is_drawn_again_when_its_cache_was_emptied(server: Running, result: str) -> None:
    before = httpx.get(result, timeout=60).content
    for path in Path(f"/proc/{server.process.pid}/cwd").resolve().rglob("results/*"):
        path.unlink()
    assert httpx.get(result, timeout=60).content == before


def test_a_public_url_replaces_the_caller_s_host(tmp_path: Path) -> None:
    options = ("--ephemeral", "--latency", "0", "--public-url", "https://files.example/x/")
    with running(*options, cwd=tmp_path) as server:
        headers = {"Authorization": "Bearer sk-test-0123456789abcd"}
        with httpx.Client(base_url=server.base_url, headers=headers) as client:
            url = result_url(client, "https://example.com/a.jpg")
    assert url.startswith("https://files.example/x/files/")
