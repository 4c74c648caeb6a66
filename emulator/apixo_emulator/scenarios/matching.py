"""Whether a rule decides about a submit, and if not, why.

The first rule that fits decides. `screen` compares the submit with the rule's conditions. The store
then counts it, and `take` decides by these counts: ``seen`` counts the submits that fit, also those
that an earlier rule decides; ``call`` refers to it. ``used`` counts the decisions, for ``times``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from apixo_emulator.domain.accounts import mask
from apixo_emulator.domain.randomness import unit
from apixo_emulator.domain.text import fits, shown
from apixo_emulator.journal.secrets import mask_of
from apixo_emulator.scenarios.rules import Rule, shown_header, shown_match

PREEMPTED = "an earlier rule decided"
_LOOKED_AT = 2000  # characters of a URL; a data URL can have millions


@dataclass(frozen=True, slots=True)
class SubmitFacts:
    """The parts of a submit that rules compare; header names are in lower case."""

    image_url: str
    resolution: str
    output_format: str
    key: str
    headers: Sequence[tuple[bytes, bytes]]


def screen(rule: Rule, facts: SubmitFacts) -> str | None:
    """Return why a submit does not fit a rule, judged by the submit alone; None where it fits."""
    return next(_misfits(rule, facts), None)


def _misfits(rule: Rule, facts: SubmitFacts) -> Iterator[str]:
    wanted = rule.match
    if wanted.resolution not in {None, facts.resolution}:
        yield f"resolution is {facts.resolution}, the rule wants {wanted.resolution}"
    if wanted.output_format not in {None, facts.output_format}:
        yield f"output_format is {facts.output_format}, the rule wants {wanted.output_format}"
    if wanted.image_url is not None and not fits(wanted.image_url, facts.image_url):
        asked = shown(shown_match(wanted).image_url or "")
        yield f"image_url is {_glance(facts)}, the rule wants {asked}"
    if wanted.key is not None and not fits(wanted.key, facts.key):
        yield f"key is {mask(facts.key)}, the rule wants {mask(wanted.key)}"
    for name, pattern in wanted.headers:
        if reason := _header(name, pattern, facts):
            yield reason


def _glance(facts: SubmitFacts) -> str:
    """Return the beginning of the URL; it is masked before it is cut, so that no key is cut in two."""
    return shown(mask_of(facts.headers).text(facts.image_url[:_LOOKED_AT]))


def _header(name: str, pattern: str, facts: SubmitFacts) -> str | None:
    values = [value.decode("latin-1") for key, value in facts.headers if key == name.encode()]
    if any(fits(pattern, value) for value in values):
        return None
    wanted = shown(shown_header(name, pattern))
    if not values:
        return f"header {name} is missing, the rule wants {wanted}"
    return f"header {name} is {shown(shown_header(name, values[0]))}, the rule wants {wanted}"


def take(rule: Rule, seen: int, used: int, draw: float) -> str | None:
    """Return why a rule does not decide about a submit that fits it; None if it decides.

    ``seen`` is the submit's number among those that fit, from 1. ``used`` is the number of decisions
    so far. ``draw`` is the result of `drawn`.
    """
    wanted = rule.match
    if rule.times is not None and used >= rule.times:
        return f"used up: {used} of {rule.times}"
    if wanted.calls and seen not in wanted.calls:
        calls = ", ".join(map(str, wanted.calls))
        return f"call {seen}, the rule wants {'calls' if wanted.calls[1:] else 'call'} {calls}"
    if wanted.probability is not None and draw >= wanted.probability:
        return f"probability {wanted.probability:g}: drew {draw:.3f}"
    return None


def drawn(seed: int, rule: Rule, token: str) -> float:
    """Return the number, between 0 and 1, that is compared with a rule's probability.

    It is the same for the same ``token``, which identifies the submit.
    """
    return unit(seed, "rule", rule.id, token)
