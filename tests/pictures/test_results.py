"""What comes out: the caller's picture, at the tier's size, in the format asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pictures.samples import with_profile

from apixo_emulator.domain.pictures import target_size
from apixo_emulator.pictures.render import vips
from apixo_schemas import contract

pytestmark = pytest.mark.slow

Render = Callable[..., Any]
Difference = Callable[[Any, Any], float]


@pytest.mark.parametrize(
    ("resolution", "output_format"), [("2k", "png"), ("4k", "webp"), ("8k", "jpg")]
)
def test_result_is_the_callers_picture(
    rocket: Path,
    render: Render,
    difference: Difference,
    resolution: str,
    output_format: str,
) -> None:
    result = render(rocket.read_bytes(), resolution, output_format)
    expected = target_size(640, 427, contract().long_edge_px[resolution])
    assert (result.width, result.height, result.bands) == (*expected, 3)
    assert difference(vips().Image.jpegload(str(rocket)), result) < 3


# How an upright picture is stored under each EXIF orientation (Exif 2.32, tag 0x0112).
STORED: dict[int, Callable[[Any], Any]] = {
    1: lambda upright: upright,
    2: lambda upright: upright.fliphor(),
    3: lambda upright: upright.rot180(),
    4: lambda upright: upright.flipver(),
    5: lambda upright: upright.rot90().fliphor(),
    6: lambda upright: upright.rot270(),
    7: lambda upright: upright.rot270().fliphor(),
    8: lambda upright: upright.rot90(),
}


@pytest.mark.parametrize(
    ("orientation", "scale"), [*((orientation, 1) for orientation in STORED), (3, 25), (6, 25)]
)
def test_orientation_is_applied(
    small: Any, render: Render, difference: Difference, orientation: int, scale: int
) -> None:
    stored = STORED[orientation](small.resize(scale)).copy()
    stored.set_type(vips().GValue.gint_type, "orientation", orientation)
    result = render(stored.jpegsave_buffer(Q=95), "2k", "jpg")
    assert (result.width, result.height) == target_size(small.width, small.height, 2048)
    assert not result.get_typeof("orientation")
    assert difference(small, result) < 4


def test_transparency_is_kept(small: Any, render: Render, difference: Difference) -> None:
    alpha = (vips().Image.xyz(small.width, small.height)[0] * 2).cast("uchar")
    result = render(small.bandjoin(alpha).pngsave_buffer(), "2k", "webp")
    assert result.bands == 4
    assert difference(alpha, result[3]) < 2
    on_white = small.bandjoin(alpha).flatten(background=255)
    assert difference(on_white, result.flatten(background=255)) < 4


def test_transparency_becomes_white_in_jpg(small: Any, render: Render) -> None:
    clear = small.bandjoin(vips().Image.black(small.width, small.height))
    result = render(clear.pngsave_buffer(), "2k", "jpg")
    assert result.bands == 3
    assert result.min() >= 254


def test_transparent_colour_does_not_bleed(render: Render) -> None:
    red, hidden_green = plain(8, 8, 255, 0, 0, 255), plain(8, 8, 0, 255, 0, 0)
    source = red.join(hidden_green, "horizontal")
    result = render(source.pngsave_buffer(), "2k", "png")
    visible = result[3] > 32
    assert visible.ifthenelse(result[1], 0).max() <= 2


def plain(width: int, height: int, *colour: int) -> Any:
    black = vips().Image.black(width, height, bands=len(colour))
    return black.linear(1, list(colour), uchar=True).copy(interpretation="srgb")


def kinds_of_pixels(small: Any) -> dict[str, bytes]:
    grey = small.colourspace("b-w")
    profile = small.icc_export(output_profile="p3").get("icc-profile-data")
    return {
        "grey": grey.jpegsave_buffer(Q=95),
        "grey, transparent": grey.bandjoin(255).pngsave_buffer(),
        "cmyk": small.colourspace("cmyk").jpegsave_buffer(Q=95),
        "16 bits": small.colourspace("rgb16").pngsave_buffer(),
        "palette": small.pngsave_buffer(palette=True),
        "interlaced": small.pngsave_buffer(interlace=True),
        "progressive": small.jpegsave_buffer(interlace=True),
        "profile": small.icc_export(output_profile="p3").jpegsave_buffer(Q=95, keep="icc"),
        "cmyk, profile": small.icc_export(output_profile="cmyk").jpegsave_buffer(Q=95),
        "grey, damaged profile": with_profile("jpg", grey, b"\0" * 200),
        "grey, profile of colours": with_profile("jpg", grey, profile),
        "cmyk, damaged profile": with_profile("jpg", small.colourspace("cmyk"), profile[:300]),
    }


def test_every_kind_of_pixels(small: Any, render: Render, difference: Difference) -> None:
    for kind, body in kinds_of_pixels(small).items():
        result = render(body, "2k", "png")
        assert result.format == "uchar", kind
        reference = small.colourspace("b-w") if "grey" in kind else small
        colours = result.flatten() if result.hasalpha() else result
        assert difference(reference, colours) < 8, kind


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 100), (3, 20000)])
def test_narrow_sources(render: Render, width: int, height: int) -> None:
    source = plain(width, height, 200, 100, 50)
    result = render(source.pngsave_buffer(), "2k", "jpg")
    assert (result.width, result.height) == target_size(width, height, 2048)
    assert abs(result[0].avg() - 200) < 4


def test_animation_gives_its_first_frame(
    small: Any, render: Render, difference: Difference
) -> None:
    frames = small.join(small.invert(), "vertical").copy()
    frames.set_type(vips().GValue.gint_type, "page-height", small.height)
    result = render(frames.webpsave_buffer(Q=95))
    assert (result.width, result.height) == target_size(small.width, small.height, 2048)
    assert difference(small, result) < 5
