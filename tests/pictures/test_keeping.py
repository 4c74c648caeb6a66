"""Results and sources on disk: once, bounded, complete, shared."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from apixo_emulator.domain.pictures import PictureSpec, Verdict
from apixo_emulator.pictures import PictureStore
from apixo_emulator.pictures.render import draw_placeholder
from apixo_emulator.pictures.store import BoundedFolder

OpenStore = Callable[..., PictureStore]

DRAW = "apixo_emulator.pictures.store.draw_placeholder"


def placeholder(task: str) -> PictureSpec:
    return PictureSpec(task, "https://example.com/input.jpg", "2k", "jpg")


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Collects where placeholders are drawn."""
    drawn: list[Path] = []

    def counted(spec: PictureSpec, reason: str, to: Path) -> None:
        drawn.append(to)
        draw_placeholder(spec, reason, to)

    monkeypatch.setattr(DRAW, counted)
    return drawn


def test_many_threads_one_rendering(open_store: OpenStore, drawings: list[Path]) -> None:
    one, callers = open_store(), 8
    together = threading.Barrier(callers)

    def call(_: int) -> Any:
        together.wait()
        return one.render(placeholder("task"))

    with ThreadPoolExecutor(callers) as pool:
        results = set(pool.map(call, range(callers)))
    assert len(results) == len(drawings) == 1


def test_failure_reaches_every_caller_and_is_not_kept(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    one = open_store()
    with monkeypatch.context() as patched:
        patched.setattr(DRAW, full_disk)
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                one.render(placeholder("task"))
    rendered = one.render(placeholder("task"))
    assert list(rendered.path.parent.iterdir()) == [rendered.path]


def test_same_picture_in_many_tasks_is_kept_once(
    open_store: OpenStore, site: Any, rocket: Path, tmp_path: Path
) -> None:
    url = site.give("/rocket.jpg", rocket.read_bytes())
    one = open_store()
    rendered = {one.render(PictureSpec(f"task {n}", url, "2k", "jpg")) for n in range(5)}
    assert len(rendered) == 1
    sources = [path for path in (tmp_path / "pictures" / "sources").iterdir() if not path.suffix]
    assert [path.read_bytes() for path in sources] == [rocket.read_bytes()]


def test_evicted_result_is_rendered_again(open_store: OpenStore) -> None:
    one = open_store(bounds={"result_bytes": 1})
    first = one.render(placeholder("first"))
    content = first.path.read_bytes()
    second = one.render(placeholder("second"))
    assert not first.path.exists()
    assert second.path.exists()
    assert one.render(placeholder("first")) == first
    assert first.path.read_bytes() == content


def test_evicted_source_is_fetched_again(
    open_store: OpenStore, site: Any, rocket: Path, label: Any
) -> None:
    url = site.give("/rocket.jpg", rocket.read_bytes())
    one = open_store(bounds={"source_bytes": 1})
    assert one.check("task", url) is Verdict.USABLE
    assert label(one.render(PictureSpec("task", url, "2k", "jpg"))) == ""
    site.answers.clear()
    assert "status 404" in label(one.render(PictureSpec("task", url, "2k", "png")))


def test_unreadable_note_is_as_none(
    open_store: OpenStore, site: Any, rocket: Path, tmp_path: Path
) -> None:
    url = site.give("/rocket.jpg", rocket.read_bytes())
    for content in (b"", b"{", b"[]", b'{"verdict": "odd"}', b'{"verdict": "usable"}'):
        assert open_store().check("task", url) is Verdict.USABLE
        (note,) = (tmp_path / "pictures" / "sources").glob("*.json")
        note.write_bytes(content)
    assert open_store().check("task", url) is Verdict.USABLE


def fill(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def test_longest_unused_file_goes_first(tmp_path: Path) -> None:
    folder = BoundedFolder(tmp_path, 4 * 4096)  # one block is kept free for what comes
    for age, name in enumerate(("a", "b", "c")):
        os.utime(folder.write(name, fill(b"x")), (age + 1, age + 1))
    assert folder.read("a") == b"x"  # now the one that was used last
    folder.write("d", fill(b"x"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "d"]
    assert folder.find("b") is None


def test_files_of_dead_writers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "old.1.ab.tmp").write_bytes(b"x")
    os.utime(tmp_path / "old.1.ab.tmp", (1, 1))
    (tmp_path / "young.1.ab.tmp").write_bytes(b"x")
    BoundedFolder(tmp_path, 1 << 20).write("new", fill(b"x"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "young.1.ab.tmp"]


def test_folder_stays_below_its_bound(tmp_path: Path) -> None:
    bound = 64 * 4096
    folder = BoundedFolder(tmp_path, bound)
    for number in range(200):
        folder.write(sha256(bytes([number])).hexdigest(), fill(b"x" * 4096))
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= bound
    assert sum(1 for _ in tmp_path.iterdir()) > 48
