"""A guard of speed that no noise can fail: counted work and not time.

Each ceiling is what the call took when it was recorded, and a tenth more. A change that needs more
may raise it, if what it buys is worth it: `make bench` tells what it costs.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from support.harness import KEY, STATUS, SUBMIT, make_harness

from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.service import Emulator
from apixo_emulator.storage import SqliteStore

BATCH = 32
BODY = (
    b'{"request_type":"async","input":{"mode":"image-to-image","image_urls":'
    b'["https://example.com/input.jpg"],"resolution":"4k","output_format":"jpg"}}'
)
HEADERS = [
    (b"host", b"127.0.0.1:8787"),
    (b"authorization", f"Bearer {KEY}".encode()),
    (b"content-type", b"application/json"),
]
# Python functions entered for one call.
STATUS_CALLS = 32
# Of a body that was sent before.
SUBMIT_CALLS = 60
# Of Python, of uvicorn and our own, when `serve` starts.
START_MODULES = 470


def submitting() -> HttpRequest:
    return HttpRequest("POST", SUBMIT, b"", HEADERS, BODY, "http://127.0.0.1:8787")


def polling(task_id: str) -> HttpRequest:
    return HttpRequest(
        "GET", STATUS, f"taskId={task_id}".encode(), HEADERS, b"", "http://127.0.0.1:8787"
    )


def answered(emulator: Emulator, requests: list[HttpRequest]) -> list[HttpResponse]:
    """Answer submits as the server does: decided one by one, kept together."""
    pending = [emulator.decide(request) for request in requests]
    waiting = [one for one in pending if not isinstance(one, HttpResponse)]
    assert len(waiting) == len(pending)
    return emulator.accept(waiting)


def functions_entered(work: Callable[[], object]) -> Counter[str]:
    """Count the Python functions that are entered by a piece of work, by name."""
    entered: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            entered[frame.f_code.co_qualname] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return entered


@contextmanager
def statements(store: SqliteStore) -> Iterator[list[str]]:
    """Collect the SQL that a store runs."""
    run: list[str] = []
    database: sqlite3.Connection = store._writer.db
    database.set_trace_callback(run.append)
    try:
        yield run
    finally:
        database.set_trace_callback(None)


@pytest.fixture
def store() -> SqliteStore:
    return SqliteStore(None)


@pytest.fixture
def emulator(store: SqliteStore) -> Emulator:
    emulator = make_harness(store=store, alone=True).emulator
    answered(emulator, [submitting()] * 3)  # what is made once has been made
    return emulator


def task_of(emulator: Emulator) -> str:
    body = answered(emulator, [submitting()])[0].body
    return body.partition(b'"taskId":"')[2].partition(b'"')[0].decode()


def test_a_poll_enters_few_functions(emulator: Emulator) -> None:
    request = polling(task_of(emulator))
    assert emulator.handle(request).status == 200
    entered = functions_entered(lambda: emulator.handle(request))
    assert entered.total() <= STATUS_CALLS, entered.most_common()


def test_a_poll_of_a_task_that_was_seen_runs_no_sql(store: SqliteStore, emulator: Emulator) -> None:
    request = polling(task_of(emulator))
    emulator.handle(request)
    with statements(store) as run:
        assert emulator.handle(request).status == 200
    assert run == []


def test_a_submit_enters_few_functions(emulator: Emulator) -> None:
    entered = functions_entered(lambda: answered(emulator, [submitting()] * BATCH))
    assert entered.total() <= SUBMIT_CALLS * BATCH, entered.most_common(40)


def test_submits_that_came_together_are_kept_in_one_transaction(
    store: SqliteStore, emulator: Emulator
) -> None:
    with statements(store) as run:
        answers = answered(emulator, [submitting()] * BATCH)
    assert {answer.status for answer in answers} == {200}
    kinds = Counter(statement.split()[0].upper() for statement in run)
    assert kinds["BEGIN"] == kinds["COMMIT"] == 1
    inserted = [one for one in run if one.upper().startswith("INSERT INTO TASKS")]
    assert len(inserted) == BATCH
    # The charge and the count of this content, whatever the number of submits.
    assert len(run) - len(inserted) - 2 <= 4, run


@pytest.mark.slow
def test_a_start_loads_nothing_that_only_control_or_pictures_need() -> None:
    heavy = {
        *("httpx", "jinja2", "jsonschema", "psycopg", "pyvips"),
        *("apixo_emulator.control_commands", "apixo_emulator.http.control"),
    }
    program = (
        "import sys, apixo_emulator.cli, apixo_emulator.serve\n"
        f"print({heavy!r} & sys.modules.keys(), len(sys.modules))"
    )
    # Coverage measures what is started, too, and loads 60 modules for it.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, env=alone
    )
    loaded, count = done.stdout.decode().rsplit(" ", 1)
    assert loaded == "set()"
    assert int(count) <= START_MODULES
