"""The journal as a HAR 1.2 document that other tools can read."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.harness import START_MS, STATUS, SUBMIT, body, make_harness

from apixo_emulator.domain.clock import LATEST_MS, iso_instant

SCHEMA = json.loads((Path(__file__).parent / "har-1.2.schema.json").read_text("utf-8"))
HAR = Draft202012Validator(SCHEMA)
CREATOR = {"name": "a test", "version": "1"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def test_a_conversation_is_a_valid_document() -> None:
    harness = make_harness()
    task_id = harness.submitted(body(resolution="8k"))
    harness.clock.advance(2500)
    harness.status(task_id)
    document = harness.operator.har()
    HAR.validate(document)
    json.dumps(document)
    submit, poll = document["log"]["entries"]
    assert submit["startedDateTime"] == "2026-01-09T13:33:30.929Z"
    assert poll["startedDateTime"] == "2026-01-09T13:33:33.429Z"
    assert json.loads(submit["request"]["postData"]["text"])["input"]["resolution"] == "8k"
    assert poll["request"]["queryString"] == [{"name": "taskId", "value": task_id}]
    assert json.loads(poll["response"]["content"]["text"])["data"]["state"] == "success"
    assert poll["time"] == sum(poll["timings"].values())


def test_whatever_is_called_the_document_stays_valid() -> None:
    harness = make_harness()

    @settings(max_examples=20)
    @given(path=TEXT, query=TEXT, raw=st.binary(max_size=60), value=TEXT)
    def for_any_call(path: str, query: str, raw: bytes, value: str) -> None:
        harness.extra = [(b"content-type", value.encode())]
        harness.call("PUT", f"/{path}", query=query.encode().decode("latin-1"), raw=raw)
        entry = entries(harness.operator.har())[-1]
        HAR.validate({"log": {"version": "1.2", "creator": CREATOR, "entries": [entry]}})
        assert entry["request"]["bodySize"] == len(raw)

    for_any_call()


def entries(document: dict[str, Any]) -> list[Any]:
    found: list[Any] = document["log"]["entries"]
    return found


def test_bytes_that_are_no_text_are_in_base64() -> None:
    harness = make_harness()
    harness.call("POST", SUBMIT, raw=b"\xff\xd8\xff")
    [entry] = entries(harness.operator.har())
    posted = entry["request"]["postData"]
    assert (base64.b64decode(posted["text"]), posted["_encoding"]) == (b"\xff\xd8\xff", "base64")


def test_a_path_that_was_decoded_is_encoded_again() -> None:
    harness = make_harness()
    harness.call("GET", f"{STATUS}/ä b%?#", query="taskId=a%20b&x")
    [entry] = entries(harness.operator.har())
    wanted = f"http://127.0.0.1:8787{STATUS}/%C3%A4%20b%25%3F%23?taskId=a%20b&x"
    assert entry["request"]["url"] == wanted


@given(st.integers(0, LATEST_MS))
def test_instants_are_written_as_the_calendar_has_them(unix_ms: int) -> None:
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=unix_ms)
    assert iso_instant(unix_ms) == instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert iso_instant(START_MS) == "2026-01-09T13:33:30.929Z"
