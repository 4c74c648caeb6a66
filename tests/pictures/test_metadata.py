"""Profiles that are wrong, metadata that is large, and the memory that a source may take."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures.samples import chunk, png, with_profile

from apixo_emulator.domain.pictures import PictureSpec, Verdict, sniff
from apixo_emulator.pictures import PictureStore, RenderedPicture
from apixo_emulator.pictures.formats import stripped
from apixo_emulator.pictures.render import inspect, vips
from apixo_schemas import contract

Render = Callable[..., Any]
Difference = Callable[[Any, Any], float]


def grey_profile() -> bytes:
    """A colour profile of linear grey: a white point and a curve (ICC.1:2022)."""
    white = b"XYZ \0\0\0\0" + pack(">III", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv\0\0\0\0" + pack(">I", 0)
    tags = [(b"wtpt", white), (b"kTRC", curve)]
    begin = 128 + 4 + 12 * len(tags)
    table, content = pack(">I", len(tags)), b""
    for name, data in tags:
        table += name + pack(">II", begin + len(content), len(data))
        content += data
    header = bytearray(128)
    header[0:4] = pack(">I", begin + len(content))
    header[8:12] = pack(">I", 0x02100000)
    header[12:24] = b"mntrGRAYXYZ "
    header[36:40] = b"acsp"
    header[68:80] = pack(">III", 0xF6D6, 0x10000, 0xD32D)
    return bytes(header) + table + content


def test_grey_of_16_bits_with_alpha_and_a_profile(render: Render) -> None:
    profile = chunk(b"iCCP", b"grey\0\0" + zlib.compress(grey_profile(), 0))
    row = pack(">HH", 30000, 20000) * 8
    result = render(png(8, 8, 16, 4, profile, row=row), "2k", "png")
    assert [round(band.avg()) for band in result.bandsplit()] == [180, 180, 180, 78]


@pytest.mark.parametrize("depth", [8, 16])
def test_alpha_is_scaled_and_colour_under_it_is_exact(render: Render, depth: int) -> None:
    values = [200, 100, 50, 77]
    row = pack(">4B", *values) if depth == 8 else pack(">4H", *(257 * value for value in values))
    result = render(png(8, 8, depth, 6, row=row * 8), "2k", "png")
    assert [(band.min(), band.max()) for band in result.bandsplit()] == [(v, v) for v in values]


def test_colours_of_16_bits_are_rounded(render: Render) -> None:
    row = pack(">3H", 60000, 30000, 255) * 8
    result = render(png(8, 8, 16, 2, row=row), "2k", "png")
    assert [(band.min(), band.max()) for band in result.bandsplit()] == [
        (233, 233),
        (117, 117),
        (1, 1),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", contract().formats)
def test_a_profile_of_another_length_than_it_says_is_left_out(
    small: Any, render: Render, difference: Difference, name: str
) -> None:
    good = small.icc_export(output_profile="p3").get("icc-profile-data")
    for profile in (good + b"\0\0\0", good[:-1]):
        result = render(with_profile(name, small, profile), "2k", "png")
        assert difference(small, result) < 5
        assert not result.get_typeof("icc-profile-data")
    kept = render(with_profile(name, small, good), "2k", "png")
    assert kept.get("icc-profile-data") == good


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"]), st.binary())
def test_any_bytes_can_be_stripped(head: bytes, rest: bytes) -> None:
    name, kept = stripped(head + rest)
    assert contract().formats[name].media_type == sniff(head)
    assert len(kept) <= len(head + rest)


@pytest.mark.parametrize(
    ("save", "chroma"),
    [
        (lambda picture: picture.jpegsave_buffer(Q=95, subsample_mode="on"), "4:2:0"),
        (lambda picture: picture.jpegsave_buffer(Q=95, subsample_mode="off"), "4:4:4"),
        (lambda picture: picture.pngsave_buffer(), "4:2:0"),
    ],
    ids=["4:2:0", "4:4:4", "png"],
)
def test_a_jpg_has_the_chroma_of_a_jpg_source(
    small: Any, render: Render, save: Callable[[Any], bytes], chroma: str
) -> None:
    assert render(save(small), "2k", "jpg").get("jpeg-chroma-subsample") == chroma


def test_a_damaged_source_gives_the_same_bytes_anywhere(
    tmp_path: Path,
    rocket: Path,
    data_url: Callable[[bytes], str],
    label: Callable[[RenderedPicture], str],
) -> None:
    spec = PictureSpec("task", data_url(rocket.read_bytes()[:40_000]), "2k", "jpg")
    found = []
    for name in ("one", "other"):
        rendered = PictureStore(tmp_path / name).render(spec)
        found.append((rendered.etag, rendered.path.read_bytes(), label(rendered)))
    assert found[0] == found[1]
    assert "it is damaged behind its header" in found[0][2].replace("\n", " ")


# What a source takes, measured in a process of its own

MEASURE = """
import resource, sys
from base64 import b64encode
from pathlib import Path
from apixo_schemas import read_profile, use_profile
use_profile(read_profile({"form": 1, "assumptions": {"image.damaged": "ImageFormatIncorrect"}}))
from apixo_emulator.pictures import PictureStore
store = PictureStore(Path(sys.argv[1]) / "pictures")
warm = Path(sys.argv[2]).read_bytes()
store.check("warm", "data:;base64," + b64encode(warm).decode())
source = Path(sys.argv[1]) / "source"
url = "data:;base64," + b64encode(source.read_bytes()).decode()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(store.check("task", url), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def measured(tmp_path: Path, rocket: Path, body: bytes) -> tuple[str, int]:
    """The verdict on a source that is decoded to its end, and the MiB that took."""
    (tmp_path / "source").write_bytes(body)
    command = [sys.executable, "-c", MEASURE, str(tmp_path), str(rocket)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    verdict, mib = done.stdout.split()
    return verdict, int(mib)


BOMB = zlib.compress(b"x" * 4_000_000, 9)
HUNGRY: dict[str, Callable[[], bytes]] = {
    "zTXt": lambda: png(9, 9, 8, 2, *[chunk(b"zTXt", b"k%d\0\0" % n + BOMB) for n in range(480)]),
    "iCCP": lambda: png(9, 9, 8, 2, *[chunk(b"iCCP", b"k\0\0" + BOMB)] * 480),
    "WebP": lambda: black(9990, 9990).webpsave_buffer(lossless=True, effort=0),
    "WebP at the limit": lambda: black(5600, 5600).webpsave_buffer(lossless=True, effort=0),
}


USABLE = {"zTXt", "iCCP", "WebP at the limit"}


def black(width: int, height: int) -> Any:
    return vips().Image.black(width, height, bands=3).copy(interpretation="srgb")


@pytest.mark.slow
@pytest.mark.parametrize("kind", HUNGRY)
def test_inspecting_a_source_takes_at_most_256_mib(tmp_path: Path, rocket: Path, kind: str) -> None:
    verdict, mib = measured(tmp_path, rocket, HUNGRY[kind]())
    assert mib <= 256
    assert verdict in {Verdict.USABLE, Verdict.TOO_LARGE}
    assert (verdict == Verdict.USABLE) == (kind in USABLE)


def test_the_memory_of_a_source_is_an_option(
    open_store: Callable[..., PictureStore], data_url: Callable[[bytes], str], small: Any
) -> None:
    url = data_url(small.webpsave_buffer())
    assert open_store().check("one", url) is Verdict.USABLE
    strict = open_store(max_memory=10_000)
    assert strict.check("other", url) is Verdict.TOO_LARGE


def test_a_source_that_is_not_streamed_takes_memory_for_all_its_pixels() -> None:
    picture = black(2000, 2000)
    assert inspect(picture.pngsave_buffer(interlace=True)).memory >= 2000 * 2000 * 3
    streamed = inspect(picture.jpegsave_buffer()).memory
    progressive = inspect(picture.jpegsave_buffer(interlace=True, subsample_mode="off")).memory
    assert 23_000_000 < progressive - streamed < 25_000_000  # two bytes a value


def test_scaling_alpha_takes_memory_too() -> None:
    plain = inspect(black(16_000, 20).pngsave_buffer()).memory
    transparent = inspect(black(16_000, 20).bandjoin(255).pngsave_buffer()).memory
    assert transparent - plain > 16_000 * 20 * 8
