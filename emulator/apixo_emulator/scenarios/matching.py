"""Whether a rule decides about a submit, and if not, why.

The first rule that fits decides. `screen` compares the submit with the rule's conditions. The store
then counts it, and `take` decides by these counts: ``seen`` counts the submits that fit, also those
that an earlier rule decides; ``call`` refers to it. ``used`` counts the decisions, for ``times``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apixo_emulator.domain.accounts import mask
from apixo_emulator.domain.randomness import unit
from apixo_emulator.domain.submission import Submission
from apixo_emulator.domain.text import fits, shown
from apixo_emulator.journal.secrets import mask_of
from apixo_emulator.scenarios.rules import Rule, shown_header, shown_match

Headers = Sequence[tuple[bytes, bytes]]
PREEMPTED = "an earlier rule decided"
_LOOKED_AT = 2000  # characters of a URL; a data URL can have millions


def screen(rule: Rule, asked: Submission, key: str, headers: Headers) -> str | None:
    """Return why a submit does not fit a rule, judged by the submit alone; None where it fits."""
    return next(_misfits(rule, asked, key, headers), None)


def _misfits(rule: Rule, asked: Submission, key: str, headers: Headers) -> Iterator[str]:
    wanted = rule.match
    if wanted.resolution not in {None, asked.resolution}:
        yield f"resolution is {asked.resolution}, the rule wants {wanted.resolution}"
    if wanted.output_format not in {None, asked.output_format}:
        yield f"output_format is {asked.output_format}, the rule wants {wanted.output_format}"
    if wanted.image_url is not None and not fits(wanted.image_url, asked.image_url):
        # Masked before it is cut, so that no key is cut in two.
        glance = shown(mask_of(headers).text(asked.image_url[:_LOOKED_AT]))
        yield f"image_url is {glance}, the rule wants {shown(shown_match(wanted).image_url or '')}"
    if wanted.key is not None and not fits(wanted.key, key):
        yield f"key is {mask(key)}, the rule wants {mask(wanted.key)}"
    for name, pattern in wanted.headers:
        values = [value.decode("latin-1") for each, value in headers if each == name.encode()]
        if any(fits(pattern, value) for value in values):
            continue
        found = f"is {shown(shown_header(name, values[0]))}" if values else "is missing"
        yield f"header {name} {found}, the rule wants {shown(shown_header(name, pattern))}"


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
