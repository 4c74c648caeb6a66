"""Profiles: each setting changes exactly what it names, and what is wrong is named."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from apixo_contract.text import id_form
from apixo_schemas import (
    Contract,
    Profile,
    ProfileError,
    apply_profile,
    error_body,
    load_profile,
    profile_schema,
    published_contract,
    read_profile,
    setting_fault,
    shaped_task_id,
)

BASE = published_contract()
MESSAGE = {"message": "In other words."}
ANSWER = {"status": 418, "message": "In other words."}
# A setting for each assumption that is another than the published one, and what it changes.
CASES: dict[str, tuple[Any, set[str]]] = {
    "request_type.missing": (MESSAGE, {"rules"}),
    "request_type.unknown": (MESSAGE, {"rules"}),
    "callback_url.missing": (MESSAGE, {"rules"}),
    "callback_url.type": (MESSAGE, {"rules"}),
    "callback_url.not_https": ("rejected", {"assumptions"}),
    "callback.retry_delays": ([1000, 2000], {"callbacks"}),
    "input.not_object": (MESSAGE, {"rules"}),
    "body.not_json": ({"status": 422}, {"errors"}),
    "body.not_object": (MESSAGE, {"rules"}),
    "body.limit": (4096, {"assumptions"}),
    "body.content_type": (ANSWER, {"assumptions", "errors"}),
    "null.optional": ("rejected", {"assumptions", "rules"}),
    "order": (["output_format.invalid", "mode.invalid"], {"rules"}),
    "parameters.unknown": (MESSAGE, {"assumptions", "rules"}),
    "output_format.case": ("insensitive", {"rules", "format_aliases"}),
    "values.whitespace": ("trimmed", {"assumptions", "rules"}),
    "image_url.not_a_url": ("Timeout", {"assumptions"}),
    "image.too_large": ("Timeout", {"assumptions"}),
    "image.damaged": ("ImageFormatIncorrect", {"assumptions"}),
    "image.refused": ("placeholder", {"assumptions"}),
    "error.wording": ({"unauthorized": "Who?"}, {"errors"}),
    "error.data": ({"error": "$message"}, {"assumptions"}),
    "response.content_type": ("text/html", {"assumptions"}),
    "cors.preflight": ("any", {"assumptions"}),
    "keep_alive.idle": (5000, {"assumptions"}),
    "retry_after": ("date", {"assumptions"}),
    "failure.wording": ({"Timeout": "Too late."}, {"failures"}),
    "failed.charged": ("refunded", {"assumptions"}),
    "tiers.pixels": ({"4k": 3840}, {"long_edge_px"}),
    "task.other_key": ("shown", {"assumptions"}),
    "task_id.form": ("task_{digits:12}", {"assumptions"}),
    "task_id.missing": ("Which task?", {"errors"}),
    "task.retention": (86_400_000, {"assumptions"}),
    "pending.share": (0.3, {"assumptions"}),
    "cost_time": ("absent", {"assumptions"}),
    "latency.distribution": (
        {"typical_ms": 30_000, "sigma": 0.1, "factor": {"8k": 2.5}},
        {"assumptions", "typical_latency_ms"},
    ),
}


def applied(**settings: Any) -> Contract:
    return apply_profile(
        BASE, Profile("test", {k.replace("__", "."): v for k, v in settings.items()})
    )


def with_setting(name: str, value: Any) -> Contract:
    return apply_profile(BASE, read_profile({"form": 1, "assumptions": {name: value}}))


def changed(found: Contract) -> set[str]:
    names = (field.name for field in fields(Contract))
    return {name for name in names if getattr(found, name) != getattr(BASE, name)}


def other_ids(before: Any, after: Any) -> set[str]:
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


def accepts(found: Contract) -> Callable[[Any], bool]:
    """Both validators that read the rules must agree on them."""
    rust = [jsonschema_rs.validator_for(dict(rule.schema)).is_valid for rule in found.rules]
    python = [Draft202012Validator(rule.schema).is_valid for rule in found.rules]

    def verdict(body: Any) -> bool:
        said = [all(holds(body) for holds in rules) for rules in (rust, python)]
        assert said[0] == said[1]
        return said[0]

    return verdict


def winner(found: Contract, body: Any) -> str | None:
    broken = (r.id for r in found.rules if not Draft202012Validator(r.schema).is_valid(body))
    return next(broken, None)


def body(**given: Any) -> dict[str, Any]:
    return {
        "request_type": "async",
        "input": {"image_urls": ["https://example.com/a.jpg"], **given},
    }


# --- laws ----------------------------------------------------------------------------------


def test_every_assumption_is_a_setting() -> None:
    assert set(CASES) == set(BASE.assumptions)
    assert set(profile_schema()["properties"]["assumptions"]["properties"]) == set(BASE.assumptions)


@pytest.mark.parametrize("name", CASES)
def test_a_setting_changes_exactly_what_it_names(name: str) -> None:
    value, parts = CASES[name]
    before = json.dumps([dict(rule.schema) for rule in BASE.rules])
    found = with_setting(name, value)
    # The published contract itself is never touched.
    assert json.dumps([dict(rule.schema) for rule in BASE.rules]) == before
    assert changed(found) == parts
    assert other_ids(BASE.assumptions, found.assumptions) <= {name}
    if "assumptions" in parts:
        assert "by the profile in force" in found.assumptions[name].choice


@given(st.permutations(list(CASES)))
def test_the_order_of_settings_in_a_file_does_not_matter(names: list[str]) -> None:
    settings = {name: CASES[name][0] for name in names}
    assert applied(**{k.replace(".", "__"): v for k, v in settings.items()}) == apply_profile(
        BASE, Profile("all", {name: value for name, (value, _parts) in CASES.items()})
    )


# --- what single settings do ---------------------------------------------------------------


@pytest.mark.parametrize("rule", BASE.rules, ids=lambda rule: rule.id)
def test_any_rule_can_be_reworded_by_its_id(rule: Any) -> None:
    found = apply_profile(BASE, read_profile({"form": 1, "rules": {rule.id: "New words."}}))
    told = {other.id: other.message for other in found.rules}
    assert told == {r.id: "New words." if r.id == rule.id else r.message for r in BASE.rules}
    assert [other.schema for other in found.rules] == [other.schema for other in BASE.rules]


@pytest.mark.parametrize(
    "name", ["request_type.unknown", "callback_url.missing", "callback_url.type"]
)
def test_an_accepted_body_breaks_no_rule(name: str) -> None:
    bodies = {
        "request_type.unknown": {**body(), "request_type": "sync"},
        "callback_url.missing": {**body(), "request_type": "callback"},
        "callback_url.type": {**body(), "request_type": "callback", "callback_url": 7},
    }
    assert not accepts(BASE)(bodies[name])
    assert accepts(with_setting(name, "accepted"))(bodies[name])


@given(st.lists(st.sampled_from([rule.id for rule in BASE.rules]), min_size=2, unique=True))
def test_rules_that_an_order_leaves_out_keep_their_places(order: list[str]) -> None:
    before = [rule.id for rule in BASE.rules]
    after = [rule.id for rule in with_setting("order", order).rules]
    assert [name for name in after if name in order] == order
    assert [n if n not in order else "" for n in after] == [
        n if n not in order else "" for n in before
    ]


values = st.sampled_from(
    ["4k", " 4k ", "\t8K\n", "4 k", "", " ", " PNG", "JpEg", "webp\n", None, 4]
)


@given(values, values, values)
def test_trimming_is_as_if_the_space_were_not_there(mode: Any, tier: Any, kind: Any) -> None:
    given_body = body(mode=mode, resolution=tier, output_format=kind)
    stripped = {k: v.strip() if isinstance(v, str) else v for k, v in given_body["input"].items()}
    trims = accepts(with_setting("values.whitespace", "trimmed"))
    assert trims(given_body) == accepts(BASE)({**given_body, "input": stripped})


@given(values)
def test_formats_of_any_case_are_those_in_lower_case(kind: Any) -> None:
    found = with_setting("output_format.case", "insensitive")
    lower = kind.lower() if isinstance(kind, str) else kind
    assert accepts(found)(body(output_format=kind)) == accepts(BASE)(body(output_format=lower))
    if isinstance(kind, str) and accepts(found)(body(output_format=kind)):
        assert found.format_aliases.get(kind, kind) in found.formats


NULLED = {
    "mode": (body(mode=None), "mode.invalid"),
    "resolution": (body(resolution=None), "resolution.invalid"),
    "output_format": (body(output_format=None), "output_format.invalid"),
    "image_urls": (body(image_urls=None), "image_urls.not_array"),
    "input": ({"input": None}, "input.not_object"),
    "request_type": ({**body(), "request_type": None}, "request_type.invalid"),
}


@pytest.mark.parametrize("name", NULLED)
def test_a_null_that_is_a_value_has_the_wrong_type(name: str) -> None:
    nulled, rule = NULLED[name]
    assert winner(with_setting("null.optional", "rejected"), nulled) == rule
    only = with_setting("null.optional", {name: "rejected"})
    for other, (its_body, _rule) in NULLED.items():
        if other == name:
            assert winner(only, its_body) == rule
        else:
            assert winner(only, its_body) == winner(BASE, its_body)


def test_unknown_parameters_can_be_refused_at_both_levels() -> None:
    found = with_setting("parameters.unknown", MESSAGE)
    for unknown in (body(prompt="a cat"), {**body(), "trace": 1}):
        assert accepts(BASE)(unknown)
        assert winner(found, unknown) == "parameters.unknown"
    assert accepts(found)({**body(resolution="2k"), "provider": "auto", "callback_url": "x"})


def test_a_missing_request_type_can_be_refused() -> None:
    found = with_setting("request_type.missing", MESSAGE)
    for missing in ({"input": body()["input"]}, {**body(), "request_type": None}):
        assert accepts(BASE)(missing)
        assert winner(found, missing) == "request_type.missing"
    assert accepts(found)(body())


@pytest.mark.parametrize("url", ["not a url", "ftp://example.com/a.jpg", "/a.jpg"])
def test_what_is_no_url_can_be_refused_at_submit(url: str) -> None:
    found = with_setting("image_url.not_a_url", MESSAGE)
    assert winner(found, body(image_urls=[url])) == "image_url.not_a_url"
    for fine in ("HTTPS://example.com/a.jpg", "http://x", "data:image/png;base64,"):
        assert accepts(found)(body(image_urls=[fine]))


# --- files ---------------------------------------------------------------------------------


def loaded(tmp_path: Path, text: str) -> Profile:
    path = tmp_path / "live.toml"
    path.write_text(text, "utf-8")
    return load_profile(path)


def test_the_dots_of_an_id_may_be_tables(tmp_path: Path) -> None:
    wanted = {"error.wording": {"forbidden": "No."}, "error.data": {"error": "$message"}}
    for text in (
        'form = 1\nassumptions.error = {wording = {forbidden = "No."}, data = {error = "$message"}}',
        'form = 1\n[assumptions]\nerror.wording.forbidden = "No."\nerror.data.error = "$message"',
        'form = 1\n[assumptions.error.wording]\nforbidden = "No."\n[assumptions.error.data]\nerror = "$message"',
        'form = 1\n[assumptions]\n"error.wording" = {forbidden = "No."}\n"error.data" = {error = "$message"}',
    ):
        assert loaded(tmp_path, text).assumptions == wanted


def test_what_a_profile_says_of_itself(tmp_path: Path) -> None:
    found = loaded(tmp_path, 'form = 1\ntarget = "https://x"\nobserved = 2026-11-23\n')
    assert found == Profile("live", {}, {}, "https://x", "2026-11-23")
    assert loaded(tmp_path, 'form = 1\nname = "mine"').name == "mine"


SET = "form = 1\n[assumptions]\n"
WRONG = {
    "form = ": r"live\.toml: expected a TOML file in UTF-8: ",
    "form = 1 # \udcff": r"live\.toml: expected a TOML file in UTF-8",
    "": r"live\.toml: expected `form = 1` at the top, found None",
    "form = 1\nasumptions = 1": r"unknown key 'asumptions': did you mean 'assumptions'\?",
    "form = 1\nassumptions = 1": r"assumptions: expected a table of settings, found 1",
    "form = 1\nname = 1": r"name: expected a name for people, found 1",
    f"{SET}error.wordin = 1": r"unknown assumption 'error\.wordin': did you mean 'error\.wording'\?",
    'form = 1\n[rules]\n"mode.invald" = "x"': r"'mode\.invald': did you mean 'mode\.invalid'\?",
    'form = 1\n[rules]\n"mode.invalid" = ""': r"rules: expected by id of a submit rule",
    f'{SET}retry_after = "soon"': r'expected "seconds", "date" or "absent"; found \'soon\'',
    f'{SET}error.wording.unauthorised = "x"': r"unauthorised': did you mean 'unauthorized'\?",
    f'{SET}failure.wording.Timeot = "x"': r"unknown failure code 'Timeot': did you mean 'Timeout'\?",
    f"{SET}tiers.pixels = {{16k = 1}}": r"tiers\.pixels: unknown tier '16k'",
    f"{SET}order = ['mode.invalid', 'mode.missing']": r"order: unknown rule 'mode\.missing'",
    f"{SET}null.optional = {{modus = 'rejected'}}": r"'modus': did you mean 'mode'\?",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_with_what_was_expected(tmp_path: Path, text: str) -> None:
    path = tmp_path / "live.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ProfileError, match=WRONG[text]):
        load_profile(path)


@given(st.sampled_from(sorted(CASES)), st.integers() | st.text() | st.lists(st.text()) | st.none())
def test_a_value_of_no_known_form_is_a_fault_and_never_a_crash(name: str, value: Any) -> None:
    fault = setting_fault(name, value)
    schema = profile_schema()["properties"]["assumptions"]["properties"][name]
    known = {**schema, "$defs": profile_schema()["$defs"]}
    if not Draft202012Validator(known).is_valid(value):
        assert fault is not None
        assert fault.startswith(f"{name}: expected {schema['description']}; found ")
    if fault is None:
        with_setting(name, value)


# --- in force ------------------------------------------------------------------------------


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


TOO_LATE = "ProfileError: too late for the profile 'live': the contract has been read"
USE = (
    "from apixo_schemas import contract, published_contract, read_profile, use_profile\n"
    "profile = read_profile({'form': 1, 'assumptions': {'retry_after': 'date'}}, name='live')\n"
)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("use_profile(profile)\nprint(contract().assumed('retry_after'))", "date\n"),
        ("contract()\nuse_profile(profile)", TOO_LATE),
        ("use_profile(profile)\nuse_profile(profile)", TOO_LATE),
    ],
)
def test_a_profile_is_in_force_for_a_process_or_refused(code: str, words: str) -> None:
    assert words in python(USE + code)


def test_the_base_install_needs_no_validator_to_read_the_contract() -> None:
    out = python(
        "import sys\nbefore = {*sys.modules}\nimport apixo_schemas\napixo_schemas.contract()\n"
        "print({'jsonschema', 'jsonschema_rs', 'tomllib'} & (sys.modules.keys() - before))"
    )
    assert out == "set()\n"


# --- the forms that a profile can ask for ------------------------------------------------------

numbers = st.integers(0, 2**128 - 1)
FORMS = {
    "hex32": r"[0-9a-f]{32}",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "task_{digits:8}": r"task_\d{8}",
    "task_{alnum:12}": r"task_[0-9a-z]{12}",
    "{hex:8}-{digits:4}.jpg": r"[0-9a-f]{8}-\d{4}\.jpg",
}


@given(numbers, st.sampled_from(sorted(FORMS)))
def test_an_id_has_its_form_and_is_always_the_same(number: int, form: str) -> None:
    made = shaped_task_id(form, number)
    assert re.fullmatch(FORMS[form], made)
    assert shaped_task_id(form, number) == made
    # The form that is learnt from an id makes ids like it.
    again = shaped_task_id(id_form(made), number)
    assert len(again) == len(made)


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        (None, {"data": None}),
        ("absent", {}),
        ({}, {"data": {}}),
        ({"error": "$message"}, {"data": {"error": "No."}}),
        (
            {"errors": [{"detail": "$message", "n": 1}]},
            {"data": {"errors": [{"detail": "No.", "n": 1}]}},
        ),
    ],
)
def test_the_data_of_an_error_has_the_asked_form(form: Any, wanted: dict[str, Any]) -> None:
    assert error_body(400, "No.", form) == {"code": 400, "message": "No.", **wanted}
