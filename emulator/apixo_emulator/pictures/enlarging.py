"""From a source picture to a result, in one pass through libvips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apixo_emulator.domain.pictures import target_size
from apixo_emulator.pictures.library import UnreadablePicture, load, reason_of, vips
from apixo_schemas import contract

_WHITE = 255
_PROBE = 1 << 20  # bytes: more than a file system keeps spare in blocks begun
_ORIENTATION = "orientation"
_UPRIGHT = 1
_FIRST_TRANSPOSED = 5  # EXIF orientations 5 to 8 swap width and height
_LAST = 8
_RGB = 3  # channels
_PROFILE = "icc-profile-data"

# Measured on two cores with a photograph of 1280x720, enlarged to 8k (8192x4608), which alone takes
# 0.45 s of each (`benchmarks/pictures.py`).
_ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    # 0.55 s, 2.7 MB; the same for other Q. From 90 on colour keeps its full resolution.
    "jpg": ("jpegsave", {"Q": 90}),
    # 0.7 s, 10.5 MB. Level 1: 0.6 s, 16 MB; level 3: 1.0 s. Filter none or sub instead of up: as
    # fast, up to 33 MB; all filters tried on each line: 1.0 s.
    "png": ("pngsave", {"compression": 2, "filter": "up"}),
    # 1.3 s, 0.9 MB, and 175 MiB of memory, as the encoder takes pictures whole. Effort 1 saves 3 %
    # for 0.1 s more; effort 4, the default: 2.5 s.
    "webp": ("webpsave", {"Q": 90, "effort": 0}),
}


def pixels_in(body: bytes) -> int:
    """Give width times height of a source, from its header alone.

    Raises:
        UnreadablePicture: It is of another format, or its header is damaged.
    """
    picture = load(body, streaming=True)
    return int(picture.width) * int(picture.height)


def is_whole(body: bytes) -> bool:
    """Tell whether a source can be decoded to its end; takes as long as that."""
    try:
        load(body, streaming=True).avg()
    except vips().Error:
        return False
    return True


def enlarge(body: bytes, *, resolution: str, output_format: str, to: Path) -> None:
    """Write a source at the long edge of a tier, upright, in a format.

    Raises:
        UnreadablePicture: The source turned out damaged; the file may be there in part.
        OSError: The disk takes no more.
    """
    try:
        picture = _enlarged(body, contract().long_edge_px[resolution], output_format)
        save(picture, output_format, to)
    except vips().Error as error:
        _raise_if_unwritable(to)
        raise UnreadablePicture(f"it is damaged: {reason_of(error)}") from error


def _raise_if_unwritable(path: Path) -> None:
    """Tell a full disk from a damaged source: libvips has one kind of error for both."""
    with path.open("ab") as file:
        file.write(bytes(_PROBE))


def save(picture: Any, output_format: str, to: Path, *, keep: str = "icc") -> None:
    """Run a pipeline and write what comes out; of its metadata the colour profile alone stays."""
    saver, options = _ENCODERS[output_format]
    getattr(picture, saver)(str(to), keep=keep, **options)


def _enlarged(body: bytes, long_edge: int, output_format: str) -> Any:
    picture = load(body, streaming=True)
    orientation = _orientation(picture)
    width, height = target_size(picture.width, picture.height, long_edge)
    if orientation == _UPRIGHT:
        return _resized(_plain(picture, output_format), width, height)
    # Turning needs a whole picture at hand: turn the smaller one of source and result.
    if max(picture.width, picture.height) > long_edge:
        return _resized(_plain(picture, output_format), width, height).copy_memory().autorot()
    if orientation >= _FIRST_TRANSPOSED:
        width, height = height, width
    picture = load(body, streaming=False).autorot()
    return _resized(_plain(picture, output_format), width, height)


def _orientation(picture: Any) -> int:
    orientation = int(picture.get(_ORIENTATION)) if picture.get_typeof(_ORIENTATION) else _UPRIGHT
    return orientation if _UPRIGHT <= orientation <= _LAST else _UPRIGHT


def _plain(picture: Any, output_format: str) -> Any:
    """Make it RGB or grey, of 8 bits a channel, without alpha where the format has none."""
    picture = _in_screen_colours(picture)
    if picture.hasalpha() and output_format == "jpg":
        picture = picture.flatten(background=_WHITE)
    return picture


def _in_screen_colours(picture: Any) -> Any:
    """Keep RGB as it is, with its profile, so that its values are the caller's; convert CMYK."""
    colours = picture.bands - picture.hasalpha()
    if colours != _RGB and picture.get_typeof(_PROFILE):
        # libvips puts a default in the place of a profile that is damaged or of other channels.
        return picture.icc_transform("srgb", embedded=True)
    return picture.colourspace("b-w" if colours < _RGB else "srgb")


def _resized(picture: Any, width: int, height: int) -> Any:
    """Bring it to an exact size. libvips enlarges with the bicubic kin of the kernel named here."""
    across, down = width / picture.width, height / picture.height
    if not picture.hasalpha():
        return picture.resize(across, vscale=down, kernel="lanczos3")
    # The colour of transparent pixels must not bleed into their neighbours.
    scaled = picture.premultiply().resize(across, vscale=down, kernel="lanczos3")
    return scaled.unpremultiply().cast("uchar")
