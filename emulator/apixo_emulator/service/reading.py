"""Reading submits: all that a body decides by itself, whoever sends it and when."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from apixo_emulator.domain.chance import content_token
from apixo_emulator.domain.effects import Effects
from apixo_emulator.domain.pictures import Verdict
from apixo_emulator.domain.submission import Rejection, Submission, read_submission
from apixo_emulator.scenarios.vocabulary import UnknownScenarioError, requested_scenario

# An application sends the same few bodies again and again, a load test one: reading one anew takes
# 9 of the 56 us of a submit. 4 MiB at most.
_REMEMBERED = 1024
_LONGEST_BYTES = 2048


class Sources(Protocol):
    """Who can tell whether a source picture is usable; `pictures.Gallery` can."""

    def quick_verdict(self, image_url: str) -> Verdict | None:
        """Decide without waiting, None where the picture has to be looked at."""
        ...

    def check(self, task_id: str, image_url: str) -> Verdict:
        """Look at the picture; may take seconds, raises nothing for a bad picture."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What a body asks for.

    ``content`` stands for its bytes; ``verdict`` is that on its source, None where the picture has
    to be looked at. ``magic`` is what its image URL asks for, ``misspelt`` what is wrong with that.
    """

    asked: Submission
    content: bytes
    verdict: Verdict | None
    magic: Effects | None = None
    misspelt: str | None = None


class Reader:
    """Reads bodies; what it tells about one never changes."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._remembered = lru_cache(_REMEMBERED)(self._read)

    def read(self, body: bytes) -> Reading | Rejection:
        """Read a body, or say which rule it breaks."""
        return self._read(body) if len(body) > _LONGEST_BYTES else self._remembered(body)

    def _read(self, body: bytes) -> Reading | Rejection:
        asked = read_submission(body)
        if isinstance(asked, Rejection):
            return asked
        content, verdict = content_token(body), self._sources.quick_verdict(asked.image_url)
        try:
            return Reading(asked, content, verdict, magic=requested_scenario(asked.image_url))
        except UnknownScenarioError as error:
            return Reading(asked, content, verdict, misspelt=str(error))
