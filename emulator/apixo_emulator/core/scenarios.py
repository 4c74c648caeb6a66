"""Failures and delays on demand, by name, and the magic image URL that asks for one.

Any image URL with a path segment ``emulate`` names a scenario by the stem of its next segment:
``https://example.com/emulate/SensitiveContent.jpg``. Names are matched in any case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from urllib.parse import unquote

from apixo_emulator.core.latency import LONGEST_MS
from apixo_schemas import Failure, contract

_SEGMENT = "/emulate/"
_SLOW = re.compile(r"slow-(\d{1,6}(?:\.\d{1,3})?)", re.ASCII)
_EXTENSION = re.compile(r"\.[A-Za-z]{2,5}$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is to happen to a task instead of the ordinary.

    ``failure`` makes it fail; ``duration_ms`` replaces its duration; ``stuck`` takes its end away.
    """

    name: str
    failure: Failure | None = None
    duration_ms: int | None = None
    stuck: bool = False


class UnknownScenarioError(ValueError):
    """A name that is no scenario; the message says which names there are and the nearest one."""


@cache
def _named() -> dict[str, Scenario]:
    failures = contract().failures.values()
    scenarios = [Scenario(entry.scenario, failure=entry) for entry in failures]
    scenarios.append(Scenario("stuck", stuck=True))
    return {entry.name.lower(): entry for entry in scenarios}


def scenario_names() -> tuple[str, ...]:
    """Give the vocabulary, as a person would write it."""
    return (*(entry.name for entry in _named().values()), "slow-<seconds>")


def scenario(name: str) -> Scenario:
    """Give the scenario of this name.

    Raises:
        UnknownScenarioError: There is none.
    """
    folded = name.lower()
    if found := _named().get(folded):
        return found
    if slow := _SLOW.fullmatch(folded):
        duration_ms = round(float(slow[1]) * 1000)
        if duration_ms <= LONGEST_MS:
            return Scenario(folded, duration_ms=duration_ms)
        raise UnknownScenarioError(
            f"Scenario {name!r} is too slow: expected at most {LONGEST_MS // 1000} seconds."
        )
    raise UnknownScenarioError(_advice(name))


def _advice(name: str) -> str:
    by_folded = {known.lower(): known for known in scenario_names()}
    close = get_close_matches(name.lower(), by_folded, n=1)
    hint = f" Did you mean {by_folded[close[0]]}?" if close else ""
    shown = name if len(name) <= 80 else f"{name[:80]}…"  # noqa: PLR2004 - a line's width
    return (
        f"Unknown scenario {shown!r} in the image URL.{hint} Known: {', '.join(scenario_names())}."
    )


def requested_scenario(image_url: str) -> Scenario | None:
    """Give the scenario that a magic image URL asks for, None where it is an ordinary URL.

    Raises:
        UnknownScenarioError: The URL asks for one that does not exist.
    """
    # A data: URL is long, and its payload may hold anything.
    if _SEGMENT not in image_url or image_url[:5].lower() == "data:":
        return None
    path = image_url.partition("?")[0].partition("#")[0]
    _, found, rest = path.partition(_SEGMENT)
    name = _EXTENSION.sub("", unquote(rest.partition("/")[0]))
    return scenario(name) if found and name else None
