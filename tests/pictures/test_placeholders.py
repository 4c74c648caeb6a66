"""What is drawn where the source cannot be had."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apixo_emulator.domain.pictures import PictureSpec
from apixo_emulator.pictures import PictureStore, RenderedPicture
from apixo_schemas import contract

OpenStore = Callable[..., PictureStore]
Label = Callable[[RenderedPicture], str]

ELSEWHERE = "https://example.com/input.jpg"


@pytest.mark.parametrize(
    ("resolution", "output_format"), [("2k", "jpg"), ("2k", "webp"), ("4k", "png")]
)
def test_placeholder_has_the_size_and_format_asked_for(
    open_store: OpenStore, open_result: Any, label: Label, resolution: str, output_format: str
) -> None:
    rendered = open_store().render(PictureSpec("task_1", ELSEWHERE, resolution, output_format))
    picture = open_result(rendered)
    edge = contract().long_edge_px[resolution]
    assert (picture.width, picture.height, picture.bands) == (edge, edge * 9 // 16, 3)
    assert picture.deviate() > 5, "nothing is drawn on it"
    for words in ("Placeholder", "task_1", resolution, f"{edge} x", output_format, ELSEWHERE):
        assert words in label(rendered)


HOSTILE = {
    "controls": "http://e/\0\x07\x1b[31m\r\n\x7f\x9b",
    "right to left": "http://e/\u202egpj.exe\u2066\u200f",
    "surrogates": "http://e/\ud800\udfff",
    "markup": "http://e/<span size='9999999'>&lt;&#0;</span><!--",
    "emoji": "http://e/" + "\U0001f469\u200d\U0001f680" * 50,
    "long": "http://e/" + "x" * 1_000_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_is_harmless(
    open_store: OpenStore, open_result: Any, label: Label, kind: str
) -> None:
    rendered = open_store().render(PictureSpec("task", HOSTILE[kind], "2k", "jpg"))
    assert open_result(rendered).width == 2048
    text = label(rendered)
    assert "http://e/" in text
    assert ("..." in text) == (kind in {"long", "emoji"})
    assert len(text) < 3000
    # Columns that must stay empty: right of the margin, nothing is drawn.
    assert open_result(rendered)[0].crop(2000, 0, 48, 1152).deviate() < 1


DRAW = f"""
import sys
from pathlib import Path
from apixo_emulator.domain.pictures import PictureSpec
from apixo_emulator.pictures import PictureStore

assert "pyvips" not in sys.modules, "the start pays for libvips"
PictureStore(Path(sys.argv[1])).quick_verdict("http://127.0.0.1/")
assert "pyvips" not in sys.modules, "a submit pays for libvips"
PictureStore(Path(sys.argv[1])).render(PictureSpec("task", "{ELSEWHERE}", "2k", "png"))
"""


@pytest.mark.slow
def test_machine_without_fonts_gives_the_same_and_is_quiet(
    open_store: OpenStore, tmp_path: Path
) -> None:
    bare = {key: value for key, value in os.environ.items() if key != "HOME"}
    bare |= {"FONTCONFIG_PATH": "/nonexistent", "FONTCONFIG_FILE": "/nonexistent.conf"}
    command = [sys.executable, "-c", DRAW, str(tmp_path / "bare")]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    here = open_store().render(PictureSpec("task", ELSEWHERE, "2k", "png"))
    there = tmp_path / "bare" / "results" / here.path.name
    assert there.read_bytes() == here.path.read_bytes()


def test_environment_is_left_as_it_was(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FONTCONFIG_FILE", "/mine")
    open_store().render(PictureSpec("one", ELSEWHERE, "2k", "jpg"))
    assert os.environ["FONTCONFIG_FILE"] == "/mine"
    monkeypatch.delenv("FONTCONFIG_FILE")
    open_store().render(PictureSpec("other", ELSEWHERE, "2k", "jpg"))
    assert "FONTCONFIG_FILE" not in os.environ
