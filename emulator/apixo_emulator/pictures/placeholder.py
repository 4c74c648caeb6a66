"""What is drawn where the source cannot be had: a card that says for which task, and why."""

from __future__ import annotations

import html
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from apixo_emulator.domain.pictures import PictureSpec, is_data_url, target_size
from apixo_emulator.pictures.enlarging import save
from apixo_emulator.pictures.library import vips
from apixo_schemas import contract

_HERE = Path(__file__).parent
# One font with fixed advance: lines can be broken by counting, without measuring.
_FONT_FILE = _HERE / "DejaVuSansMono.ttf"
_FONT_NAME = "DejaVu Sans Mono"
_FONT_CONFIG = _HERE / "fonts.conf"
_SHAPE = (16, 9)  # nobody knows the source's
_GROUND = (28, 36, 48)
_INK = (236, 240, 245)
_ACCENT = (245, 166, 35)
_SOFT = 0.62  # share of the ink in secondary text
# Shares of the width.
_MARGIN = 0.06
_BAR = 0.012
_TITLE_SIZE = 0.046
_TEXT_SIZE = 0.0185
_COLUMNS = 78  # characters of text that fit between the margins
_LABEL_COLUMNS = 9
_MAX_SHOWN = 4 * (_COLUMNS - _LABEL_COLUMNS)
_DESCRIPTION = "exif-ifd0-ImageDescription"
_first_text = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Block:
    text: str
    size: float  # of the font, as a share of the width
    ink: float  # from 0 to 1


def draw_placeholder(spec: PictureSpec, reason: str, to: Path) -> None:
    """Write a placeholder of the tier's size in the task's format.

    What it says also stands in its EXIF description, for programs to read.
    """
    width, height = target_size(*_SHAPE, contract().long_edge_px[spec.resolution])
    ink = vips().Image.black(width, height)
    top = round(width * _MARGIN)
    blocks = list(_blocks(spec, reason, f"{width} x {height} px"))
    for block in blocks:
        text = _rendered(block, width)
        ink = ink.insert(text.linear(block.ink, 0, uchar=True), round(width * _MARGIN), top)
        top += text.height + round(width * _TEXT_SIZE * 1.8)
    card = ink.linear(
        [(light - dark) / 255 for light, dark in zip(_INK, _GROUND, strict=True)],
        list(_GROUND),
        uchar=True,
    )
    bar = vips().Image.black(round(width * _BAR), height).linear([1, 1, 1], _ACCENT, uchar=True)
    card = card.insert(bar, 0, 0).copy(interpretation="srgb")
    described = "\n".join(block.text for block in blocks)
    card.set_type(vips().GValue.gstr_type, _DESCRIPTION, described)
    save(card, spec.output_format, to, keep="exif")


def _blocks(spec: PictureSpec, reason: str, size: str) -> Iterator[_Block]:
    yield _Block("Placeholder", _TITLE_SIZE, 1)
    words = wrap(printable(f"There is no source picture to enlarge: {reason}."), _COLUMNS)
    yield _Block("\n".join(words), _TEXT_SIZE, _SOFT)
    fields = {
        "task": spec.task_id,
        "tier": f"{spec.resolution}, {size}",
        "format": spec.output_format,
        "source": _source(spec.image_url),
    }
    lines = [line for label, value in fields.items() for line in _field(label, value)]
    yield _Block("\n".join(lines), _TEXT_SIZE, 1)
    yield _Block("drawn by apixo-emulator", _TEXT_SIZE, _SOFT)


def _source(image_url: str) -> str:
    return f"data: URL, {len(image_url)} bytes" if is_data_url(image_url) else image_url


def _field(label: str, value: str) -> Iterator[str]:
    text = printable(value)
    room = _COLUMNS - _LABEL_COLUMNS
    for start in range(0, max(1, len(text)), room):
        yield (label if start == 0 else "").ljust(_LABEL_COLUMNS) + text[start : start + room]


def printable(text: str) -> str:
    """Give a text in printable ASCII, the rest percent-encoded, its middle left out if it is long.

    So no text can reorder, hide or overflow what is drawn.
    """
    kept = _shortened(text)
    return _shortened("".join(char if " " <= char <= "~" else _escaped(char) for char in kept))


def _escaped(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _shortened(text: str) -> str:
    if len(text) <= _MAX_SHOWN:
        return text
    tail = _MAX_SHOWN // 4
    return f"{text[: _MAX_SHOWN - tail - 3]}...{text[-tail:]}"


def _rendered(block: _Block, width: int) -> Any:
    # libvips reads the text as Pango markup. At 72 dpi a point is a pixel.
    markup = html.escape(block.text, quote=False)
    size = max(1, round(width * block.size))
    with _fonts_of_our_own():
        return vips().Image.text(
            markup, font=f"{_FONT_NAME} {size}", fontfile=str(_FONT_FILE), dpi=72, spacing=size // 3
        )


@contextmanager
def _fonts_of_our_own() -> Iterator[None]:
    """Have fontconfig read our file, not the machine's: without one it complains on stderr.

    It reads the variable once, at the first text; child processes must not inherit it.
    """
    with _first_text:
        before = os.environ.get("FONTCONFIG_FILE")
        os.environ["FONTCONFIG_FILE"] = str(_FONT_CONFIG)
        try:
            yield
        finally:
            if before is None:
                del os.environ["FONTCONFIG_FILE"]
            else:
                os.environ["FONTCONFIG_FILE"] = before
