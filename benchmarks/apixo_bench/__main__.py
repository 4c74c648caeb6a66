"""Measure the emulator beside a raw ASGI callable and what people use instead.

Run: PYTHONPATH=benchmarks python -m apixo_bench [--quick] [--only NAME …]
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from apixo_bench import behaviour, throughput
from apixo_bench.figures import Bar, Figure, as_json, chart
from apixo_bench.servers import CannotRunError, machine

RESULTS = Path(__file__).parent.parent / "results"
_CALLBACKS, _CALLBACKS_QUICK = 10_000, 1_000
_STOPPED = 130
_bars: list[Bar] = []


def _throughput(given: argparse.Namespace) -> list[Figure]:
    servers = throughput.QUICK if given.quick else throughput.ALL
    tracks = throughput.race(servers, given.rounds, given.seconds)
    _bars.extend(throughput.bars(tracks))
    return throughput.figures(tracks)


MEASURES: dict[str, Callable[[argparse.Namespace], list[Figure]]] = {
    "throughput": _throughput,
    "start": lambda given: behaviour.start(given.rounds),
    "callbacks": lambda given: behaviour.callbacks(
        given.rounds, _CALLBACKS_QUICK if given.quick else _CALLBACKS
    ),
    "pictures": lambda given: behaviour.pictures(given.rounds),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round, fewer peers")
    parser.add_argument("--only", nargs="+", choices=[*MEASURES], help="these measures alone")
    parser.add_argument("--rounds", type=int, help="of each measure [default: 3, quick 1]")
    parser.add_argument("--seconds", type=float, help="of load a round [default: 2, quick 1]")
    parser.add_argument(
        "--out", type=Path, help=f"where results go [default: {RESULTS}, full only]"
    )
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 3)
    given.seconds = given.seconds or (1.0 if given.quick else 2.0)
    if not 1 <= given.rounds <= 1000 or not 1 <= given.seconds <= 1000:  # noqa: PLR2004 - as the message says
        parser.error("--rounds and --seconds: expected 1 to 1000")
    return given


def _stop(number: int, _frame: object) -> None:
    """End as on Ctrl-C: servers that were started are stopped, and their folders removed."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _run(given: argparse.Namespace) -> None:
    about = {**machine(), "load": "wrk" if shutil.which("wrk") else "bundled"}
    print("; ".join(f"{name}: {value}" for name, value in about.items()))
    sections: dict[str, list[Figure]] = {}
    for name in given.only or MEASURES:
        try:
            sections[name] = MEASURES[name](given)
        except CannotRunError as error:  # said in the report; the other measures go on
            sections[name] = [Figure(name, "", note=str(error))]
        print("\n".join(["", name, *map(str, sections[name])]), flush=True)
    figures = [figure for found in sections.values() for figure in found if figure.verdict]
    missed = [figure.title for figure in figures if figure.verdict != "met"]
    print(f"\naims: {len(figures) - len(missed)} met, {len(missed)} missed")
    print("\n".join(f"  missed: {title}" for title in missed))
    out = given.out or (None if given.quick or given.only else RESULTS)
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "latest.json").write_text(as_json(about, sections), "utf-8")
    if _bars:
        subtitle = f"{about['cpu']}, one core for the server, one for the load; median of rounds"
        (out / "chart.svg").write_text(chart(_bars, subtitle), "utf-8")
    print(f"written to {out}")


def main() -> None:
    """Measure, print, write."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        _run(_arguments())
    except KeyboardInterrupt:
        print("apixo_bench: stopped; nothing was written", file=sys.stderr)
        sys.exit(_STOPPED)


if __name__ == "__main__":
    main()
