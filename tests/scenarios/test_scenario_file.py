"""Scenario files: what is read, and where an error is found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_emulator.scenario_file import ScenarioFileError, load_rules
from apixo_emulator.scenarios.rules import rule_of
from apixo_emulator.toml_file import LARGEST_BYTES
from scenarios.documents import RULES, Place, places, value_at
from scenarios.writing import as_json, as_toml, escaped

WRITERS = {"toml": as_toml, "json": as_json}
LANGUAGES = pytest.mark.parametrize("suffix", list(WRITERS))
# Nothing else in a generated file looks like it.
SLIP = "slipped"
NUMBER = -987_654_321
MARKS = (SLIP, escaped(SLIP), str(NUMBER))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def error_in(path: Path, text: str) -> str:
    path.write_bytes(text.encode())
    with pytest.raises(ScenarioFileError) as caught:
        load_rules(path)
    return str(caught.value)


@LANGUAGES
@given(documents=st.lists(RULES, max_size=4), data=st.data())
def test_a_file_holds_the_same_rules_in_either_language(
    folder: Path, suffix: str, documents: list[dict[str, Any]], data: st.DataObject
) -> None:
    path = folder / f"rules.{suffix}"
    text = WRITERS[suffix]({"rule": documents}, data.draw)
    path.write_bytes(data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode())
    expected = [rule_of(document, f"file-{n}") for n, document in enumerate(documents, start=1)]
    assert list(load_rules(path)) == expected


def misspelt_key(document: Any, draw: Callable[[Any], Any]) -> Place:
    """Put a key that does not exist into one of the tables."""
    tables = [p for p in places(document) if isinstance(value_at(document, p), dict)]
    tables = [p for p in tables if "headers" not in p]  # which may have any name
    place: Place = draw(st.sampled_from(tables))
    value_at(document, place)[SLIP] = 1
    return (*place, SLIP)


def wrong_value(document: Any, draw: Callable[[Any], Any]) -> Place:
    """Put a wrong value in the place of another: a text for a number, a number for a text."""
    values = [p for p in places(document) if not isinstance(value_at(document, p), dict | list)]
    place: Place = draw(st.sampled_from(values))
    *table, name = place
    old = value_at(document, place)
    free = isinstance(old, str) and not {"scenario", "answers", "status", "wire", "outcome"} & {
        *place
    }
    value_at(document, tuple(table))[name] = NUMBER if free else SLIP
    return place


@LANGUAGES
@pytest.mark.parametrize("spoil", [misspelt_key, wrong_value])
@given(documents=st.lists(RULES, min_size=1, max_size=4), data=st.data())
def test_an_error_names_the_line_on_which_it_was_made(
    folder: Path,
    suffix: str,
    spoil: Callable[[Any, Any], Place],
    documents: list[dict[str, Any]],
    data: st.DataObject,
) -> None:
    document = json.loads(json.dumps({"rule": documents}))
    place = spoil(document, data.draw)
    text = WRITERS[suffix](document, data.draw)
    (row,) = [
        number
        for number, row in enumerate(text.split("\n"), start=1)
        if any(mark in row for mark in MARKS)
    ]
    path = folder / f"spoilt.{suffix}"
    (line,) = error_in(path, text).splitlines()
    rule = f" rule {int(place[1]) + 1}, " if len(place) > 1 else f" {SLIP}: "
    assert line.startswith(f"{path}:{row}:{rule}")
    assert "expected" in line or "Unknown scenario" in line
    assert f"'{SLIP}'" in line or str(NUMBER) in line


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "rule = 1\nrule = 2\n", "a.toml:2: expected valid TOML; found 'rule = 2': "),
        ("a.toml", "\n\n[[rule]\n", "a.toml:3: expected valid TOML; found '[[rule]': "),
        ("a.toml", '[[rule]]\nname = """\nx', "a.toml:3: expected valid TOML; found 'x': "),
        ("a.json", '{"rule":\n [,]}', "a.json:2: expected valid JSON; found '[,]}': "),
        ("a.json", "", "a.json:1: expected valid JSON; found '': "),
        ("a.json", "[" * 100_000, "a.json: expected rules; found lists in lists, too deep."),
        (
            "a.json",
            "[]",
            "a.json:1: expected a scenario file with a list of rules; found an empty list.",
        ),
        (
            "a.toml",
            "\n[rule]\nscenario = 'stuck'\n",
            "a.toml:2: rule: expected a list of rules, in TOML [[rule]]; found a table.",
        ),
        (
            "a.toml",
            "[[rules]]\n",
            "a.toml:1: rules: expected one of the keys $schema, rule; found 'rules'. Did you mean rule?",
        ),
        (
            "a.json",
            '{"rule": [{"scenario": "stuck",\n"scenario": "stuck"}]}',
            "a.json:2: rule 1, scenario: expected once; found again.",
        ),
        (
            "a.toml",
            "[[rule]]\nscenario = [\n  'slow-3',\n\n  'slo-4',\n]\n",
            "a.toml:5: rule 1, scenario[1]: Unknown scenario 'slo-4'. Did you mean slow-4? ",
        ),
        (
            "a.toml",
            "[[rule]]\nscenario = 'stuck'\nname = 1979-05-27 07:32:00\n",
            "a.toml:3: rule 1, name: expected a text, a number, true, false, a list or a table; found ",
        ),
        (
            "a.toml",
            "[[rule]]\nscenario = 'stuck'\n[rule.match]\nprobability = nan\n",
            "a.toml:4: rule 1, match.probability: expected a finite number, found nan.",
        ),
        (
            "a.toml",
            "[[rule]]\nscenario = 'slow-3'\n\n[rule.plan]\nduration = 4\n",
            "a.toml:4: rule 1, plan: slow-3 and plan contradict each other: ",
        ),
        (
            "a.toml",
            "[[rule]]\nscenario = 'slow-3'\n\n[[rule]]\n# nothing\n",
            "a.toml:4: rule 2: expected a rule with a scenario or a plan; found neither.",
        ),
    ],
)
def test_what_is_said_of_wrong_files(tmp_path: Path, name: str, text: str, said: str) -> None:
    (line,) = error_in(tmp_path / name, text).splitlines()
    line = line.removeprefix(f"{tmp_path}/")
    assert line == said or (said.endswith(" ") and line.startswith(said))


def test_all_mistakes_are_told_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = "[[rule]]\nscenario = 'stuck'\ntimes = 0\n[[rule]]\nscenario = 'stuk'\ntims = 1\n[rul]\n"
    rows = [line.split(":")[1] for line in error_in(tmp_path / "a.toml", text).splitlines()]
    assert rows == ["3", "5", "6", "7"]
    many = error_in(tmp_path / "a.toml", "[[rule]]\n" * 50).splitlines()
    assert len(many) == 21
    assert many[-1].endswith("and 30 more.")


def test_what_is_no_file_of_rules_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(ScenarioFileError, match="cannot be read: No such file"):
        load_rules(tmp_path / "none.toml")
    with pytest.raises(ScenarioFileError, match=r"ends with \.toml or \.json"):
        load_rules(tmp_path / "rules.yaml")
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# a\n# \xe9\n")
    with pytest.raises(
        ScenarioFileError, match=r"latin\.toml:2: expected UTF-8; found the byte 0xe9"
    ):
        load_rules(latin)
    large = tmp_path / "large.json"
    large.write_bytes(b" " * (LARGEST_BYTES + 1))
    with pytest.raises(ScenarioFileError, match="expected at most"):
        load_rules(large)


def test_a_file_may_be_empty_or_name_its_schema(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("")
    (tmp_path / "a.json").write_text('{"$schema": "scenarios.json"}')
    assert load_rules(tmp_path / "a.toml") == load_rules(tmp_path / "a.json") == ()
