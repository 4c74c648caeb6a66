"""Submit bodies: valid ones, and ones that break chosen documented rules.

Bodies are generated before any is sent, so that their number and content depend on the seed alone.
Shrinking sends ever simpler bodies, the simplest first: a target that accepts a body which it ought
to refuse is paid for the first simpler one that it accepts, and for no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from itertools import combinations
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from apixo_contract.oracle import expect, supported
from apixo_contract.text import compact_json
from apixo_schemas import Grade, contract, document

Body = dict[str, Any]
FIELDS = ("mode", "image_urls", "resolution", "output_format")
ABSENT: Any = object()
# A public HTTPS address, as the page wants it. No task with it is meant to be accepted.
PUBLIC_HOOK = "https://example.com/hook"
_MANY = 30
# Integers that every JSON parser keeps exactly.
_SAFE = 2**53 - 1
_DEEP = 40
_LONG = 2000
# Look-alikes of letters and digits: Kelvin sign, dotless and dotted i, Cyrillic, full width,
# Arabic digits, other dashes.
_LOOKALIKES = {
    "k": "\u212a\u043a\uff4b",
    "i": "\u0131\u0130\u0456",
    "e": "\u0435\uff45",
    "a": "\u0430\uff41",
    "p": "\u0440\uff50",
    "j": "\u0458\uff4a",
    "g": "\u0261\uff47",
    "w": "\u051d\uff57",
    "2": "\u0662\uff12",
    "4": "\u0664\uff14",
    "8": "\u0668\uff18",
    "-": "\u2010\u2212\u2013",
}
# What other models and services accept for the same parameter.
_NEIGHBOURS = {
    "mode": (
        *("text-to-image", "image-to-video", "image_to_image", "img2img", "upscale"),
        *("image to image", "text-to-video", "video-to-video", "image-to-image-pro", "auto"),
    ),
    "resolution": (
        *("1k", "16k", "3k", "5k", "6k", "12k", "1080p", "720p", "2160p", "4096", "2x", "4x"),
        *("hd", "uhd", "original", "auto", "4096x4096", "k4", "04k", "4.0k"),
    ),
    "output_format": (
        *("gif", "tiff", "bmp", "avif", "heic", "svg", "jxl", "jp2", "pdf", "tif", "ico"),
        *("jpe", "jfif", "image/jpeg", "image/png", ".jpg", "original", "auto", "mp4", "raw"),
    ),
}


def body(image_url: str, *, request_type: str | None = "async", **given: Any) -> Body:
    """Return a body with one image; keyword arguments add or replace parameters of ``input``."""
    asked = {"image_urls": [image_url], **given}
    kind = {} if request_type is None else {"request_type": request_type}
    return {**kind, "input": {name: value for name, value in asked.items() if value is not ABSENT}}


def example(image_url: str) -> Body:
    """Return the page's example body, with another image."""
    made: Body = dict(document("submit-request.json")["examples"][0])
    return {**made, "input": {**made["input"], "image_urls": [image_url]}}


def in_callback_mode(made: Body, callback_url: str = PUBLIC_HOOK) -> Body:
    """Return the same body in callback mode."""
    return {**made, "request_type": "callback", "callback_url": callback_url}


@cache
def documented_rules() -> tuple[str, ...]:
    """Return the ids of the rules that a target must keep, in the page's order."""
    return tuple(rule.id for rule in contract().rules if rule.grade is not Grade.ASSUMED)


def field_of(rule_id: str) -> str:
    """Return the parameter that a rule is about, e.g. ``mode``."""
    return rule_id.partition(".")[0]


def _is_enum(rule_id: str) -> bool:
    return rule_id.endswith(".invalid")


# --- fixed bodies ---------------------------------------------------------------------------


def classics(rule_id: str, image_url: str) -> Iterator[Body]:
    """Yield bodies that break one rule, the simplest first; the same ones in every run."""
    if rule_id == "input.missing":
        yield {"request_type": "async"}
        return
    field = field_of(rule_id)
    values = classic_values(field) if _is_enum(rule_id) else _classic_urls(rule_id, image_url)
    for value in values:
        made = body(image_url, **{field: value})
        if breaks_exactly(made, frozenset({rule_id})):
            yield made


@cache
def classic_values(field: str) -> list[Any]:
    """Return unsupported values of a parameter, the simplest first."""
    known = supported(field)
    wrong = ["other", "", 4, [known[0]], True, {"value": known[0]}, *_NEIGHBOURS.get(field, ())]
    spelt = [text for value in known for text in _misspellings(value)]
    return wrong + spelt + _other_types(known[0])


def _misspellings(value: str) -> Iterator[str]:
    """Yield texts that a careless comparison takes for a value."""
    for place, letter in enumerate(value):
        for other in _LOOKALIKES.get(letter, ""):
            yield value[:place] + other + value[place + 1 :]
    yield from (value + value, value[:-1], value[1:], value + "x", "x" + value)
    yield from (f"{value},{value}", f"'{value}'", f"{value}.", f"{value}\u0301", value * _LONG)


def _other_types(value: Any) -> list[Any]:
    """Return values of other types that contain a value: arrays, objects, deeply nested ones."""
    return [0, 4, -1, 1.5, True, False, [], [value], {}, {"value": value}, _nested(value)]


def _nested(value: Any) -> Any:
    for level in range(_DEEP):
        value = [value] if level % 2 else {"value": value}
    return value


def _classic_urls(rule_id: str, url: str) -> list[Any]:
    return {
        "image_urls.missing": [ABSENT],
        "image_urls.not_array": [url, {"0": url}, "", *_other_types(url)],
        "image_urls.length": [[], [url, url], [url] * 3, [url] * _MANY],
        "image_urls.element_type": [[1], [None], [True], [[url]], [{"url": url}], [0], [[]]],
        "image_urls.element_empty": [[""]],
    }[rule_id]


def breaks_exactly(made: Any, rules: frozenset[str]) -> bool:
    """True if a body breaks exactly these rules; only their order may be in doubt."""
    said = expect(made)
    allowed = {"order"} if len(rules) > 1 else set[str]()
    return {rule.id for rule in said.broken} == rules and said.doubts <= allowed


# --- sets of rules that one body breaks together ----------------------------------------------

_BOTH: dict[frozenset[str], Callable[[str], list[Any]]] = {
    # The two rules on elements can be broken beside the one on the length.
    frozenset({"image_urls.length", "image_urls.element_type"}): lambda url: [
        [1, url],
        [None, None],
    ],
    frozenset({"image_urls.length", "image_urls.element_empty"}): lambda url: [["", url], ["", ""]],
}


@cache
def combinable(size: int) -> tuple[frozenset[str], ...]:
    """Return every set of so many documented rules that one body can break together."""
    sets = (frozenset(chosen) for chosen in combinations(documented_rules(), size))
    return tuple(chosen for chosen in sets if size == 1 or _together(chosen))


def _together(rules: frozenset[str]) -> bool:
    if "input.missing" in rules:
        return False
    fields = (_of_field(rules, field) for field in FIELDS)
    return all(len(mine) <= 1 or mine in _BOTH for mine in fields)


def _of_field(rules: frozenset[str], field: str) -> frozenset[str]:
    return frozenset(rule for rule in rules if field_of(rule) == field)


def canonical(rules: frozenset[str], image_url: str) -> Body:
    """Return the plainest body that breaks exactly these rules."""
    if rules == {"input.missing"}:
        return next(classics("input.missing", image_url))
    given: Body = {}
    for field in FIELDS:
        mine = _of_field(rules, field)
        if len(mine) > 1:
            given[field] = _BOTH[mine](image_url)[0]
        elif mine:
            (rule,) = mine
            given[field] = next(classics(rule, image_url))["input"].get(field, ABSENT)
    return body(image_url, **given)


# --- generated bodies -------------------------------------------------------------------------


@cache
def texts() -> st.SearchStrategy[str]:
    """Return texts in any script, without control characters, which servers may refuse as such."""
    return st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=24)


@cache
def anything() -> st.SearchStrategy[Any]:
    """Return JSON values of any type except null, with numbers that every JSON parser accepts."""
    numbers = st.integers(-_SAFE, _SAFE) | st.floats(-1e9, 1e9, allow_nan=False)
    return st.recursive(
        st.booleans() | numbers | texts(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(texts().filter(bool), inner, max_size=3)
        ),
        max_leaves=6,
    )


def _valid_value(field: str) -> st.SearchStrategy[Any]:
    return st.sampled_from([ABSENT, *supported(field)])


def _breaking_value(rules: frozenset[str], field: str, url: str) -> st.SearchStrategy[Any] | None:
    """Return values of one parameter that break the rules about it; None if there is no such rule."""
    mine = _of_field(rules, field)
    if not mine:
        return None
    if len(mine) > 1:
        return st.sampled_from(_BOTH[mine](url))
    (rule_id,) = mine
    if _is_enum(rule_id):
        return st.sampled_from(classic_values(field)) | anything()
    no_text = st.none() | anything().filter(lambda value: not isinstance(value, str))
    urls: dict[str, st.SearchStrategy[Any]] = {
        "image_urls.missing": st.just(ABSENT),
        "image_urls.not_array": anything().filter(lambda value: not isinstance(value, list)),
        "image_urls.length": st.sampled_from([0, *range(2, _MANY + 1)]).map(lambda n: [url] * n),
        "image_urls.element_type": no_text.map(lambda value: [value]),
        "image_urls.element_empty": st.just([""]),
    }
    return urls[rule_id]


@st.composite
def breaking(draw: st.DrawFn, rules: frozenset[str], image_url: str) -> Body:
    """Draw a body that breaks no other rules than these, the rest of it valid, in either mode."""
    if rules == {"input.missing"}:
        made = canonical(rules, image_url)
    else:
        given: Body = {}
        for field in FIELDS:
            values = _breaking_value(rules, field, image_url)
            if values is None:
                values = st.just([image_url]) if field == "image_urls" else _valid_value(field)
            given[field] = draw(values)
        made = body(image_url, **given)
    return in_callback_mode(made) if draw(st.booleans()) else made


def exactly(rules: frozenset[str], image_url: str) -> st.SearchStrategy[Body]:
    """Return bodies that break exactly these rules by the oracle."""
    return breaking(rules, image_url).filter(lambda made: breaks_exactly(made, rules))


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


# --- the smallest body that shows a fault --------------------------------------------------------

# Bodies that are sent to shrink one. Longer texts and lists are halved before they are counted up.
_MOST_TRIES = 80
_COUNTED = 40


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
