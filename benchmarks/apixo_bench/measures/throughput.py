"""Polls and submits a second of every contestant, in turn, round by round."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from apixo_bench import contestants, load
from apixo_bench.bench import Bench
from apixo_bench.contestants import FASTAPI, LIMIT, Contestant
from apixo_bench.figures import Aim, Figure, at_least, at_most, ratios
from apixo_bench.servers import CannotRunError, Running, running

KINDS = ("status", "submit")
# Of the limit's requests a second, and of its p99.
AIMS = {"status": at_least(0.75), "submit": at_least(0.55)}
P99_AIM = at_most(2)
AHEAD = at_least(3.5)
_POLLED = 64
_WARM_S = 1.0
# A JVM compiles what is hot only after some thousand calls.
_WARM_JVM_S = 5.0


@dataclass(slots=True)
class Track:
    """What one contestant did, by kind of call; ``absent`` says why it did not run."""

    contestant: Contestant
    results: dict[str, list[load.Result]] = field(default_factory=lambda: {k: [] for k in KINDS})
    # Processor time of the server, in µs an answer: steadier than a rate on a shared machine.
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {k: [] for k in KINDS})
    absent: str = ""

    def rps(self, kind: str) -> tuple[float, ...]:
        """Give the requests a second, a value a round."""
        return tuple(result.rps for result in self.results[kind])

    def p99(self, kind: str) -> tuple[float, ...]:
        """Give the 99th percentile in ms, a value a round."""
        return tuple(result.p99_ms for result in self.results[kind])

    @property
    def errors(self) -> int:
        """Count the answers that were no 200."""
        return sum(result.errors for results in self.results.values() for result in results)


def race(bench: Bench, field_: list[Contestant]) -> list[Track]:
    """Start all that can be started, then load each in turn, round by round.

    They stay up, but frozen while others run: a JVM goes on compiling and a Node collecting.
    """
    with ExitStack() as stack:
        tracks = [Track(contestant) for contestant in field_]
        up = [entry for track in tracks if (entry := _start(bench, track, stack))]
        for number in range(bench.rounds):
            bench.say(f"round {number + 1} of {bench.rounds}")
            for entry in up:
                _round(bench, entry)
    return tracks


@dataclass(frozen=True, slots=True)
class _Entry:
    track: Track
    server: Running
    ids: list[str]


def _start(bench: Bench, track: Track, stack: ExitStack) -> _Entry | None:
    contestant = track.contestant
    bench.say(f"starting {contestant.name}")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="apixo-bench-")))
    try:
        server = stack.enter_context(running(contestant.command(folder), folder))
        ids = [contestant.task_id] if contestant.task_id else _submitted(server)
        warm = _WARM_JVM_S if contestant.name == "WireMock" else _WARM_S
        for kind in _kinds(contestant):
            load.run(server.port, _requests(kind, ids), seconds=warm)
    except CannotRunError as error:
        track.absent = str(error)
        return None
    server.freeze()
    return _Entry(track, server, ids)


def _submitted(server: Running) -> list[str]:
    """Submit some tasks and wait until the last has ended, as polls see it."""
    ids = [server.submit() for _ in range(_POLLED)]
    poll = load.polls(ids[-1:])[0]
    while server.call(poll.method, poll.path)["data"]["state"] != "success":
        pass
    return ids


def _kinds(contestant: Contestant) -> tuple[str, ...]:
    return KINDS if contestant.submits else KINDS[:1]


def _requests(kind: str, ids: list[str]) -> list[load.Request]:
    return load.polls(ids) if kind == "status" else load.submits()


def _round(bench: Bench, entry: _Entry) -> None:
    entry.server.thaw()
    for kind in _kinds(entry.track.contestant):
        before = entry.server.cpu_s()
        done = load.run(entry.server.port, _requests(kind, entry.ids), seconds=bench.seconds)
        entry.track.results[kind].append(done)
        entry.track.cpu_us[kind].append((entry.server.cpu_s() - before) / done.answers * 1e6)
    entry.server.freeze()


def run(bench: Bench) -> list[Figure]:
    """Race the whole field."""
    found = contestants.all_of(bench.checkouts)
    quick = {LIMIT, FASTAPI, *(checkout.name for checkout in bench.checkouts)}
    tracks = race(bench, [one for one in found if not bench.quick or one.name in quick])
    return [figure for kind in KINDS for figure in _figures(bench, tracks, kind)]


def _figures(bench: Bench, tracks: list[Track], kind: str) -> list[Figure]:
    limit = next(track for track in tracks if track.contestant.name == LIMIT)
    ours = {checkout.name for checkout in bench.checkouts}
    figures = []
    for track in tracks:
        if not track.results[kind]:
            why = track.absent or f"not measured: {track.contestant.note}"
            figures.append(Figure(f"{kind}: {track.contestant.name}", "/s", note=why))
            continue
        aims = (AIMS[kind], P99_AIM) if track.contestant.name in ours else (None, None)
        figures += _lines(track, limit, kind, aims)
    return [*figures, *_ahead(tracks, ours, kind)]


def _lines(
    track: Track, limit: Track, kind: str, aims: tuple[Aim | None, Aim | None]
) -> list[Figure]:
    title, plain = f"{kind}: {track.contestant.name}", aims == (None, None)
    rps, p99 = track.rps(kind), track.p99(kind)
    share, slower = ratios(rps, limit.rps(kind)), ratios(p99, limit.p99(kind))
    p50 = tuple(one.p50_ms for one in track.results[kind])
    cpu = tuple(track.cpu_us[kind])
    lean = ratios(limit.cpu_us[kind], cpu)
    words = f"{median(share):.2f} of the limit; {median(cpu):.0f} µs CPU; p50 {median(p50):.2f} ms, p99 {median(p99):.2f} ms"
    if track.contestant.note:
        words = f"{words}; {track.contestant.note}"
    if track.errors:
        words = f"{track.errors} ANSWERS WERE NO 200; {words}"
    return [
        Figure(title, "/s", rps, note=words),
        Figure(f"{title}, of the limit", "x", share, aims[0], detail=plain),
        Figure(f"{title}, of the limit by CPU time", "x", lean, aims[0], detail=plain),
        Figure(f"{title}, CPU", "µs", cpu, detail=True),
        Figure(f"{title}, p50", "ms", p50, detail=True),
        Figure(f"{title}, p99", "ms", p99, detail=True),
        Figure(f"{title}, p99 of the limit's", "x", slower, aims[1], detail=plain),
    ]


def _ahead(tracks: list[Track], ours: set[str], kind: str) -> list[Figure]:
    """Say how far each emulator is ahead of the hand-written mock, and of each other peer."""
    others = [t for t in tracks if t.results[kind] and t.contestant.name not in (*ours, LIMIT)]
    figures = []
    for track in (t for t in tracks if t.contestant.name in ours and t.results[kind]):
        best = max(others, key=lambda other: median(other.rps(kind)), default=None)
        for other in others:
            by_hand = other.contestant.name == FASTAPI
            title = f"{kind}: {track.contestant.name} to {other.contestant.name}"
            ratio = ratios(track.rps(kind), other.rps(kind))
            aim, seen = (AHEAD if by_hand else at_least(1)), by_hand or other is best
            figures.append(Figure(title, "x", ratio, aim, detail=not seen))
    return figures
