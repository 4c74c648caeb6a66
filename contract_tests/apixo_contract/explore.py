"""Generated bodies, and the smallest body that still shows a fault.

Bodies are generated before any is sent, so that their number and content depend on the seed alone.
Shrinking sends ever simpler bodies, the simplest first: a target that accepts a body which it ought
to refuse is paid for the first simpler one that it accepts, and for no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from apixo_contract.bodies import FIELDS, Body, breaks_exactly, canonical, field_of
from apixo_contract.oracle import expect
from apixo_contract.text import compact_json

# Bodies that are sent to shrink one. Longer texts and lists are halved before they are counted up.
_MOST_TRIES = 80
_COUNTED = 40


def generated(bodies: st.SearchStrategy[Body], *, examples: int, seed_number: int) -> list[str]:
    """Return generated bodies as JSON texts, without repetitions.

    Args:
        bodies: What to generate.
        examples: How many to generate at most.
        seed_number: The same number gives the same bodies.
    """
    made: dict[str, None] = {}

    # Nothing is kept between runs: what was sent to a live target stays in this process.
    @seed(seed_number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType] - its metaclass leaves out the deprecated ones
        print_blob=False,
    )
    @given(bodies)
    def collect(found: Any) -> None:
        made[compact_json(found)] = None

    # Fewer such bodies may exist, or be found, than were asked for.
    with suppress(Unsatisfiable):
        collect()
    return list(made)


def shrink(made: Body, url: str, still_wrong: Callable[[Body], bool | None]) -> Body:
    """Return the simplest body found that shows the same fault as a body.

    Args:
        made: The body that showed it.
        url: The image URL of valid bodies.
        still_wrong: Sends a body and says whether the fault is there; None if no more may be sent.
    """
    rules = frozenset(rule.id for rule in expect(made).broken)
    plainest = len(compact_json(canonical(rules, url)))
    tried: set[str] = {compact_json(made)}
    best, again = made, True
    while again and len(compact_json(best)) > plainest:
        again = False
        for simpler in _simpler(best, rules, url):
            text = compact_json(simpler)
            if text in tried or not breaks_exactly(simpler, rules):
                continue
            if len(tried) > _MOST_TRIES:
                return best
            tried.add(text)
            wrong = still_wrong(simpler)
            if wrong is None:
                return best
            if wrong:
                best, again = simpler, True
                break
    return best


def _simpler(made: Body, rules: frozenset[str], url: str) -> Iterator[Body]:
    """Yield simpler bodies, the simplest first: absent parameters, then smaller values."""
    if not isinstance(made.get("input"), dict):
        yield {"request_type": "async"}
        return
    involved = {field_of(rule) for rule in rules}
    kept = {name: value for name, value in made["input"].items() if name in involved}
    asked = {"image_urls": [url], **kept}
    if "image_urls.missing" in rules:
        del asked["image_urls"]
    head = {name: value for name, value in made.items() if name != "input"}
    yield {"request_type": "async", "input": asked}
    yield {**head, "input": asked}
    for name in FIELDS:
        if name in made["input"] and name not in involved:
            rest = {other: value for other, value in made["input"].items() if other != name}
            yield {**made, "input": rest}
    for name in involved & set(made["input"]):
        for value in _smaller(made["input"][name], url):
            yield {**made, "input": {**made["input"], name: value}}


def _smaller(value: Any, url: str) -> Iterator[Any]:
    """Yield smaller values of the same type, the smallest first; the valid image URL is kept."""
    if value == url:
        return
    if isinstance(value, str):
        yield from (value[:length] for length in _lengths(len(value)))
        yield "a" * len(value)
    elif isinstance(value, list):
        yield from (value[:length] for length in _lengths(len(value)))
        for place, part in enumerate(value):
            yield from ([*value[:place], p, *value[place + 1 :]] for p in _smaller(part, url))
    elif isinstance(value, dict):
        yield {}
        for name, part in value.items():
            yield {name: part}
            yield from ({**value, name: smaller} for smaller in _smaller(part, url))
    elif isinstance(value, float):
        yield int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from range(min(value, 2))


def _lengths(length: int) -> Iterator[int]:
    """Yield shorter lengths in ascending order; of a long one the halves first."""
    if length > _COUNTED:
        yield from (length >> halvings for halvings in range(length.bit_length(), 0, -1))
    else:
        yield from range(length)
