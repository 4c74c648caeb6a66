"""Same seed and same calls: the same answers to the byte, in whatever order callers come."""

from __future__ import annotations

import random
from collections.abc import Iterator

from support.harness import KEY, Harness, body, make_harness

CLIENTS = 20
TASKS_EACH = 10


def client(number: int) -> list[dict[str, object]]:
    """What one caller submits: some bodies of its own, some that all callers share."""
    formats = ("jpg", "png", "webp")
    tiers = ("2k", "4k", "8k")
    return [
        body(
            image_urls=[f"https://example.com/{'same' if n % 3 else number}/{n}.jpg"],
            resolution=tiers[n % 3],
            output_format=formats[(n + number) % 3],
        )
        for n in range(TASKS_EACH)
    ]


def conversation(harness: Harness, number: int, key: str) -> Iterator[bytes]:
    """One caller's calls, one at each step: submit, poll five times less one, look at the balance."""
    for payload in client(number):
        submitted = harness.submit(payload, key=key)
        yield submitted.body
        task_id = submitted.data["taskId"]
        for _ in range(4):
            yield harness.status(task_id, key=key).body


def run(order_seed: int, *, own_keys: bool) -> list[list[bytes]]:
    """Let all callers talk in a shuffled interleaving; give what each was answered."""
    harness = make_harness(duration_ms=None, rate=0, seed=11)
    order = random.Random(order_seed)  # noqa: S311 - a shuffle
    answers: list[list[bytes]] = [[] for _ in range(CLIENTS)]
    talks = {
        number: conversation(harness, number, f"{KEY}-{number}" if own_keys else KEY)
        for number in range(CLIENTS)
    }
    while talks:
        number = order.choice(sorted(talks))
        answer = next(talks[number], None)
        if answer is None:
            del talks[number]
        else:
            answers[number].append(answer)
    return answers


def test_a_thousand_calls_are_answered_the_same_in_any_interleaving() -> None:
    expected = run(0, own_keys=True)
    assert sum(map(len, expected)) == 1000
    for order in range(1, 4):
        assert run(order, own_keys=True) == expected


def test_callers_that_share_a_key_get_the_same_answers_too() -> None:
    # Who of several that ask for the very same comes first is theirs to decide: all get the same
    # set of tasks.
    expected = sorted(answer for answers in run(0, own_keys=False) for answer in answers)
    for order in range(1, 4):
        found = sorted(answer for answers in run(order, own_keys=False) for answer in answers)
        assert found == expected


def test_a_reset_gives_the_same_ids_again() -> None:
    harness = make_harness(rate=0)
    first = [harness.submitted() for _ in range(3)]
    harness.operator.reset()
    assert [harness.submitted() for _ in range(3)] == first
    harness.operator.reset(seed=99)
    assert harness.submitted() not in first


def test_draws_of_a_probability_do_not_depend_on_the_order_of_callers() -> None:
    rule = {"scenario": "SensitiveContent", "match": {"probability": 0.5}}
    payloads = [body(image_urls=[f"https://example.com/{n % 20}.jpg"]) for n in range(60)]

    def outcomes(order: list[int]) -> list[str]:
        harness = make_harness(duration_ms=0)
        harness.operator.add_scenario(rule)
        ids = [harness.submitted(payloads[n]) for n in order]
        return sorted(
            f"{task_id} {harness.status(task_id).data.get('failCode')}" for task_id in ids
        )

    expected = outcomes(list(range(60)))
    assert len({text.partition(" ")[2] for text in expected}) == 2
    for seed in range(3):
        shuffled = random.Random(seed).sample(range(60), 60)  # noqa: S311 - a shuffle
        assert outcomes(shuffled) == expected
