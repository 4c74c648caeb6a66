"""Scenario files: what is read, and which rule and value an error names."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apixo_emulator.scenarios.file import ScenarioFileError, load_rules
from apixo_emulator.scenarios.rules import rule_of
from scenarios.documents import RULES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def error_in(path: Path, text: str) -> list[str]:
    path.write_bytes(text.encode())
    with pytest.raises(ScenarioFileError) as caught:
        load_rules(path)
    return str(caught.value).splitlines()


@settings(max_examples=30)
@given(st.lists(RULES, max_size=4), st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_a_file_holds_its_rules_in_their_order(
    folder: Path, documents: list[dict[str, Any]], mark: bytes
) -> None:
    path = folder / "rules.json"
    path.write_bytes(mark + json.dumps({"rule": documents}).encode())
    expected = [rule_of(document, f"file-{n}") for n, document in enumerate(documents, start=1)]
    assert list(load_rules(path)) == expected


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml, same = tmp_path / "a.toml", tmp_path / "a.json"
    toml.write_text(
        '[[rule]]\nscenario = "slow-3"\ntimes = 2\n[rule.match]\nheaders = { X-Test = "a*" }\n'
    )
    rule = {"scenario": "slow-3", "times": 2, "match": {"headers": {"X-Test": "a*"}}}
    same.write_text(json.dumps({"rule": [rule]}))
    assert load_rules(toml) == load_rules(same) == (rule_of(rule, "file-1"),)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "rule = 1\nrule = 2\n", "expected valid TOML; found: Cannot overwrite a value "),
        ("a.json", '{"rule":\n [,]}', "expected valid JSON; found: Expecting value: line 2 "),
        ("a.toml", f"rule = {'[' * 5000}", "expected TOML; found lists in lists, too deep."),
        ("a.json", "[]", "expected a scenario file with a list of rules; found an empty list."),
        (
            "a.toml",
            "[[rules]]\n",
            "rules: expected one of the keys $schema, rule; found 'rules'. Did you mean rule?",
        ),
        (
            "a.json",
            '{"rule": [{"scenario": "stuck", "scenario": "stuck"}]}',
            "expected valid JSON; found: 'scenario' twice in an object.",
        ),
        (
            "a.toml",
            "[[rule]]\nscenario = ['slow-3', 'slo-4']\n",
            "rule 1, scenario[1]: Unknown scenario 'slo-4'. Did you mean slow-4? ",
        ),
        (
            "a.toml",
            "[[rule]]\nscenario = 'stuck'\nname = 1979-05-27 07:32:00\n",
            "rule 1, name: expected a text, a number, true, false, a list or a table; found ",
        ),
    ],
)
def test_what_is_said_of_wrong_files(tmp_path: Path, name: str, text: str, said: str) -> None:
    (line,) = error_in(tmp_path / name, text)
    line = line.removeprefix(f"{tmp_path}/{name}: ")
    assert line == said or (said.endswith(" ") and line.startswith(said))


def test_all_mistakes_are_told_and_of_many_the_first(tmp_path: Path) -> None:
    text = "[[rule]]\nscenario = 'stuck'\ntimes = 0\n[[rule]]\nscenario = 'stuk'\ntims = 1\n[rul]\n"
    told = [line.split(": ")[1] for line in error_in(tmp_path / "a.toml", text)]
    assert sorted(told) == ["rul", "rule 1, times", "rule 2, scenario", "rule 2, tims"]
    many = error_in(tmp_path / "a.toml", "[[rule]]\n" * 50)
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
        ScenarioFileError, match=r"latin\.toml: expected UTF-8; found the byte 0xe9"
    ):
        load_rules(latin)
