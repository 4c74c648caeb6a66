"""From refuted assumptions to a profile: what was seen becomes the setting, or a comment says why not."""

from pathlib import Path
from typing import Any

import pytest
from kit_reports.samples import HOSTILE, example, exchange, refuted, report, result

from apixo_contract import CheckResult, Run, Verdict, judge
from apixo_contract.learn import lessons, profile_of, profile_toml
from apixo_contract.text import id_form
from apixo_schemas import (
    Profile,
    apply_profile,
    load_profile,
    published_contract,
)

LIVE = "https://api.apixo.ai/api/v1"
ANSWER = '{"code":422,"message":"In other words.","data":null}'


def learnt(tmp_path: Path, *results: CheckResult, **given: Any) -> Profile:
    path = tmp_path / "learnt.toml"
    path.write_text(profile_toml(report(results, **given)), "utf-8")
    return load_profile(path)


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("request_type.unknown", {"message": "In other words."}),
        ("null.optional", "rejected"),
        ("order", ["resolution.invalid", "mode.invalid"]),
        ("values.whitespace", "trimmed"),
        ("error.data", {"error": "$message"}),
        ("cost_time", {"share": 0.9}),
    ],
)
def test_what_was_observed_becomes_the_setting(tmp_path: Path, name: str, seen: Any) -> None:
    found = learnt(tmp_path, refuted(name, seen))
    assert found.assumptions == {name: seen}
    assert (found.target, found.observed) == ("https://api.example/api/v1", "2026-11-23")


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("order", None),
        ("image_url.not_a_url", "success"),
        ("output_format.case", "In other words."),
        ("task_id.missing", {"status": 200, "message": "success"}),
        ("pending.share", 1.5),
        ("error.wording", {"unauthorized": None}),
        ("parameters.unknown", "rejected"),
    ],
)
def test_what_cannot_be_a_setting_is_left_out_and_said_so(
    tmp_path: Path, name: str, seen: Any
) -> None:
    found = report((refuted(name, seen),))
    assert learnt(tmp_path, *found.results).assumptions == {}
    assert f"# {name} is left out: " in profile_toml(found)


def test_only_refuted_assumptions_teach(tmp_path: Path) -> None:
    others = (
        result("assumption.order", Verdict.CONFIRMED, observed=["mode.invalid", "input.missing"]),
        result("assumption.cost_time", Verdict.SKIPPED, observed="absent"),
        result("envelope.code", Verdict.FAIL, observed=1),
    )
    assert learnt(tmp_path, *others).assumptions == {}
    assert "there is nothing to set" in profile_toml(report(others))


def test_each_setting_has_its_question_its_evidence_and_the_day() -> None:
    text = profile_toml(report((refuted("retry_after", "date"),)))
    assert (
        "# Is `Retry-After` sent on 429? Assumed: Yes, in seconds.\n"
        "# Observed 2026-11-23: evidence of assumption.retry_after\n"
        'retry_after = "date"\n'
    ) in text


def test_new_words_of_documented_rules_are_offered_but_not_followed(tmp_path: Path) -> None:
    shown = example(exchanges=(exchange(response_body=ANSWER),))
    failed = result("submit.rule.mode.invalid", Verdict.FAIL, examples=(shown,))
    assert learnt(tmp_path, failed).rules == {}
    lines = profile_toml(report((failed,))).splitlines()
    follow = lines[lines.index("# [rules]") :]
    path = tmp_path / "followed.toml"
    path.write_text("form = 1\n" + "\n".join(line.removeprefix("# ") for line in follow), "utf-8")
    assert load_profile(path).rules == {"mode.invalid": "In other words."}


def test_hostile_evidence_stays_a_comment(tmp_path: Path) -> None:
    hostile = refuted("error.wording", {"unauthorized": HOSTILE})
    found = report((hostile,), target=f"https://x\n{HOSTILE}")
    path = tmp_path / "hostile.toml"
    path.write_text(profile_toml(found), "utf-8")
    words = load_profile(path).assumptions["error.wording"]["unauthorized"]
    # TOML cannot name half a surrogate pair.
    assert words == HOSTILE.replace("\ud800", "\ufffd")


# --- latency -------------------------------------------------------------------------------


def test_latency_is_learnt_from_a_live_run_by_tier(tmp_path: Path) -> None:
    times = {"2k": [20_000], "4k": [40_000, 30_000, 50_000], "8k": [80_000, 100_000]}
    found = learnt(tmp_path, live=True, target=LIVE, measured={"latency_ms": times})
    setting = found.assumptions["latency.distribution"]
    assert setting["typical_ms"] == 40_000
    assert setting["factor"] == {"2k": 0.5, "4k": 1.0, "8k": 2.25}
    assert 0.1 < setting["sigma"] < 0.2
    assert apply_profile(published_contract(), found).typical_latency_ms == 40_000


def test_the_latency_of_this_machine_teaches_nothing(tmp_path: Path) -> None:
    measured = {"latency_ms": {"4k": [1500]}}
    assert learnt(tmp_path, measured=measured).assumptions == {}
    local = {"live": True, "target": "http://127.0.0.1:1/api/v1"}
    assert learnt(tmp_path, measured=measured, **local).assumptions == {}


# --- the whole way -------------------------------------------------------------------------


def test_a_run_against_other_words_teaches_these_words(run: Run) -> None:
    found = judge(run)
    assert {lesson.assumption_id: lesson.trouble for lesson in lessons(found)} == dict.fromkeys(
        ("body.not_json", "error.wording", "failure.wording", "task_id.missing")
    )
    terms = apply_profile(published_contract(), profile_of(found))
    assert terms.errors["unauthorized"].message == "Who are you?"
    assert terms.errors["task_not_found"].message == "What task?"
    assert terms.errors["invalid_json"].message == "That is no JSON."
    assert terms.errors["task_id_missing"].status == 404
    assert terms.failures["ImageFormatIncorrect"].message == "What picture?"


@pytest.mark.parametrize(
    ("task_id", "form"),
    [
        ("task_12345678", "task_{digits:8}"),
        ("task_abc123xyz789", "task_{alnum:12}"),
        ("0123456789abcdef0123456789abcdef", "hex32"),
        ("01234567-89ab-cdef-0123-456789abcdef", "uuid"),
        ("T.1", "T.{digits:1}"),
    ],
)
def test_the_form_of_an_id(task_id: str, form: str) -> None:
    assert id_form(task_id) == form
