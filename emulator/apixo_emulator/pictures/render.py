"""Rendering with libvips: inspecting a source, enlarging it, and drawing a placeholder for a missing one."""

from __future__ import annotations

import html
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from textwrap import fill
from typing import Any
from urllib.parse import quote

from apixo_emulator.domain.pictures import PictureSpec, is_data_url, target_size
from apixo_emulator.pictures.formats import UnreadablePicture, stripped
from apixo_schemas import contract

_log = logging.getLogger("apixo_emulator")

# One for each format of the contract. Sources are untrusted, so libvips never guesses the loader.
_LOADERS = {"jpg": "jpegload_buffer", "png": "pngload_buffer", "webp": "webpload_buffer"}
_LOADER_CLASSES = ("VipsForeignLoadJpeg", "VipsForeignLoadPng", "VipsForeignLoadWebp")
_BLOCKED = True
_THREADS = 4
_WHITE = 255
_DEEP = 257  # a value of 16 bits for one of 8
_PROBE = 1 << 20  # bytes: more than fits into a block that is partly used
_ORIENTATION = "orientation"
_UPRIGHT = 1
_FIRST_TRANSPOSED = 5  # EXIF orientations 5 to 8 swap width and height
_LAST_ORIENTATION = 8
_RGB = 3  # channels
_PROFILE = "icc-profile-data"
_FULL_CHROMA = "4:4:4"

# Measured on two cores with a photograph of 1280x720, enlarged to 8k (8192x4608), which alone takes
# 0.45 s of each (`make bench`).
_ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    # 0.55 s, 2.7 MB with full chroma; the same for other Q.
    "jpg": ("jpegsave", {"Q": 90}),
    # 0.7 s, 10.5 MB. Level 1: 0.6 s, 16 MB; level 3: 1.0 s. Filter none or sub instead of up: as
    # fast, up to 33 MB; all filters tried on each line: 1.0 s.
    "png": ("pngsave", {"compression": 2, "filter": "up"}),
    # 1.3 s, 0.9 MB, and 175 MiB of memory, as the encoder takes pictures whole. Effort 1 saves 3 %
    # for 0.1 s more; effort 4, the default: 2.5 s.
    "webp": ("webpsave", {"Q": 90, "effort": 0}),
}


@cache
def vips() -> Any:
    """Return pyvips, set up. The first call takes about 0.1 s and 30 MiB, so the start does without."""
    pyvips: Any = import_module("pyvips")
    # Block all other loaders that libvips was built with, such as SVG, PDF, TIFF and ImageMagick.
    pyvips.operation_block_set("VipsForeignLoad", _BLOCKED)
    for name in _LOADER_CLASSES:
        pyvips.operation_block_set(name, not _BLOCKED)
    # Results are kept as files, so caching operations gains nothing.
    pyvips.cache_set_max(0)
    # Each thread has its own buffers: 4 threads take 19 MiB for an 8k JPG. 8 threads take 43 MiB and
    # are no faster, as the encoder uses one thread.
    pyvips.concurrency_set(min(_THREADS, pyvips.concurrency_get()))
    return pyvips


# Sources


@dataclass(frozen=True, slots=True)
class Inspection:
    """The size of a source, from its header; ``memory`` is roughly the bytes that it takes to decode."""

    width: int
    height: int
    memory: int


def inspect(body: bytes) -> Inspection:
    """Return what the header of a source says.

    Raises:
        UnreadablePicture: It is of another format, or its header is damaged.
    """
    name, kept = stripped(body)
    picture = _loaded(name, kept, streaming=True)
    width, height = int(picture.width), int(picture.height)
    copies = len(body) + (len(kept) if kept is not body else 0)
    return Inspection(width, height, _memory(name, picture) + copies)


# Measured with libvips 8.18 on pictures of 1 to 100 million pixels. Streaming takes this many lines.
_STREAMED_LINES = 800
# Enlarging or reducing alpha takes so many lines more, of 4 channels with 16 bits.
_ALPHA_LINES = 2000
_ALPHA_PIXEL = 8  # bytes
_WEBP_PIXEL = 8  # bytes, twice a pixel of 4 channels
_COEFFICIENT = 2  # bytes in a progressive JPEG
_SUBSAMPLED = 2 / 3  # of full chroma, with 4:2:2, which libvips does not distinguish from 4:2:0


def _memory(name: str, picture: Any) -> int:
    """Return roughly how many bytes libvips needs to decode a picture, and to scale its alpha."""
    width, height = int(picture.width), int(picture.height)
    scaled = width * _ALPHA_PIXEL * min(height, _ALPHA_LINES) if picture.hasalpha() else 0
    if name == "webp":
        return width * height * _WEBP_PIXEL + scaled
    line = width * int(picture.bands) * (2 if picture.format == "ushort" else 1)
    interlaced = bool(picture.get_typeof("interlaced"))
    if name == "png" and interlaced:
        return line * height + scaled
    streamed = line * min(height + height // 4, _STREAMED_LINES) + scaled
    if not interlaced:
        return streamed
    chroma = 1.0 if _has_full_chroma(picture) or picture.bands != _RGB else _SUBSAMPLED
    return streamed + round(line * height * _COEFFICIENT * chroma)


def _has_full_chroma(picture: Any) -> bool:
    """True if a picture is a JPEG whose colours have the full resolution."""
    name = "jpeg-chroma-subsample"
    return bool(picture.get_typeof(name)) and picture.get(name) == _FULL_CHROMA


def is_whole(body: bytes) -> bool:
    """True if a source can be decoded to its end. Decodes all of it."""
    try:
        _loaded(*stripped(body), streaming=True).avg()
    except vips().Error:
        return False
    return True


def _loaded(name: str, body: bytes, *, streaming: bool) -> Any:
    """Open a stripped source; its pixels are read later, ``streaming`` from top to bottom only."""
    loader = getattr(vips().Image, _LOADERS[name])
    try:
        return loader(body, access="sequential" if streaming else "random", fail_on="error")
    except vips().Error as error:
        raise _damaged("its header is damaged", error) from error


def _damaged(words: str, error: Exception) -> UnreadablePicture:
    # The message of libvips can contain temporary file names, so it is only logged.
    _log.info("a source picture cannot be read: %s: %s", words, str(error).strip())
    return UnreadablePicture(words)


def thumbnail(body: bytes, width: int, height: int) -> tuple[int, int, bytes]:
    """Return width and height of a picture, upright, and a WebP of it that fits into a size.

    Raises:
        UnreadablePicture: It is damaged, or no JPG, PNG or WebP.
    """
    name, kept = stripped(body)
    picture = _loaded(name, kept, streaming=True)
    wide, high = int(picture.width), int(picture.height)
    if _orientation(picture) >= _FIRST_TRANSPOSED:
        wide, high = high, wide
    try:
        small = vips().Image.thumbnail_buffer(kept, width, height=height, size="down")
        return wide, high, bytes(small.webpsave_buffer(Q=82, effort=0, keep="icc"))
    except vips().Error as error:
        raise _damaged("it is damaged behind its header", error) from error


# Results


def enlarge(spec: PictureSpec, body: bytes, to: Path) -> None:
    """Write a source at the long edge of the task's tier, upright, in its format.

    Raises:
        UnreadablePicture: The source turned out damaged; the file may be there in part.
        OSError: The disk takes no more.
    """
    source = stripped(body)
    header = _loaded(*source, streaming=True)
    full_chroma = _has_full_chroma(header)
    try:
        picture = _enlarged(source, header, spec)
        save(picture, spec.output_format, to, full_chroma=full_chroma)
    except vips().Error as error:
        _raise_if_unwritable(to)
        raise _damaged("it is damaged behind its header", error) from error


def _raise_if_unwritable(path: Path) -> None:
    """Raise the error of a full disk: libvips reports it like a damaged source."""
    with path.open("ab") as file:
        file.write(bytes(_PROBE))


def save(
    picture: Any, output_format: str, to: Path, *, keep: str = "icc", full_chroma: bool = False
) -> None:
    """Write a picture in a format, with the metadata ``keep``.

    A JPG has 4:2:0 chroma unless ``full_chroma`` is set.
    """
    saver, options = _ENCODERS[output_format]
    if output_format == "jpg":
        options = {**options, "subsample_mode": "off" if full_chroma else "on"}
    getattr(picture, saver)(str(to), keep=keep, **options)


def _enlarged(source: tuple[str, bytes], picture: Any, spec: PictureSpec) -> Any:
    long_edge, output_format = contract().long_edge_px[spec.resolution], spec.output_format
    orientation = _orientation(picture)
    width, height = target_size(picture.width, picture.height, long_edge)
    if orientation == _UPRIGHT:
        return _resized(_plain(picture, output_format), width, height)
    # Turning needs the whole picture in memory, so turn the smaller one of source and result.
    if max(picture.width, picture.height) > long_edge:
        return _resized(_plain(picture, output_format), width, height).copy_memory().autorot()
    if orientation >= _FIRST_TRANSPOSED:
        width, height = height, width
    picture = _loaded(*source, streaming=False).autorot()
    return _resized(_plain(picture, output_format), width, height)


def _orientation(picture: Any) -> int:
    orientation = int(picture.get(_ORIENTATION)) if picture.get_typeof(_ORIENTATION) else _UPRIGHT
    return orientation if _UPRIGHT <= orientation <= _LAST_ORIENTATION else _UPRIGHT


def _plain(picture: Any, output_format: str) -> Any:
    """Return the picture as RGB or grey with 8 bits a channel, without alpha if the format has none."""
    if not picture.hasalpha():
        return _in_screen_colours(picture)
    # Alpha is scaled separately, as a colour transform does not scale it.
    alpha = _eight_bits(picture[picture.bands - 1])
    colours = _in_screen_colours(picture.extract_band(0, n=picture.bands - 1))
    picture = colours.bandjoin(alpha)
    return picture.flatten(background=_WHITE) if output_format == "jpg" else picture


def _in_screen_colours(picture: Any) -> Any:
    """Return the picture in RGB or grey. RGB keeps its values and its profile."""
    if picture.bands != _RGB and picture.get_typeof(_PROFILE):
        # libvips puts a default in the place of a profile that is damaged or of other channels.
        return picture.icc_transform("srgb", embedded=True, depth=8)
    picture = _eight_bits(picture)
    return picture.colourspace("b-w" if picture.bands < _RGB else "srgb")


def _eight_bits(picture: Any) -> Any:
    """Return the picture with 8 bits a channel, rounded: libvips would drop the lower 8 bits."""
    if picture.format != "ushort":
        return picture
    plain = "b-w" if picture.bands < _RGB else "srgb"
    return (picture / _DEEP).rint().cast("uchar").copy(interpretation=plain)


def _resized(picture: Any, width: int, height: int) -> Any:
    """Return the picture in an exact size. To enlarge, libvips uses a bicubic kernel instead."""
    across, down = width / picture.width, height / picture.height
    if not picture.hasalpha():
        return picture.resize(across, vscale=down, kernel="lanczos3")
    # The colour of transparent pixels must not bleed into their neighbours. 16 bits keep it exact, and
    # take half of the memory of the floats that libvips multiplies to.
    deep = (picture.premultiply() * _DEEP).rint().cast("ushort")
    scaled = deep.resize(across, vscale=down, kernel="lanczos3") / _DEEP
    return scaled.unpremultiply().rint().cast("uchar")


# Placeholders: a card that says for which task there is no source, and why

_HERE = Path(__file__).parent
# One font with fixed advance: lines can be broken by counting, without measuring.
_FONT_FILE = _HERE / "DejaVuSansMono.ttf"
_FONT_CONFIG = _HERE / "fonts.conf"
_SHAPE = (16, 9)  # the source's is not known
_GROUND = (28, 36, 48)
_INK = (236, 240, 245)
_ACCENT = (245, 166, 35)
# Shares of the width.
_MARGIN = 0.06
_BAR = 0.012
_TEXT_SIZE = 0.0185
_COLUMNS = 78  # characters of text that fit between the margins
_LABEL_COLUMNS = 9
_MAX_SHOWN = 4 * (_COLUMNS - _LABEL_COLUMNS)
_ASCII = "".join(map(chr, range(ord(" "), ord("~") + 1)))
_DESCRIPTION = "exif-ifd0-ImageDescription"
_first_text = threading.Lock()


def draw_placeholder(spec: PictureSpec, reason: str, to: Path) -> None:
    """Write a placeholder of the tier's size in the task's format.

    Its text is also in the EXIF description, for programs to read.
    """
    width, height = target_size(*_SHAPE, contract().long_edge_px[spec.resolution])
    title, text = "Placeholder", _described(spec, reason, f"{width} x {height} px")
    # libvips reads the text as Pango markup. At 72 dpi a point is a pixel.
    markup = f'<span size="250%">{title}</span>\n\n{html.escape(text, quote=False)}'
    size = max(1, round(width * _TEXT_SIZE))
    with _own_fonts():
        words = vips().Image.text(
            markup,
            font=f"DejaVu Sans Mono {size}",
            fontfile=str(_FONT_FILE),
            dpi=72,
            spacing=size // 3,
        )
    margin = round(width * _MARGIN)
    ink = vips().Image.black(width, height).insert(words, margin, margin)
    card = ink.linear(
        [(light - dark) / 255 for light, dark in zip(_INK, _GROUND, strict=True)],
        list(_GROUND),
        uchar=True,
    )
    bar = vips().Image.black(round(width * _BAR), height).linear([1, 1, 1], _ACCENT, uchar=True)
    card = card.insert(bar, 0, 0).copy(interpretation="srgb")
    card.set_type(vips().GValue.gstr_type, _DESCRIPTION, f"{title}\n{text}")
    save(card, spec.output_format, to, keep="exif")


def _described(spec: PictureSpec, reason: str, size: str) -> str:
    """Return the text of a placeholder, in lines that fit."""
    url = spec.image_url
    fields = {
        "": f"There is no source picture to enlarge: {reason}.",
        "task": spec.task_id,
        "tier": f"{spec.resolution}, {size}",
        "format": spec.output_format,
        "source": f"data: URL, {len(url)} bytes" if is_data_url(url) else url,
    }
    lines = [
        fill(
            _printable(value),
            _COLUMNS,
            initial_indent=label.ljust(_LABEL_COLUMNS) if label else "",
            subsequent_indent=" " * _LABEL_COLUMNS if label else "",
            break_on_hyphens=False,
        )
        for label, value in fields.items()
    ]
    return "\n".join([lines[0], "", *lines[1:], "", "drawn by apixo-emulator"])


def _printable(text: str) -> str:
    """Return a text in printable ASCII, the rest percent-encoded, its middle left out if it is long.

    So no text can reorder, hide or overflow what is drawn.
    """
    return _shortened(quote(_shortened(text), safe=_ASCII, errors="surrogatepass"))


def _shortened(text: str) -> str:
    if len(text) <= _MAX_SHOWN:
        return text
    tail = _MAX_SHOWN // 4
    return f"{text[: _MAX_SHOWN - tail - 3]}...{text[-tail:]}"


@contextmanager
def _own_fonts() -> Iterator[None]:
    """Make fontconfig read our file: without a file it writes warnings to stderr.

    It reads the variable once, at the first text. Child processes must not inherit it.
    """
    name = "FONTCONFIG_FILE"
    with _first_text:
        before = os.environ.get(name)
        os.environ[name] = str(_FONT_CONFIG)
        try:
            yield
        finally:
            del os.environ[name]
            if before is not None:
                os.environ[name] = before
