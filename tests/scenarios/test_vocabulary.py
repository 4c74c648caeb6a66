"""The names by which failures are asked for."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema_rs import validator_for

from apixo_emulator.domain.effects import CallbackEffects, Duration, Effects, Fault, Quirk
from apixo_emulator.domain.wire import WireFault
from apixo_emulator.scenarios.schema import rule_schema, scenario_file_schema
from apixo_emulator.scenarios.vocabulary import (
    UnknownScenarioError,
    requested_scenario,
    scenario,
    vocabulary,
)
from apixo_schemas import contract
from scenarios.documents import SCENARIOS, written

STATUSES = (400, 401, 402, 403, 404, 429, 500, 502, 503, 504)
FAULTS = [*(f"http-{status}" for status in STATUSES), *map(str, WireFault)]
PROMISED = [
    *("ImageFormatIncorrect", "SensitiveContent", "RateLimited", "Timeout", "UnknownError"),
    *("slow-3", "slow-12.5", "stuck", "reset", "truncated", "invalid-json", "html-502", "drip"),
    *("callback-lost", "callback-duplicate", "callback-late-5", "callback-before-done"),
    *("callback-malformed", "state-unknown", "no-cost-time", "extra-fields", "data-missing"),
    *FAULTS,
    *(f"status-{fault}" for fault in FAULTS),
    *(f"status-http-500-{count}" for count in ("once", "twice", "thrice", "7-times")),
]
NAMES = validator_for(rule_schema()["properties"]["scenario"])


def refusal(name: str) -> str:
    """What is said of a name that cannot be asked for; empty of one that can."""
    try:
        scenario(name)
    except UnknownScenarioError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", PROMISED)
def test_every_promised_name_stands_for_something(name: str) -> None:
    effects = scenario(name)
    assert effects != Effects(effects.name)
    assert scenario(name.upper()) == scenario(name.lower()) == effects
    assert requested_scenario(f"https://example.com/emulate/{name}.jpg") == effects
    assert requested_scenario(f"https://example.com/emulate/{name}/a.jpg?b#c") == effects
    assert NAMES.is_valid(name)
    assert NAMES.is_valid(name.upper())


@pytest.mark.parametrize(
    ("name", "effects"),
    [
        ("Timeout", Effects("", failure=("Timeout", contract().failures["Timeout"].message))),
        ("slow-2.5", Effects("", duration=Duration(total_ms=2500))),
        ("http-404", Effects("", submit_fault=Fault("model_not_found"))),
        ("status-http-404", Effects("", status_fault=Fault("task_not_found"))),
        ("drip", Effects("", submit_fault=Fault(wire=WireFault.DRIP))),
        ("callback-late-1.5", Effects("", callback=CallbackEffects(late_ms=1500))),
        (
            "status-http-500-twice",
            Effects("", status_fault=Fault("server_error"), status_fault_times=2),
        ),
        (
            "slow-3+callback-lost",
            Effects("", duration=Duration(total_ms=3000), callback=CallbackEffects(lost=True)),
        ),
        (
            "no-cost-time+extra-fields",
            Effects("", quirks=frozenset({Quirk.NO_COST_TIME, Quirk.EXTRA_FIELDS})),
        ),
        (
            "http-500+truncated",
            Effects("", submit_fault=Fault("server_error", WireFault.TRUNCATED)),
        ),
    ],
)
def test_what_names_stand_for(name: str, effects: Effects) -> None:
    assert scenario(name).to_json() == {**effects.to_json(), "name": name}


@pytest.mark.parametrize(
    "name",
    [
        "slow-3+slow-4",
        "Timeout+stuck",
        "callback-lost+callback-late-3",
        "callback-before-done+callback-late-3",
        "http-500+slow-3",
        "html-502+http-500",
        "reset+drip",
        "status-http-500-twice+status-drip-once",
        "http-429+reset",
        "state-unknown+data-missing",
        "state-unknown+status-reset",
        "status-html-502+callback-before-done",
    ],
)
def test_what_cannot_all_happen_is_refused(name: str) -> None:
    with pytest.raises(UnknownScenarioError, match=r"contradict each other|cannot happen"):
        scenario(name)
    with pytest.raises(UnknownScenarioError):
        scenario("+".join(reversed(name.split("+"))))


@settings(max_examples=30)
@given(SCENARIOS, st.data())
def test_a_slip_of_the_fingers_gets_a_name_that_exists(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    typed = data.draw(st.sampled_from(["", "x", "q"]))
    said = refusal(name[:at] + typed + name[at + 1 :])
    if said:
        hint = re.search(r"Did you mean (\S+)\?", said)
        assert hint, said
        assert NAMES.is_valid(written(hint[1]))
        assert len(said) < 600


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SensitivContent", "SensitiveContent"),
        ("htpp-503", "http-503"),
        ("slow", "slow-<seconds>"),
        ("slwo-12.5", "slow-12.5"),
        ("status-http-500-7-tims", "status-http-500-7-times"),
    ],
)
def test_the_nearest_name_keeps_its_number(name: str, meant: str) -> None:
    with pytest.raises(UnknownScenarioError, match=re.escape(f"Did you mean {meant}?")):
        scenario(name)


@settings(max_examples=50)
@given(st.text(max_size=20) | st.from_regex(r"\A(slow|status-http|callback-late)-.{0,8}\Z"))
def test_the_schema_takes_exactly_the_names_that_there_are(name: str) -> None:
    assert NAMES.is_valid(name) == ("Unknown scenario" not in refusal(name))


def test_a_name_without_end_is_refused_shortly() -> None:
    assert len(refusal("+".join(["stuck"] * 100_000))) < 600
    assert len(refusal("x" * 1_000_000)) < 600


def test_the_published_schema_is_a_schema_and_is_plain_json() -> None:
    schema = json.loads(json.dumps(scenario_file_schema()))
    Draft202012Validator.check_schema(schema)
    assert len({entry.name for entry in vocabulary()}) == len(vocabulary())
