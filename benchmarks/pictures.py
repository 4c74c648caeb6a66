"""How long a result takes and how much memory: 8k from a source of 1280x720, per format.

Each round is a process of its own, as the peak of a process never goes down. It opens a gallery,
renders a 2k result of another task to have libvips loaded, as in a server that has been running,
then renders the one that is measured. Memory is the growth of the peak resident set, also given
from before libvips was loaded.

Run: python benchmarks/pictures.py [ROUNDS]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from apixo_emulator.core.pictures import PictureSpec
from apixo_emulator.pictures import Gallery

ROUNDS = 9
SOURCE = Path(__file__).parent.parent / "tests" / "data" / "rocket.jpg"
MIB = 1 << 20


@dataclass(frozen=True)
class Case:
    """What is rendered, and the aims in s and MiB where there are any."""

    title: str
    output_format: str
    source: str
    seconds: float | None = None
    mib: float | None = None


CASES = (
    Case("8k jpg", "jpg", "photograph", 0.7, 64),
    Case("8k png", "png", "photograph", 1.5),
    Case("8k webp", "webp", "photograph"),
    Case("8k png, transparent", "png", "transparent"),
    Case("8k jpg, turned by EXIF", "jpg", "turned"),
    Case("8k jpg, placeholder", "jpg", "placeholder"),
)


def source_urls() -> dict[str, str]:
    """Make the sources of 1280x720 out of the photograph."""
    from apixo_emulator.pictures.library import vips

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


def measure(url: str, output_format: str, warm_up: str) -> dict[str, float]:
    """Render once, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        gallery = Gallery(Path(folder))
        cold = peak()
        gallery.render(PictureSpec("warm-up", warm_up, "2k", "jpg"))
        # The check belongs to the task's time, not to the rendering.
        gallery.check("measured", url)
        warm, start = peak(), time.perf_counter()
        rendered = gallery.render(PictureSpec("measured", url, "8k", output_format))
        seconds = time.perf_counter() - start
        return {
            "seconds": seconds,
            "mib": (peak() - warm) / MIB,
            "mib_in_all": (peak() - cold) / MIB,
            "megabytes": rendered.size / 1e6,
        }


def run(case: Case, urls: dict[str, str], rounds: int) -> None:
    """Measure a case in fresh processes and print a line."""
    order = json.dumps([urls[case.source], case.output_format, urls["photograph"]])
    command = [sys.executable, __file__, "--measure"]
    outputs = [
        subprocess.run(command, input=order, capture_output=True, text=True, check=True).stdout
        for _ in range(rounds)
    ]
    found = [json.loads(output) for output in outputs]
    middle = {key: statistics.median(round_[key] for round_ in found) for key in found[0]}
    times = sorted(round_["seconds"] for round_ in found)
    memory = max(round_["mib"] for round_ in found)
    met = (case.seconds or 1e9) >= middle["seconds"] and (case.mib or 1e9) >= memory
    aim = f"{case.seconds} s" + (f", {case.mib} MiB" if case.mib else "") if case.seconds else ""
    print(
        f"{case.title:24} {middle['seconds']:6.2f} s  [{times[0]:.2f} .. {times[-1]:.2f}]"
        f" {middle['mib']:6.0f} MiB (at most {memory:.0f}; with libvips {middle['mib_in_all']:.0f})"
        f" {middle['megabytes']:6.1f} MB  {f'aim {aim}: ' + ('met' if met else 'MISSED') if aim else ''}"
    )


def main() -> None:
    """Measure every case."""
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(measure(*json.load(sys.stdin))))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"median [fastest .. slowest] of {rounds} rounds, each in a process of its own")
    urls = source_urls()
    for case in CASES:
        run(case, urls, rounds)


if __name__ == "__main__":
    main()
