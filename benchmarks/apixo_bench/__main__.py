"""Measure the emulator beside the limit and its peers.

Run: PYTHONPATH=benchmarks python -m apixo_bench [--quick] [--only NAME …] [--emulator NAME=PATH …]
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from importlib import import_module
from pathlib import Path

from apixo_bench import chart, cores, load, node, report
from apixo_bench.bench import Bench, Measure
from apixo_bench.figures import Figure
from apixo_bench.report import Section
from apixo_bench.servers import CannotRunError, Checkout

# In the order of the report; those of the quick run first.
QUICK = {
    "throughput": "Requests a second, 32 connections",
    "generator": "The load itself",
}
FULL = {
    "workers": "Two processes",
    "start": "Start, memory, many tasks",
    "callbacks": "Callbacks",
    "pictures": "Pictures and polls together",
    "memory": "Memory over many submits",
    "imports": "Import of the client",
    "layers": "Where the time goes",
    "inprocess": "In process, one call",
    "stores": "Submits by store",
    "rendering": "Drawing one 8k result of 1280x720",
}
# Seconds after which no further measure begins; what was asked for by name always does.
BUDGET_S = 540.0
# Rounds, and seconds of each.
_MOST = 1000
_STOPPED = 130
RESULTS = Path(__file__).parent.parent / "results"


def _checkout(text: str) -> Checkout:
    name, found, path = text.partition("=")
    tree = Path(path if found else name).resolve()
    if not (tree / "emulator").is_dir():
        raise argparse.ArgumentTypeError(f"expected NAME=PATH of a source tree, found {text!r}")
    return Checkout(name if found else "emulator", tree)


def _rounds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST):
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {_MOST}, found {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= _MOST:  # wrk counts whole ones; nan is in no range
        raise argparse.ArgumentTypeError(f"expected seconds from 1 to {_MOST}, found {text!r}")
    return seconds


def _folder(text: str) -> Path:
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write to {text}: {error.strerror}") from None
    return path


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="under a minute, fewer peers")
    parser.add_argument("--install", action="store_true", help="install the peers from npm first")
    parser.add_argument("--only", nargs="+", choices=[*QUICK, *FULL], help="these measures alone")
    parser.add_argument("--rounds", type=_rounds, help="rounds of each measure [default: 3]")
    parser.add_argument("--seconds", type=_seconds, help="of load a round [default: 2, quick 1]")
    parser.add_argument(
        "--emulator",
        action="append",
        type=_checkout,
        metavar="NAME=PATH",
        help="measure this source tree; repeat to compare [default: what is installed]",
    )
    parser.add_argument(
        "--out", type=_folder, help=f"where results go [default: {RESULTS}, full only]"
    )
    return parser.parse_args()


def _bench(given: argparse.Namespace) -> Bench:
    return Bench(
        checkouts=given.emulator or [Checkout()],
        quick=given.quick,
        rounds=given.rounds or 3,
        seconds=given.seconds or (1.0 if given.quick else 2.0),
    )


def _measure(bench: Bench, name: str, title: str) -> Section:
    measure: Measure = import_module(f"apixo_bench.measures.{name}").run
    began = time.monotonic()
    try:
        figures = tuple(measure(bench))
    except CannotRunError as error:  # said in the report; the other measures go on
        figures = (Figure(name, "", note=str(error)),)
    return Section(title, figures, time.monotonic() - began)


def _stop(number: int, _frame: object) -> None:
    """End as on Ctrl-C: servers that were started are thawed and ended, and their folders go."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> None:
    """Measure, print, write."""
    signal.signal(signal.SIGTERM, _stop)
    given = _arguments()
    try:
        _run(given)
    except KeyboardInterrupt:
        print("apixo_bench: stopped; nothing was written", file=sys.stderr)
        sys.exit(_STOPPED)


def _run(given: argparse.Namespace) -> None:
    if given.install:
        try:
            node.install()
        except CannotRunError as error:
            print(f"apixo_bench: {error}", file=sys.stderr)
    bench = _bench(given)
    known = {**QUICK, **({} if given.quick else FULL)}
    chosen = {name: {**QUICK, **FULL}[name] for name in given.only or known}
    machine = {**cores.machine(), "load": load.generator()}
    print("; ".join(f"{name}: {value}" for name, value in machine.items()), end="\n\n")
    sections: list[Section] = []
    began = time.monotonic()
    for name, title in chosen.items():
        if not given.only and time.monotonic() - began > BUDGET_S:
            print(f"left out, nine minutes are over: {name}; --only {name} measures it\n")
            continue
        sections.append(_measure(bench, name, title))
        print(report.table(sections[-1]), flush=True)
    print(report.aims(sections))
    out = given.out or (None if given.quick or given.only else RESULTS)
    if out is not None:
        _write(out, machine, sections)


def _write(out: Path, machine: dict[str, str], sections: list[Section]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "latest.json").write_text(report.as_json(machine, sections), "utf-8")
    bars = report.bars(sections)
    if bars:
        subtitle = f"{machine['cpu']}, one core for the server, one for the load; median of rounds"
        (out / "chart.svg").write_text(chart.draw(bars, subtitle), "utf-8")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
