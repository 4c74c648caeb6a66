"""Two servers compared: what differs, how often, and which rule it touches."""

import json
from typing import Any

import httpx
import pytest
from kit.stub import Stub, Task, observed, refused

from apixo_contract import Run
from apixo_contract.diff import Comparison, compare
from apixo_contract.report.render import render_comparison


def compared(run: Run, stub: type[Stub]) -> Comparison:
    return compare(run, observed(stub, examples=0))


def changed(found: Comparison) -> set[str]:
    return {one.id for one, _other in found.checks}


def test_two_of_a_kind_answer_alike(run: Run) -> None:
    found = compared(run, Stub)
    assert (found.checks, found.differences) == ((), ())
    assert found.exit_code == 0
    assert found.same_calls > 100
    assert render_comparison(found).splitlines()[-1] == "They answer alike."


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

    assert compared(run, Later).exit_code == 0


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
    ("stub", "check_ids", "facet"),
    [
        (Absent, {"assumption.error.data"}, "data"),
        (Unprocessable, {"errors.validation-status"}, "answer"),
        (OtherWords, {"submit.rule.mode.invalid"}, "message of an error"),
        (Taking, {"assumption.output_format.case"}, "answer"),
        (NoCost, set(), "data.costTime"),
    ],
)
def test_a_difference_is_told_by_its_check_and_by_what_differs(
    run: Run, stub: type[Stub], check_ids: set[str], facet: str
) -> None:
    found = compared(run, stub)
    assert check_ids <= changed(found)
    assert facet in {difference.facet for difference in found.differences}
    assert found.exit_code == 1


def test_a_difference_is_counted_and_shown_by_its_shortest_call(run: Run) -> None:
    (found,) = compared(run, Absent).differences
    assert (found.facet, found.left, found.right) == ("data", "null", "absent")
    assert found.count > 50
    assert "--data-raw" not in found.curl


def test_the_words_say_both_verdicts_and_how_to_see_it(run: Run) -> None:
    text = render_comparison(compared(run, Unprocessable))
    assert "  left:  pass" in text
    assert "  right: fail" in text
    assert "answer: HTTP 400 " in text
    assert "HTTP 422" in text
    assert "    curl -sS -X POST http://kit.invalid/api/v1/generateTask/image-upscaler" in text


def test_the_comparison_as_json(run: Run) -> None:
    value = json.loads(json.dumps(compared(run, Absent).to_json()))
    assert value["same_calls"] > 100
    assert value["spent_usd"] == [0.1, 0.1]
    (data,) = (check for check in value["checks"] if check["id"] == "assumption.error.data")
    assert (data["left"]["verdict"], data["right"]["verdict"]) == ("confirmed", "refuted")
    assert [found["facet"] for found in value["differences"]] == ["data"]
