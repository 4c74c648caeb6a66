"""What a task looks like, from its submit to its end."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from storage.samples import draft
from support.harness import START_MS, Clock, body, make_harness

from apixo_emulator.domain.pictures import Verdict
from apixo_emulator.domain.tasks import FINAL, Task, TaskState, settle
from apixo_schemas import contract, document

STATUS_ANSWER = Draft202012Validator(document("status-response.json"))
LATER_MS = START_MS + 10**9


def magic(scenario: str) -> dict[str, Any]:
    return body(image_urls=[f"https://example.com/emulate/{scenario}.jpg"])


def test_a_task_goes_from_pending_through_processing_to_success() -> None:
    harness = make_harness(duration_ms=1000)
    task_id = harness.submitted()
    created = {"taskId": task_id, "createTime": START_MS}
    assert harness.status(task_id).data == created | {"state": "pending"}
    harness.clock.advance(100)
    assert harness.status(task_id).data == created | {"state": "processing"}
    harness.clock.advance(900)
    final = harness.status(task_id)
    url = f"http://127.0.0.1:8787/files/{task_id}.jpg"
    assert final.data == created | {
        "state": "success",
        "resultJson": f'{{"resultUrls":["{url}"]}}',
        "completeTime": START_MS + 1000,
        "costTime": 1000,
    }
    assert list(final.data) == [
        "taskId",
        "state",
        "resultJson",
        "createTime",
        "completeTime",
        "costTime",
    ]
    harness.clock.advance(10**10)
    assert harness.status(task_id).body == final.body


@pytest.mark.parametrize("failure", contract().failures.values(), ids=lambda f: f.scenario)
def test_a_magic_image_url_makes_the_task_fail(failure: Any) -> None:
    harness = make_harness(duration_ms=1000)
    task_id = harness.submitted(magic(failure.scenario))
    assert harness.status(task_id).data["state"] == "pending"
    harness.clock.advance(1000)
    assert harness.status(task_id).data == {
        "taskId": task_id,
        "state": "failed",
        "failCode": failure.code,
        "failMsg": failure.message,
        "createTime": START_MS,
        "completeTime": START_MS + 1000,
    }
    assert harness.balance().data == 99.99  # charged at submit, not refunded


@pytest.mark.parametrize(
    ("segment", "duration_ms"),
    [("slow-2.jpg", 2000), ("slow-2.5.jpg", 2500), ("SLOW-3", 3000), ("slow-0.png?x=1", 0)],
)
def test_slow_takes_as_long_as_it_says(segment: str, duration_ms: int) -> None:
    harness = make_harness(duration_ms=10)
    task_id = harness.submitted(body(image_urls=[f"https://a.example/x/emulate/{segment}"]))
    harness.clock.advance(duration_ms)
    assert harness.status(task_id).data["costTime"] == duration_ms


def test_stuck_never_ends() -> None:
    harness = make_harness(duration_ms=10)
    task_id = harness.submitted(magic("stuck"))
    harness.clock.advance(10**12)
    assert harness.status(task_id).data["state"] == "processing"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SensitivContent", "Did you mean SensitiveContent?"),
        ("slow-99999999", "lists all"),
        ("slow-100000", "too slow"),
        ("x" * 5000, "…"),
    ],
)
def test_a_misspelt_scenario_is_refused_with_the_nearest_name(name: str, hint: str) -> None:
    harness = make_harness()
    answer = harness.submit(magic(name))
    assert answer.status == 400
    assert hint in answer.message
    assert len(answer.message) < 500
    assert harness.balance().data == 100


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/emulate",
        "https://example.com/emulated/x.jpg",
        "https://example.com/a.jpg?next=/emulate/Timeout.jpg",
        "https://example.com/emulate/",
    ],
)
def test_only_a_path_segment_asks_for_a_scenario(url: str) -> None:
    harness = make_harness(duration_ms=0)
    assert harness.status(harness.submitted(body(image_urls=[url]))).data["state"] == "success"


@pytest.mark.parametrize("url", ["   ", "not a url", "ftp://example.com/a.jpg", "data:,text"])
def test_what_is_no_picture_s_address_is_accepted_and_fails(url: str) -> None:
    harness = make_harness(duration_ms=5)
    task_id = harness.submitted(body(image_urls=[url]))
    harness.clock.advance(5)
    assert harness.status(task_id).data["failCode"] == "ImageFormatIncorrect"


def task(**given: Any) -> Task:
    planned = {"created_ms": START_MS, "starts_ms": START_MS + 10, "ends_ms": START_MS + 100}
    values: dict[str, Any] = planned | given
    return draft("0" * 32).task._replace(**values)


def test_a_late_verdict_moves_the_end_and_never_back() -> None:
    open_task = task(settled=False)
    assert open_task.state_at(LATER_MS) is TaskState.PROCESSING
    done = settle(open_task, Verdict.REJECTED, LATER_MS)
    assert (done.fail_code, done.ends_ms) == ("ImageFormatIncorrect", LATER_MS)
    assert done.state_at(LATER_MS - 1) is TaskState.PROCESSING
    assert done.state_at(LATER_MS) is TaskState.FAILED
    assert settle(done, Verdict.USABLE, LATER_MS + 5) == done


@given(
    duration=st.integers(0, 10**7),
    start=st.floats(0, 1),
    failed=st.booleans(),
    stuck=st.booleans(),
    settled=st.booleans(),
    moments=st.lists(st.integers(START_MS, START_MS + 2 * 10**7), min_size=2, max_size=20),
)
def test_states_only_move_forward_along_the_table(
    *, duration: int, start: float, failed: bool, stuck: bool, settled: bool, moments: list[int]
) -> None:
    subject = task(
        starts_ms=START_MS + int(duration * start),
        ends_ms=None if stuck else START_MS + duration,
        fail_code="Timeout" if failed else None,
        fail_msg="late" if failed else None,
        settled=settled,
    )
    order = [TaskState.PENDING, TaskState.PROCESSING, TaskState.SUCCESS, TaskState.FAILED]
    seen = [subject.state_at(now) for now in sorted(moments)]
    assert seen == sorted(seen, key=order.index)
    for before, after in pairwise(seen):
        assert before == after or before not in FINAL


@given(st.integers(0, 5000), st.sampled_from(["", "SensitiveContent", "stuck", "slow-2"]))
def test_every_status_answer_satisfies_the_schema(elapsed_ms: int, scenario: str) -> None:
    harness = make_harness(duration_ms=1500)
    task_id = harness.submitted(magic(scenario) if scenario else body())
    harness.clock.advance(elapsed_ms)
    STATUS_ANSWER.validate(harness.status(task_id).json)


def test_the_same_seed_and_calls_give_the_same_run() -> None:
    def run() -> list[bytes]:
        harness = make_harness(seed=42, duration_ms=None, clock=Clock())
        ids = [harness.submitted() for _ in range(20)]
        harness.clock.advance(41_000)
        return [harness.status(task_id).body for task_id in ids]

    assert run() == run()


def test_realistic_durations_lie_around_the_documented_example_by_tier() -> None:
    harness = make_harness(duration_ms=None)
    medians = {}
    for tier in ("2k", "4k", "8k"):
        ids = [harness.submitted(body(resolution=tier)) for _ in range(101)]
        harness.clock.advance(10**7)
        costs = sorted(harness.status(task_id).data["costTime"] for task_id in ids)
        medians[tier] = costs[50]
        assert costs[0] != costs[-1]
    assert medians["2k"] < medians["4k"] < medians["8k"]
    assert 35_000 < medians["4k"] < 48_000
