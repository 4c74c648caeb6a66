"""Several processes give the same results as one: limits, rules, draws, reset, journal, worlds."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.harness import SUBMIT, make_harness

from processes.conftest import Cluster, body_of

pytestmark = pytest.mark.slow

CONFIG = """
[[account]]
key = "sk-two-tasks-at-once"
concurrency = 2

[[account]]
key = "sk-five-calls-then-none"
rate = {calls = 5, per_s = 1000, burst = 5}
"""


@pytest.fixture
def options(tmp_path: Path) -> Sequence[str]:
    config = tmp_path / "limits.toml"
    config.write_text(CONFIG)
    return ("--config", str(config), "--latency", "60000", "--seed", "4")


def test_limits_hold_for_calls_at_once_and_from_a_key_s_first_call_on(cluster: Cluster) -> None:
    tasks = cluster.at_once(20, key="sk-two-tasks-at-once")
    assert Counter(tasks) == {200: 2, 429: 18}
    calls = cluster.at_once(40, key="sk-five-calls-then-none")
    assert Counter(calls) == {200: 5, 429: 35}


def test_rules_added_at_once_are_all_there_and_used_as_often_as_they_say(cluster: Cluster) -> None:
    def add(number: int) -> str:
        rule = {"scenario": "http-503", "times": 1, "name": f"number {number}"}
        return str(cluster.control("POST", "scenarios", json=rule)["id"])

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(add, range(96)))
    assert ids == {f"rule-{number}" for number in range(1, 97)}
    listed = [rule["id"] for rule in cluster.control("GET", "scenarios")["rules"]]
    assert sorted(listed) == sorted(ids)
    with ThreadPoolExecutor(16) as pool:
        answers = Counter(pool.map(lambda n: cluster.submit(n).status_code, range(120)))
    assert answers == {503: 96, 200: 24}


RULE = {"scenario": "http-503", "match": {"probability": 0.5}}


def drawn(cluster: Cluster) -> list[int]:
    cluster.control("POST", "reset")
    cluster.control("POST", "scenarios", json=RULE)
    return [cluster.submit(number % 3).status_code for number in range(30)]


def drawn_in_process() -> list[int]:
    harness = make_harness(seed=4)
    harness.operator.add_scenario(RULE)
    answers = [harness.call("POST", SUBMIT, raw=body_of(number % 3)) for number in range(30)]
    return [answer.status for answer in answers]


def test_draws_depend_on_what_is_asked_for_and_not_on_the_process(cluster: Cluster) -> None:
    assert drawn(cluster) == drawn(cluster) == drawn_in_process()


def test_what_one_changes_all_say_and_a_reset_is_one_for_all(cluster: Cluster) -> None:
    before = [cluster.submit(number).json()["data"]["taskId"] for number in range(6)]

    def states(task_id: str) -> set[str]:
        """Ask often enough for each process to have answered."""
        return {cluster.status(task_id)["state"] for _ in range(12)}

    assert states(before[0]) == states(before[1]) == {"pending"}
    cluster.control("POST", f"tasks/{before[0]}/finish", json={})
    assert states(before[0]) == {"success"}
    cluster.control("POST", "clock/advance", json={"ms": 60_000})
    assert states(before[1]) == {"success"}
    cluster.control("POST", "reset")
    assert [cluster.status(task_id) for task_id in before] == [None] * 6
    after = [cluster.submit(number).json()["data"]["taskId"] for number in range(6)]
    # The same calls give the same ids.
    assert after == before
    verified = cluster.control("POST", "requests/verify", json={"call": "submit", "count": 6})
    assert verified["met"], verified
    listed = cluster.control("GET", "requests")["requests"]
    assert [entry["number"] for entry in listed] == list(range(1, 13))
    assert [entry["taskId"] for entry in listed] == before + after
