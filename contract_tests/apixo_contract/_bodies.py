"""Submit bodies: valid ones, and ones that break chosen rules of the contract on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from apixo_contract._oracle import expect, supported
from apixo_contract._values import anything, classic_values, other_types, texts, unsupported
from apixo_schemas import Grade, contract

Body = dict[str, Any]
_FIELDS = ("mode", "image_urls", "resolution", "output_format")
_ABSENT: Any = object()
_MANY = 30
# A public HTTPS address, as the page wants it, that nobody listens at.
PUBLIC_HOOK = "https://example.com/hook"


def written(body: Any) -> str:
    """Give a body's JSON text."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def body(image_url: str, *, request_type: str | None = "async", **given: Any) -> Body:
    """Give a body with one image; keyword arguments add or replace parameters of ``input``."""
    asked = {"image_urls": [image_url], **given}
    kind = {} if request_type is None else {"request_type": request_type}
    return {**kind, "input": {name: value for name, value in asked.items() if value is not _ABSENT}}


@cache
def documented_rules() -> tuple[str, ...]:
    """Give the ids of the rules that a target is held to, in the page's order."""
    return tuple(rule.id for rule in contract().rules if rule.grade is not Grade.ASSUMED)


def field_of(rule_id: str) -> str:
    """Give the parameter that a rule is about, e.g. ``mode``."""
    return rule_id.partition(".")[0]


def _enum_rule(rule_id: str) -> bool:
    return rule_id.endswith(".invalid")


def classics(rule_id: str, image_url: str) -> Iterator[Body]:
    """Give bodies that break one rule, the simplest first; the same ones on every run."""
    if rule_id == "input.missing":
        yield {"request_type": "async"}
        yield {"request_type": "callback", "callback_url": PUBLIC_HOOK}
        return
    field = field_of(rule_id)
    values = classic_values(field) if _enum_rule(rule_id) else _classic_urls(rule_id, image_url)
    for value in values:
        made = body(image_url, **{field: value})
        if broken_alone(made, rule_id):
            yield made


def _classic_urls(rule_id: str, url: str) -> list[Any]:
    return {
        "image_urls.missing": [_ABSENT],
        "image_urls.not_array": [url, {"0": url}, "", *other_types(url)],
        "image_urls.length": [[], [url, url], [url] * 3, [url] * _MANY],
        "image_urls.element_type": [[1], [None], [True], [[url]], [{"url": url}], [0], [[]]],
        "image_urls.element_empty": [[""]],
    }[rule_id]


def broken_alone(made: Body, rule_id: str) -> bool:
    """Whether a body breaks this rule and no other, and nothing is assumed in saying so."""
    said = expect(made)
    return [rule.id for rule in said.broken] == [rule_id] and not said.doubts


def valid_value(field: str) -> st.SearchStrategy[Any]:
    """Supported values of a parameter, or its absence."""
    return st.sampled_from([*supported(field), _ABSENT])


def _urls(rule_id: str, url: str) -> st.SearchStrategy[Any]:
    element: st.SearchStrategy[Any] = st.none() | anything().filter(
        lambda v: not isinstance(v, str)
    )
    return {
        "image_urls.missing": st.just(_ABSENT),
        "image_urls.not_array": anything().filter(lambda value: not isinstance(value, list)),
        "image_urls.length": st.integers(0, _MANY)
        .filter(lambda n: n != 1)
        .map(lambda n: [url] * n),
        "image_urls.element_type": element.map(lambda value: [value]),
        "image_urls.element_empty": st.just([""]),
    }[rule_id]


_BOTH: dict[frozenset[str], Callable[[str], list[Any]]] = {
    # The two rules on elements can be broken beside the one on the length.
    frozenset({"image_urls.length", "image_urls.element_type"}): lambda url: [
        [1, url],
        [None, None],
    ],
    frozenset({"image_urls.length", "image_urls.element_empty"}): lambda url: [["", url], ["", ""]],
}


def _breaking(rules: frozenset[str], field: str, url: str) -> st.SearchStrategy[Any] | None:
    """Values of one parameter that break those of the rules which are about it."""
    mine = frozenset(rule for rule in rules if field_of(rule) == field)
    if not mine:
        return None
    if len(mine) > 1:
        return st.sampled_from(_BOTH[mine](url))
    (rule_id,) = mine
    return unsupported(field) if _enum_rule(rule_id) else _urls(rule_id, url)


@cache
def combinable(size: int) -> tuple[frozenset[str], ...]:
    """Give every set of so many documented rules that one body can break together."""
    sets = (frozenset(chosen) for chosen in combinations(documented_rules(), size))
    return tuple(chosen for chosen in sets if size == 1 or _together(chosen))


def _together(rules: frozenset[str]) -> bool:
    if "input.missing" in rules:
        return False
    by_field: dict[str, set[str]] = {}
    for rule in rules:
        by_field.setdefault(field_of(rule), set()).add(rule)
    return all(len(mine) == 1 or frozenset(mine) in _BOTH for mine in by_field.values())


def canonical(rules: frozenset[str], image_url: str) -> Body:
    """Give one plain body that breaks exactly these rules, the same one every time."""
    given: Body = {}
    for field in _FIELDS:
        mine = frozenset(rule for rule in rules if field_of(rule) == field)
        if len(mine) > 1:
            given[field] = _BOTH[mine](image_url)[0]
        elif mine:
            (rule,) = mine
            given[field] = next(classics(rule, image_url))["input"].get(field, _ABSENT)
    return body(image_url, **given)


@st.composite
def breaking(draw: st.DrawFn, rules: frozenset[str], image_url: str) -> Body:
    """Bodies that break exactly these rules, the rest of them valid in any documented way."""
    if rules == {"input.missing"}:
        made: Body = draw(st.sampled_from(list(classics("input.missing", image_url))))
        return made
    given: Body = {}
    for field in _FIELDS:
        values = _breaking(rules, field, image_url)
        if values is None:
            values = st.just([image_url]) if field == "image_urls" else valid_value(field)
        given[field] = draw(values)
    return body(image_url, **given)


def exactly(rules: frozenset[str], image_url: str) -> st.SearchStrategy[Body]:
    """Bodies that break exactly these rules by the oracle, with no doubt but on their order."""

    def holds(made: Body) -> bool:
        said = expect(made)
        return {rule.id for rule in said.broken} == rules and not said.doubts - {"order"}

    return breaking(rules, image_url).filter(holds)


def with_extras(rules: frozenset[str], image_url: str) -> st.SearchStrategy[Body]:
    """Bodies like those of `exactly` that also bring parameters nobody has documented."""
    names = texts().filter(lambda name: bool(name) and name not in _FIELDS)
    extras = st.dictionaries(names | st.just("prompt"), anything(), min_size=1, max_size=3)

    def add(made: Body, more: Mapping[str, Any]) -> Body:
        return {**made, "input": {**more, **made["input"]}}

    return st.builds(add, exactly(rules, image_url), extras)
