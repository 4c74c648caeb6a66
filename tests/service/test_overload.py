"""Many calls at once on PostgreSQL: polls do not wait for submits, and what is too much gets 503."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from support.harness import KEY, STATUS, SUBMIT, body, make_harness

from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.service import batcher as batcher_module
from apixo_emulator.service.batcher import Batcher
from apixo_emulator.storage.postgres import PostgresStore

pytestmark = pytest.mark.slow
HEADERS = ((b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json"))
MOST_WAITING = 1000
READERS = PostgresStore.readers


class FrozenClock:
    """The batcher's clock: no call has waited for long unless a test says so."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FrozenClock:
    frozen = FrozenClock()
    monkeypatch.setattr(batcher_module, "time", frozen)
    return frozen


def run(url: str, scenario: Callable[[Batcher, HttpRequest], Awaitable[None]]) -> None:
    """Run a scenario with the batcher of an emulator, and a poll of a task that exists."""

    async def batched() -> None:
        harness = make_harness(store=PostgresStore(url))
        poll = call("GET", STATUS, f"taskId={harness.submitted()}")
        batcher = Batcher(harness.emulator)
        await scenario(batcher, poll)
        batcher.close()
        harness.emulator.close()

    asyncio.run(batched())


def call(method: str, path: str, query: str = "", sent: bytes = b"") -> HttpRequest:
    return HttpRequest(method, path, query.encode(), HEADERS, sent, "http://127.0.0.1:8787")


SUBMITTED = call("POST", SUBMIT, sent=json.dumps(body()).encode())


async def answer(batcher: Batcher, request: HttpRequest) -> HttpResponse:
    answered = batcher.handle(request)
    return answered if isinstance(answered, HttpResponse) else await answered


def test_polls_are_answered_while_submits_wait(postgres_url: str) -> None:
    async def scenario(batcher: Batcher, poll: HttpRequest) -> None:
        with psycopg.connect(postgres_url) as blocker:
            blocker.execute("LOCK TABLE accounts")
            # More than one transaction takes: the last waits for several that wait for the lock.
            submits = [asyncio.ensure_future(answer(batcher, SUBMITTED)) for _ in range(640)]
            polls = await asyncio.gather(*(answer(batcher, poll) for _ in range(20)))
            assert {one.status for one in polls} == {200}
            assert not submits[-1].done()
        await asyncio.gather(*submits)

    run(postgres_url, scenario)


def test_more_polls_than_may_wait_are_refused_at_once(postgres_url: str) -> None:
    async def scenario(batcher: Batcher, poll: HttpRequest) -> None:
        with psycopg.connect(postgres_url) as blocker:
            blocker.execute("LOCK TABLE worlds")
            answers = [batcher.handle(poll) for _ in range(MOST_WAITING + 100)]
            futures = [one for one in answers if not isinstance(one, HttpResponse)]
            refused = [one for one in answers if isinstance(one, HttpResponse)]
        assert len(refused) == 100
        assert {one.status for one in refused} == {503}
        assert {dict(one.headers)[b"retry-after"] for one in refused} == {b"1"}
        assert json.loads(refused[0].body)["code"] == 503
        assert (await futures[MOST_WAITING - 1]).status == 200
        await asyncio.gather(*futures)

    run(postgres_url, scenario)


@pytest.mark.parametrize(("table", "at_once"), [("worlds", READERS), ("accounts", 64)])
def test_a_call_that_has_waited_for_too_long_is_refused(
    postgres_url: str,
    clock: FrozenClock,
    caplog: pytest.LogCaptureFixture,
    table: str,
    at_once: int,
) -> None:
    async def scenario(batcher: Batcher, poll: HttpRequest) -> None:
        waiting = poll if table == "worlds" else SUBMITTED
        with psycopg.connect(postgres_url) as blocker:
            blocker.execute(f"LOCK TABLE {table}".encode())
            calls = [asyncio.ensure_future(answer(batcher, waiting)) for _ in range(at_once * 3)]
            # The first ones end with the time that a statement may take.
            first = await asyncio.gather(*calls[:at_once])
            clock.seconds = 6.0
        later = await asyncio.gather(*calls[at_once:])
        assert {one.status for one in first} == {500}
        # As many may have begun to wait for the database before the time was over.
        assert [one.status for one in later].count(503) >= at_once
        assert {record.exc_info for record in caplog.records} == {None}

    run(postgres_url, scenario)
