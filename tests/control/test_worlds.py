"""Worlds: one by default, or one for each key, which disturb nobody."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.harness import Harness, make_harness

from apixo_emulator.domain.accounts import account_of
from apixo_emulator.service.control import NotFoundError, WorldControl


def operator(harness: Harness, key: str) -> WorldControl:
    worlds = harness.emulator.worlds
    return WorldControl(harness.emulator, worlds.of(account_of(key, own_world=True)))


def test_by_default_keys_share_everything_but_their_tasks_and_balance() -> None:
    harness = make_harness()
    harness.submitted(key="sk-one")
    harness.operator.advance(5000)
    assert len(harness.operator.tasks()) == 1
    harness.submitted(key="sk-two")
    assert [task["state"] for task in harness.operator.tasks()] == ["pending", "success"]


def test_a_world_per_key_has_its_own_clock_rules_journal_and_balance() -> None:
    harness = make_harness(per_key=True, rate=0)
    one, two = operator(harness, "sk-one"), operator(harness, "sk-two")
    one.add_scenario({"scenario": "SensitiveContent"})
    ids = {key: harness.submitted(key=key) for key in ("sk-one", "sk-two")}
    one.advance(60_000)
    assert harness.status(ids["sk-one"], key="sk-one").data["failCode"] == "SensitiveContent"
    assert harness.status(ids["sk-two"], key="sk-two").data["state"] == "pending"
    two.advance(60_000)
    assert harness.status(ids["sk-two"], key="sk-two").data["state"] == "success"
    assert [len(desk.requests()) for desk in (one, two)] == [2, 3]
    one.reset()
    assert [one.tasks(), one.requests(), one.scenarios()] == [[], [], []]
    assert harness.status(ids["sk-two"], key="sk-two").data["state"] == "success"
    assert harness.balance(key="sk-one").data == 100
    assert harness.balance(key="sk-two").data == 99.99


def test_one_world_cannot_reach_into_another() -> None:
    harness = make_harness(per_key=True)
    task_id = harness.submitted(key="sk-one")
    other = operator(harness, "sk-two")
    for operation in (other.task, other.finish, other.delivery, other.redeliver):
        with pytest.raises(NotFoundError):
            operation(task_id)
    assert harness.status(task_id, key="sk-two").status == 404


def test_sixteen_at_once_disturb_nothing() -> None:
    harness = make_harness(per_key=True, rate=0, duration_ms=1000)

    def one(number: int) -> list[object]:
        key = f"sk-process-{number:02}"
        mine = operator(harness, key)
        seen: list[object] = []
        for turn in range(10):
            if number % 2:
                mine.add_scenario({"scenario": "Timeout", "times": 1})
            task_id = harness.submitted(key=key)
            mine.advance(1000)
            data = harness.status(task_id, key=key).data
            seen.append((data["state"], data["createTime"] - mine.now(), turn))
            if turn == 5:
                mine.reset()
        return [*seen, len(mine.requests()), harness.balance(key=key).data]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(one, range(16)))
    for number, seen in enumerate(found):
        state = "failed" if number % 2 else "success"
        assert seen == [(state, -1000, turn) for turn in range(10)] + [8, 99.96]


def test_a_download_stands_in_the_journal_of_its_task_s_world() -> None:
    harness = make_harness(per_key=True, rate=0)
    task_id = harness.submitted(key="sk-one")
    own, default = operator(harness, "sk-one"), harness.operator
    own.reset()
    task_id = harness.submitted(key="sk-one")
    own.advance(60_000)
    assert harness.call("GET", f"/files/{task_id}.jpg", key=None).status == 200
    assert [entry.endpoint for entry in own.requests()] == ["submit", "file"]
    assert default.requests() == []
