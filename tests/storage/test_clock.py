"""The instant now of a store: forward with the system's or the database's clock, and never back."""

import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_emulator.storage import SqliteStore, StoreError
from apixo_emulator.storage.clock import DatabaseClock, SystemClock

HOUR = 3_600_000
START = 1_767_965_610_929


@dataclass
class Machine:
    """A machine's two clocks, in ms: the system's, which is set, and the monotonic one."""

    system: int = START
    monotonic: int = 50_000

    def run(self, ms: int) -> None:
        self.system += ms
        self.monotonic += ms


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(time, "time_ns", lambda: machine.system * 1_000_000)
    monkeypatch.setattr(time, "monotonic_ns", lambda: machine.monotonic * 1_000_000)
    return machine


def test_it_follows_the_system_clock_after_a_sleep_or_a_step_forward(machine: Machine) -> None:
    clock = SystemClock()
    machine.run(10)
    assert clock() == START + 10
    machine.system += HOUR  # while the machine sleeps its monotonic clock stands still
    assert clock() == START + 10 + HOUR
    machine.run(5)
    assert clock() == START + 15 + HOUR


def test_it_is_the_system_clock_and_its_file_is_written_seldom(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The two clocks do not begin a millisecond at the same instant.
    ran_us = 0
    monkeypatch.setattr(time, "time_ns", lambda: START * 1_000_000 + (900 + ran_us) * 1000)
    monkeypatch.setattr(time, "monotonic_ns", lambda: (100 + ran_us) * 1000)
    file = tmp_path / "clock"
    clocks = [SystemClock(file) for _ in range(2)]
    kept = set()
    for _ in range(10_000):
        ran_us += 300
        for clock in clocks:
            assert 0 <= clock() - time.time_ns() // 1_000_000 <= 1
        kept.add(file.read_bytes())
    assert len(kept) <= 40
    for clock in clocks:
        clock.close()


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(-HOUR, HOUR)), max_size=12))
def test_it_never_goes_back_and_never_stands_still(steps: list[tuple[int, int]]) -> None:
    machine = Machine()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: machine.system * 1_000_000)
        patch.setattr(time, "monotonic_ns", lambda: machine.monotonic * 1_000_000)
        clock = SystemClock()
        before = clock()
        for ran, stepped in steps:
            machine.run(ran)
            machine.system += stepped
            now = clock()
            assert now >= max(before + ran, machine.system)
            before = now


def test_processes_of_a_folder_agree_after_the_system_clock_was_set_back(
    machine: Machine, tmp_path: Path
) -> None:
    first, second = (SystemClock(tmp_path / "clock") for _ in range(2))
    first()
    machine.system += HOUR
    latest = first()  # the second has not looked while the clock was ahead
    machine.system -= HOUR
    machine.run(300)
    late = SystemClock(tmp_path / "clock")
    shown = [clock() for clock in (first, second, late, first)]
    assert shown == sorted(shown)
    assert latest < shown[0]
    assert shown[-1] < latest + 1000
    for clock in (first, second, late):
        clock.close()


@pytest.mark.parametrize(
    "content",
    [b"not a number of 64 bits", b"\0", b"\xff" * 8, b"\x7f" * 8, struct.pack("<q", START * 2)],
)
def test_a_damaged_file_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "clock").write_bytes(content)
    with pytest.raises(
        StoreError, match=r"clock is damaged: expected .*found .*Delete the file"
    ) as e:
        SqliteStore(tmp_path / "state.sqlite3")
    assert "\n" not in str(e.value)
    (tmp_path / "clock").unlink()
    SqliteStore(tmp_path / "state.sqlite3").close()


def test_a_pipe_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clock")
    with pytest.raises(StoreError, match="clock is no regular file"):
        SqliteStore(tmp_path / "state.sqlite3")


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff" * 8, struct.pack("<q", START * 2)])
def test_a_file_that_is_damaged_while_the_clock_runs_changes_no_instant(
    content: bytes, machine: Machine, tmp_path: Path
) -> None:
    clock = SystemClock(tmp_path / "clock")
    assert clock() == START
    (tmp_path / "clock").write_bytes(content)
    machine.run(HOUR)
    assert clock() == START + HOUR
    clock.close()
    again = SystemClock(tmp_path / "clock")
    assert again() == START + HOUR
    again.close()


# The clock of a database


@dataclass
class Database:
    """A database's clock, in ms, and the latest instant that was kept in it."""

    ms: int = START
    kept: int = 0

    def ask(self) -> int:
        return self.ms

    def keep(self, now_ms: int) -> int:
        self.kept = max(self.kept, now_ms)
        return self.kept


def measured(clock: DatabaseClock, database: Database) -> int:
    clock.measure(database.ask, database.keep)
    return clock()


def test_machines_whose_clocks_differ_agree_on_the_database_s(machine: Machine) -> None:
    one, other, database = DatabaseClock(), DatabaseClock(), Database()
    assert measured(one, database) == START
    machine.system += HOUR
    machine.monotonic += 7_777_777
    assert measured(other, database) == START
    machine.run(40)
    assert other() == START + 40


def test_it_is_measured_again_each_minute_and_after_a_sleep(machine: Machine) -> None:
    clock, database = DatabaseClock(), Database()
    assert clock.stale()
    measured(clock, database)
    machine.run(59_000)
    assert not clock.stale()
    machine.run(2000)
    assert clock.stale()
    measured(clock, database)
    assert not clock.stale()
    machine.system += HOUR
    assert clock.stale()
    database.ms += HOUR
    assert measured(clock, database) == START + HOUR


def test_a_database_that_is_set_back_takes_no_instant_back(machine: Machine) -> None:
    clock, late, database = DatabaseClock(), DatabaseClock(), Database()
    measured(clock, database)
    machine.run(60_001)
    database.ms += 60_001 - HOUR
    assert measured(clock, database) == START + 60_001
    # A process that starts later goes on from what the others have kept.
    assert measured(late, database) == START + 60_001
