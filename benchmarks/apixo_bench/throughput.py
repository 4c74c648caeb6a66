"""Polls and submits of each server in turn, round by round, beside a raw ASGI callable."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from apixo_bench import load
from apixo_bench.figures import Bar, Figure, ratios
from apixo_bench.servers import (
    APPLICATION,
    FASTAPI,
    FLASK,
    HTTPSERVER,
    LIMIT,
    STARLETTE,
    CannotRunError,
    Running,
    Server,
    emulator,
    running,
)

KINDS = ("status", "submit")
# Least shares of the limit, by processor time.
AIMS = {"emulator": (1.1, 0.63), APPLICATION.name: (0.55, 0.38)}
QUICK = (LIMIT, emulator(), APPLICATION, STARLETTE, FASTAPI)
ALL = (*QUICK, FLASK, HTTPSERVER)
_POLLED = 64


@dataclass(slots=True)
class Track:
    """What one server did, by kind of call; ``absent`` says why it did not run."""

    server: Server
    results: dict[str, list[load.Result]] = field(default_factory=lambda: {k: [] for k in KINDS})
    # Processor time of the server in µs an answer: steadier than a rate on a shared machine.
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {k: [] for k in KINDS})
    absent: str = ""

    def rps(self, kind: str) -> tuple[float, ...]:
        """Return the requests a second, a value a round."""
        return tuple(result.rps for result in self.results[kind])


def race(servers: tuple[Server, ...], rounds: int, seconds: float) -> list[Track]:
    """Start all that can be started, then load each in turn; idle ones are frozen."""
    with ExitStack() as stack:
        tracks = [Track(server) for server in servers]
        started = [(track, *found) for track in tracks if (found := _start(track, stack))]
        for _ in range(rounds):
            for track, server, ids in started:
                server.thaw()
                for kind in KINDS:
                    _load(track, kind, server, ids, seconds)
                server.freeze()
    return tracks


def _start(track: Track, stack: ExitStack) -> tuple[Running, list[str]] | None:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="apixo-bench-")))
    try:
        server = stack.enter_context(running(track.server, folder=folder))
        known = track.server.task_id
        ids = [known] if known else server.succeeded(_POLLED)
        for kind in KINDS:  # to warm up
            load.run(server.port, _requests(kind, ids), seconds=1)
    except CannotRunError as error:
        track.absent = str(error)
        return None
    server.freeze()
    return server, ids


def _load(track: Track, kind: str, server: Running, ids: list[str], seconds: float) -> None:
    before = server.cpu_s()
    done = load.run(server.port, _requests(kind, ids), seconds=seconds)
    track.results[kind].append(done)
    track.cpu_us[kind].append((server.cpu_s() - before) / done.answers * 1e6)


def _requests(kind: str, ids: list[str]) -> list[load.Request]:
    return load.polls(ids) if kind == "status" else load.submits()


def figures(tracks: list[Track]) -> list[Figure]:
    """Compare each server with the limit, and the emulator with the mock by hand."""
    limit = tracks[0]
    by_hand = next(track for track in tracks if track.server is FASTAPI)
    found = []
    for kind in KINDS:
        for track in tracks:
            title = f"{kind}: {track.server.name}"
            if track.absent:
                found.append(Figure(title, "/s", note=track.absent))
                continue
            found += _compared(track, limit, kind)
            if track.server.name in AIMS and not by_hand.absent:
                ahead = ratios(track.rps(kind), by_hand.rps(kind))
                found.append(Figure(f"{title} to {FASTAPI.name}", "x", ahead, least=1))
    return found


def _compared(track: Track, limit: Track, kind: str) -> list[Figure]:
    results = track.results[kind]
    errors = sum(one.errors for one in results)
    words = [
        f"{errors} ANSWERS WERE NO 200" if errors else "",
        f"{median(track.cpu_us[kind]):.0f} µs CPU",
        f"p50 {median(one.p50_ms for one in results):.2f} ms",
        f"p99 {median(one.p99_ms for one in results):.2f} ms",
        track.server.note,
    ]
    title = f"{kind}: {track.server.name}"
    aims = AIMS.get(track.server.name)
    share = ratios(limit.cpu_us[kind], track.cpu_us[kind])
    return [
        Figure(title, "/s", track.rps(kind), note="; ".join(filter(None, words))),
        Figure(
            f"{title}, of the limit by CPU time",
            "x",
            share,
            least=aims[KINDS.index(kind)] if aims else None,
        ),
    ]


def bars(tracks: list[Track]) -> list[Bar]:
    """Return what the chart shows."""
    roles = {LIMIT.name: "limit", "emulator": "ours"}
    return [
        Bar(
            track.server.name,
            median(track.rps("status")),
            median(track.rps("submit")),
            roles.get(track.server.name, "peer"),
        )
        for track in tracks
        if not track.absent
    ]
