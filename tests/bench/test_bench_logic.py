from __future__ import annotations

import asyncio
import json
from xml.etree import ElementTree as ET

import pytest
from apixo_bench.chart import Bar, draw
from apixo_bench.figures import Figure, at_least, at_most, percentile, ratios
from apixo_bench.load import Request, polls
from apixo_bench.loader import is_whole, load
from apixo_bench.measures.layers import LOOP, OTHER_THREADS, by_layer, layer_of
from apixo_bench.report import Section, as_json, bars, line, number, table
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=40)
LOOP_FRAME = "Runner.run (asyncio/runners.py:118)"


@given(VALUES)
def test_the_verdict_goes_by_the_median(values: list[float]) -> None:
    figure = Figure("f", "/s", tuple(values))
    median = figure.median
    assert min(values) <= median <= max(values)
    assert Figure("f", "/s", tuple(values), at_least(median)).verdict == "met"
    assert Figure("f", "/s", tuple(values), at_least(median * 1.01)).verdict == "MISSED"
    assert Figure("f", "/s", tuple(values), at_most(median)).verdict == "met"
    assert Figure("f", "/s", tuple(values), at_most(median * 0.99)).verdict == "MISSED"
    assert Figure("f", "/s", tuple(values)).verdict == ""


@given(VALUES)
def test_ratios_are_taken_round_by_round(values: list[float]) -> None:
    assert set(ratios(values, values)) == {1.0}
    doubled = [value * 2 for value in values]
    assert set(ratios(doubled, values)) == {2.0}


def test_rounds_of_different_runs_are_not_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0])


@given(st.lists(st.integers(), min_size=1).map(sorted), st.floats(0, 1))
def test_at_least_that_share_lies_at_or_below_a_percentile(
    ordered: list[int], share: float
) -> None:
    value = percentile(ordered, share)
    assert value in ordered
    assert sum(one <= value for one in ordered) >= share * len(ordered)


BODIES = st.binary(max_size=60)


@given(BODIES, st.integers(0, 200))
def test_an_answer_with_a_length_is_whole_exactly_when_all_of_it_has_come(
    body: bytes, cut: int
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    assert is_whole(answer)
    assert is_whole(answer[:cut]) is (cut >= len(answer))


def test_a_chunked_answer_is_whole_at_its_last_chunk() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    assert is_whole(answer)
    assert not is_whole(answer[:-1])


class Answering(asyncio.Protocol):
    """A server of one fixed answer, which knows its connections."""

    def __init__(self, status: bytes, there: set[Answering]) -> None:
        self._answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}"
        self._there = there

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._there.add(self)

    def data_received(self, data: bytes) -> None:
        assert data.endswith(b"\r\n\r\n")  # one call at a time
        self._transport.write(self._answer)

    def connection_lost(self, exc: Exception | None) -> None:
        assert exc is None or isinstance(exc, ConnectionError)
        self._there.discard(self)


async def loaded(status: bytes) -> dict[str, float]:
    loop, there = asyncio.get_running_loop(), set[Answering]()
    server = await loop.create_server(lambda: Answering(status, there), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    asked = [entry.wire("127.0.0.1") for entry in polls(["a", "b"])]
    found: dict[str, float] = json.loads(await load(port, asked, 2, 0.05))
    server.close()
    while there:  # noqa: ASYNC110 - the loop itself takes them out
        await asyncio.sleep(0)
    return found


def test_the_bundled_load_counts_answers_and_errors() -> None:
    good, bad = asyncio.run(loaded(b"200 OK")), asyncio.run(loaded(b"404 Not Found"))
    assert good["answers"] > 0 == good["errors"]
    assert bad["answers"] == bad["errors"] > 0
    assert good["p50_ms"] <= good["p99_ms"]


def test_a_request_on_the_wire_has_its_length() -> None:
    wire = Request("POST", "/x", "é").wire("h")
    head, _, body = wire.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /x HTTP/1.1\r\nHost: h\r\n")
    assert b"Content-Length: 2" in head
    assert body == "é".encode()


@pytest.mark.parametrize(
    ("frames", "layer"),
    [
        ([LOOP_FRAME], LOOP),
        (["serve (apixo_emulator/http/run.py:5)", LOOP_FRAME], LOOP),
        ([LOOP_FRAME, "handle (apixo_emulator/service/emulator.py:9)"], "gate, clock, worlds"),
        (
            [LOOP_FRAME, "x (apixo_emulator/service/emulator.py:9)", "loads (json/decoder.py:1)"],
            "gate, clock, worlds",
        ),
        ([LOOP_FRAME, "x (apixo_emulator/storage/sqlite.py:9)"], "SQLite"),
        (["Thread.run (threading.py:1)", "x (apixo_emulator/storage/a.py:9)"], OTHER_THREADS),
    ],
)
def test_a_sample_belongs_to_the_innermost_layer_within_the_loop(
    frames: list[str], layer: str
) -> None:
    assert layer_of(frames) == layer
    assert by_layer(f"{';'.join(frames)} 3\n{';'.join(frames)} 4") == {layer: 7}


def test_a_line_says_median_range_aim_and_why_there_is_none() -> None:
    shown = line(Figure("f", "ms", (3.0, 1.0, 2.0), at_most(1.5), note="n"))
    assert " ".join(shown.split()) == "f 2.00 ms [1.00 .. 3.00] aim at most 1.5: MISSED (n)"
    assert line(Figure("peer", "/s", note="not installed")).split()[1:3] == ["absent", "(not"]
    assert [number(value) for value in (1234.5, 99.95, 0.123)] == ["1,234", "100.0", "0.12"]


SECTION = Section(
    "Requests",
    (
        Figure("status: raw ASGI callable", "/s", (100.0,)),
        Figure("status: emulator", "/s", (90.0, 110.0)),
        Figure("submit: emulator", "/s", (50.0,)),
        Figure("status: emulator, p99", "ms", (1.0,), detail=True),
        Figure("status: Prism", "/s", note="not installed"),
    ),
    1.0,
)


def test_details_stand_in_the_json_alone() -> None:
    assert "p99" not in table(SECTION)
    document = json.loads(as_json({"cores": "2"}, [SECTION]))
    titles = {entry["title"]: entry for entry in document["sections"]["Requests"]}
    assert titles["status: emulator, p99"]["median"] == 1.0
    assert "median" not in titles["status: Prism"]


def test_the_chart_shows_every_contestant_that_ran() -> None:
    found = bars([SECTION])
    assert found == [
        Bar("raw ASGI callable", 100.0, None, "limit"),
        Bar("emulator", 100.0, 50.0, "ours"),
    ]
    drawn = draw([*found, Bar("a <peer> & co", 10.0, 5.0, "peer")], "on two cores")
    tree = ET.fromstring(drawn)  # noqa: S314 - our own
    assert "prefers-color-scheme: dark" in drawn
    widths = [float(one.attrib["width"]) for one in tree.iter("{http://www.w3.org/2000/svg}rect")]
    limit, ours = (widths[0], widths[1])
    assert limit == ours == max(widths)
    assert min(widths) == limit / 20
