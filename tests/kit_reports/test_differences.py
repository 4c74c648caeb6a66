"""Two servers compared: what differs, how often, and which rule it touches."""

import json
from typing import Any

import httpx
import pytest
from kit.stub import Stub, Task, observed, refused

from apixo_contract import Run
from apixo_contract.diff import Comparison, compare, comparison_lines


def compared(run: Run, stub: type[Stub]) -> Comparison:
    return compare(run, observed(stub, examples=0))


def touched(found: Comparison) -> set[str]:
    return {group.check_id for group in found.groups}


def test_two_of_a_kind_answer_alike(run: Run) -> None:
    found = compared(run, Stub)
    assert found.groups == ()
    assert found.exit_code == 0
    assert found.same_calls > 100
    assert list(comparison_lines(found))[-1] == "They answer alike."


def test_ids_times_addresses_and_spaces_are_no_difference(run: Run) -> None:
    class Elsewhere(Stub):
        origin = "http://elsewhere.invalid:8080"

        def shown(self, task: Any) -> dict[str, Any]:
            data = super().shown(task)
            if "resultJson" in data:
                data["resultJson"] = json.dumps(json.loads(data["resultJson"]), indent=2)
            return data

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            answer.headers.update({"date": "now", "server": "other", "x-request-id": "1"})
            return answer

    class Later(Elsewhere):
        def __init__(self, clock: Any) -> None:
            super().__init__(clock)
            # An earlier task, so that all others get other ids.
            self.tasks["earlier"] = Task("earlier", clock(), "4k", "jpg", fails=False)

    assert compared(run, Later).groups == ()


class Absent(Stub):
    def answer(self, *given: Any) -> tuple[int, dict[str, Any]]:
        status, envelope = super().answer(*given)
        if status >= 400:
            del envelope["data"]
        return status, envelope


class Unprocessable(Stub):
    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        status, envelope = super().submit(content)
        return refused(422, envelope["message"]) if status == 400 else (status, envelope)


class OtherWords(Stub):
    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        status, envelope = super().submit(content)
        if "mode" in envelope["message"]:
            envelope["message"] = "Wrong mode."
        return status, envelope


class Taking(Stub):
    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        content = content.replace(b'"PNG"', b'"png"')
        return super().submit(content)


class NoCost(Stub):
    def shown(self, task: Any) -> dict[str, Any]:
        data = super().shown(task)
        data.pop("costTime", None)
        return {**data, "queue": 1}


@pytest.mark.parametrize(
    ("stub", "check_ids"),
    [
        (Absent, {"assumption.error.data"}),
        (Unprocessable, {"errors.validation-status"}),
        (OtherWords, {"submit.rule.mode.invalid"}),
        (Taking, {"assumption.output_format.case"}),
        (NoCost, {"assumption.cost_time", ""}),
    ],
)
def test_a_difference_names_the_rule_that_it_touches(
    run: Run, stub: type[Stub], check_ids: set[str]
) -> None:
    found = compared(run, stub)
    assert check_ids <= touched(found)
    assert found.exit_code == 1


def test_a_difference_is_counted_and_shown_by_its_shortest_call(run: Run) -> None:
    found = compared(run, Absent)
    (group,) = (group for group in found.groups if group.check_id == "assumption.error.data")
    assert group.title.startswith("What is `data` on an error?")
    (difference,) = group.differences
    assert (difference.part, difference.left, difference.right) == ("data", "null", "absent")
    assert difference.count > 50
    assert difference.example.body is None


def test_the_words_say_both_verdicts_and_how_to_see_it(run: Run) -> None:
    text = "\n".join(comparison_lines(compared(run, Unprocessable)))
    assert "  left:  pass" in text
    assert "  right: fail" in text
    assert "answers: HTTP 400 " in text
    assert "HTTP 422" in text
    assert "    curl -sS -X POST http://kit.invalid/api/v1/generateTask/image-upscaler" in text


def test_the_comparison_as_json(run: Run) -> None:
    value = json.loads(json.dumps(compared(run, NoCost).to_json()))
    assert value["same_calls"] > 100
    assert value["spent_usd"] == [0.1, 0.1]
    ids = [group["id"] for group in value["groups"]]
    assert ids[-1] == ""
    cost = value["groups"][ids.index("assumption.cost_time")]
    assert cost["left"]["verdict"] == "confirmed"
    facets = {difference["facet"] for difference in value["groups"][-1]["differences"]}
    assert facets == {"data.queue"}
