"""The contract's documents are sound and agree with each other."""

import json
import re
from datetime import date
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.api_collections import FOLDER
from support.documents import derived_files

from apixo_schemas import (
    Grade,
    cite,
    cited,
    contract,
    derived_documents,
    document,
    document_names,
    document_text,
    openapi_document,
    source,
    sources,
)

SCHEMAS = [name for name in document_names() if "$schema" in document(name)]
# The page, Request validation: its nine messages in its order.
PAGE = [
    "The required parameter {{input}} is missing.",
    "Invalid mode type. Supported: image-to-image",
    "The required parameter {{image_urls}} is missing.",
    "The parameter {{image_urls}} must be Array type.",
    "The parameter {{image_urls}} must contain exactly 1 image.",
    "The parameter {{image_urls}} Array elements must be String type.",
    "The parameter {{image_urls}} cannot contain empty string.",
    "The parameter {{resolution}} must be either '2k', '4k' or '8k'.",
    "The parameter {{output_format}} must be either 'jpg', 'png' or 'webp'.",
]


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_valid_graded_and_sourced(name: str) -> None:
    schema = document(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == name
    assert '"$ref": "#/' in document_text(name) or "$ref" not in document_text(name)
    if name != "profile.json":
        assert Grade(schema["x-grade"])
        assert cite(tuple(schema["x-source"]))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_examples_satisfy_their_schema(name: str) -> None:
    schema = document(name)
    validator = Draft202012Validator(schema)
    for example in schema.get("examples", []):
        validator.validate(example)


def test_the_nine_messages_stand_in_the_order_of_the_page() -> None:
    assert [rule.message for rule in contract().rules if rule.grade == "documented"] == PAGE


def test_a_message_stands_in_one_place() -> None:
    written = set(document_names()) - set(derived_documents())
    everything = "".join(document_text(name) for name in written)
    for message in PAGE:
        # The error schema shows one of them as its example.
        assert everything.count(json.dumps(message)) <= 2, message


def test_the_derived_files_are_as_they_would_be_made_now() -> None:
    made = derived_files()
    old = [path for path, text in made.items() if path.read_text("utf-8") != text]
    assert not old, "run `make tables`"
    assert {path for path in FOLDER.rglob("*") if path.is_file()} <= {*made, FOLDER / "README.md"}


def test_rule_ids_are_unique() -> None:
    ids = [rule.id for rule in contract().rules]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("assumption", contract().assumptions.values(), ids=lambda a: a.id)
def test_each_assumption_names_its_choice_where_it_stands(assumption: Any) -> None:
    assert assumption.question.endswith("?")
    if assumption.ref is None:
        return
    name, _, pointer = assumption.ref.partition("#/")

    def step(value: Any, key: str) -> Any:
        return value[int(key)] if isinstance(value, list) else value[key]

    target = reduce(step, pointer.split("/"), document(name))
    if isinstance(target, dict) and "x-grade" in target and "x-rule" in target:
        assert target["x-grade"] == "assumed" or assumption.id == "output_format.case"


def test_every_assumed_rule_refers_to_an_assumption_that_exists() -> None:
    for rule in contract().rules:
        if rule.grade is Grade.ASSUMED:
            assert set(rule.sources) <= set(contract().assumptions)


def test_every_source_in_use_is_defined() -> None:
    terms = contract()
    for entry in (*terms.rules, *terms.errors.values(), *terms.failures.values()):
        assert [found.id for found in cited(entry.source)] == list(entry.sources)
    for part in document("model.json").values():
        if isinstance(part, dict):
            assert cite(tuple(part["source"]))


ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "client", "emulator", "contract_tests", "tests", "benchmarks", "docs")
TEXTS = {".py", ".md", ".json", ".html", ".toml"}
CITATIONS = {
    "platform fact": re.compile(r"\bP\d{1,2}[a-z]?\b"),
    "page": re.compile(r"Image Upscaler page, [A-Z]\w+(?: (?:and )?\w+)*"),
    "assumption": re.compile(r"assumptions? [`'\"]*([a-z_]+(?:\.[a-z_]+)+)"),
}


@pytest.mark.parametrize("kind", CITATIONS)
def test_every_source_that_a_text_of_the_project_cites_is_defined(kind: str) -> None:
    texts = [path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.suffix in TEXTS]
    texts += ROOT.glob("*.md")
    cites = {
        (path.relative_to(ROOT), name)
        for path in texts
        if "node_modules" not in path.parts
        for name in CITATIONS[kind].findall(path.read_text("utf-8"))
    }
    known = {key for entry in sources().values() for key in (entry.id, entry.title)}
    assert {(path, name) for path, name in cites if name not in known} == set()
    assert cites, f"the pattern of {kind} finds nothing: it is wrong"


def test_each_source_is_a_sentence_with_publication_and_date() -> None:
    for entry in sources().values():
        assert entry.sentence.endswith("."), entry.id
        assert entry.publication
        if entry.grade is not Grade.ASSUMED:
            assert entry.date is not None
            assert date.fromisoformat(entry.date) >= date(2026, 11, 23)


def test_an_unknown_source_is_named_with_those_there_are() -> None:
    with pytest.raises(KeyError, match=r"no source 'fact'; there are .*P1"):
        source("fact")


def test_the_schema_s_choices_are_the_model_s() -> None:
    terms = contract()
    by_id = {rule.id: rule.schema for rule in terms.rules}

    def choices(rule: str, name: str) -> set[str]:
        found = by_id[rule]["properties"]["input"]["properties"][name]["enum"]
        return {value for value in found if value is not None}

    tiers = choices("resolution.invalid", "resolution")
    assert {tier.lower() for tier in tiers} == set(terms.long_edge_px)
    formats = choices("output_format.invalid", "output_format")
    assert formats == set(terms.formats) | set(terms.format_aliases)
    assert terms.defaults["resolution"] in terms.long_edge_px
    assert terms.defaults["output_format"] in terms.formats


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:1234"])
def test_the_openapi_document_is_valid(origin: str | None) -> None:
    assert list(OpenAPIV31SpecValidator(openapi_document(origin)).iter_errors()) == []


def test_the_emulator_that_serves_the_openapi_document_is_its_first_server() -> None:
    first = openapi_document("http://127.0.0.1:1234/mounted")["servers"][0]
    assert first["url"] == "http://127.0.0.1:1234/mounted/api/v1"
    assert document("openapi.json")["servers"][0]["url"] == contract().live_base_url


def test_the_price_is_exact() -> None:
    assert contract().price_micros == 10_000


def test_an_unknown_document_is_named_with_those_there_are() -> None:
    with pytest.raises(KeyError, match=r"no document 'nope\.json'; there are .*submit-request"):
        document_text("nope.json")
