"""Draw one result in this process; told by JSON what, answers by JSON what it took.

A 2k result of another task is drawn first, to have libvips loaded as in a server that has been
running. Memory is the growth of the peak resident set, also given from before libvips was loaded.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from base64 import b64encode
from pathlib import Path

from apixo_emulator.domain.pictures import PictureSpec
from apixo_emulator.pictures import PictureStore

SOURCE = Path(__file__).parents[3] / "tests" / "data" / "rocket.jpg"
MIB = 1 << 20
# Title: format and source.
CASES = {
    "8k jpg": ("jpg", "photograph"),
    "8k png": ("png", "photograph"),
    "8k webp": ("webp", "photograph"),
    "8k png, transparent": ("png", "transparent"),
    "8k jpg, turned by EXIF": ("jpg", "turned"),
    "8k jpg, placeholder": ("jpg", "placeholder"),
}


def sources() -> dict[str, str]:
    """Make the sources of 1280x720 out of the photograph, as URLs."""
    from apixo_emulator.pictures.render import vips

    photograph = vips().Image.jpegload(str(SOURCE)).resize(2).crop(0, 67, 1280, 720).copy_memory()
    turned = photograph.rot270()
    turned.set_type(vips().GValue.gint_type, "orientation", 6)
    packed = {
        "photograph": photograph.jpegsave_buffer(Q=90),
        "turned": turned.jpegsave_buffer(Q=90),
        "transparent": photograph.bandjoin(photograph[0]).pngsave_buffer(),
    }
    urls = {name: f"data:;base64,{b64encode(body).decode()}" for name, body in packed.items()}
    return {**urls, "placeholder": "https://example.com/input.jpg"}


def peak() -> int:
    """Give the peak resident set of this process in bytes."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except OSError:  # no Linux; there the peak is of the process alone, not inherited
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(output_format: str, url: str, warm_up: str) -> dict[str, float]:
    """Draw once."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = PictureStore(Path(folder))
        cold = peak()
        pictures.render(PictureSpec("warm-up", warm_up, "2k", "jpg"))
        # The check belongs to the task's time, not to the drawing.
        pictures.check("measured", url)
        warm, start = peak(), time.perf_counter()
        rendered = pictures.render(PictureSpec("measured", url, "8k", output_format))
        seconds = time.perf_counter() - start
        return {
            "seconds": seconds,
            "mib": (peak() - warm) / MIB,
            "mib_in_all": (peak() - cold) / MIB,
            "megabytes": rendered.size / 1e6,
        }


def main() -> None:
    """Tell the cases, or draw one; the URLs are long, so they are made anew and not passed on."""
    if sys.argv[1] == "--cases":
        print(json.dumps(CASES))
        return
    output_format, source = json.loads(sys.argv[1])
    urls = sources()
    print(json.dumps(measure(output_format, urls[source], urls["photograph"])))


if __name__ == "__main__":
    main()
