"""What a property is beside its code: an id, a cost, and how many examples it gets where."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from apixo_contract.properties.expected import PRICE
from apixo_contract.properties.target import EMULATOR, LIVE, Target


@dataclass(frozen=True)
class ClientProperty:
    """A property of the client.

    Attributes:
        id: Such as ``client.view``; it is also the id of a check of ``apixo-contract verify``.
        title: What exactly the property proves.
        test: The test; its only argument is the target.
        tasks: How many tasks it pays for at least.
        submits: True if it sends submits at all, which are counted before they are sent.
        examples: How many examples it gets, by the kind of the target; 0 leaves it out.
        needs: Returns what else the target lacks; an empty text if nothing.
        shared: True if one task of each picture is enough, so that a known one costs nothing.
    """

    id: str
    title: str
    test: Callable[[Target], None]
    tasks: int
    submits: bool
    examples: dict[str, int]
    needs: Callable[[Target], str]
    shared: bool

    def obstacle(self, target: Target) -> str:
        """Return why the property cannot be judged on a target; an empty text if it can."""
        if not self.examples[target.kind]:
            return (
                "The emulator makes the faults that it needs: run "
                "`pytest --pyargs apixo_contract.properties`."
            )
        pays = not (self.shared and target.known)
        submits = max(self.tasks * pays, int(self.submits))
        if target.budget.left < submits:
            return f"It needs ${submits * PRICE} more of the budget: give a higher --budget-usd."
        return self.needs(target)

    def judge(self, target: Target) -> PropertyResult:
        """Return what became of the property on a target."""
        if reason := self.obstacle(target):
            return PropertyResult(self.id, self.title, "skipped", reason, 0, 0)
        examples, tasks, troubles = target.examples, target.budget.tasks, target.troubles
        try:
            self.test(target)
        except Unsatisfiable:
            verdict, evidence = "skipped", "The target gave no occasion to judge it."
        except Exception as error:  # noqa: BLE001 - the outcome of a test
            verdict, evidence = "fail", _evidence(error)
            if target.emulator is None and target.troubles > troubles:
                verdict = "skipped"
                evidence = "The target answered with 429, 5xx or not at all: try again later."
        else:
            verdict, evidence = "pass", ""
        made, paid = target.examples - examples, target.budget.tasks - tasks
        return PropertyResult(self.id, self.title, verdict, evidence, made, paid)


@dataclass(frozen=True)
class PropertyResult:
    """What became of a property on a target.

    Attributes:
        verdict: ``pass``, ``fail`` or ``skipped``.
        evidence: Why it was skipped; or the minimal failing example, its calls as curl, and the seed.
        examples: How many examples were tried.
        tasks: How many tasks were paid for at most.
    """

    id: str
    title: str
    verdict: str
    evidence: str
    examples: int
    tasks: int


def _evidence(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "\n\n".join(_evidence(each) for each in error.exceptions)
    # Without pytest an assertion has no text, so its line stands for it, and the values in it.
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    source = linecache.getline(frame.f_code.co_filename, line).strip()
    values = [
        f"{name} = {frame.f_locals[name]!r}"
        for name in dict.fromkeys(re.findall(r"\w+", source))
        if name in frame.f_locals
    ]
    words = str(error) or "\n".join([source or type(error).__name__, *values])
    return "\n".join([words, *getattr(error, "__notes__", ())])


PROPERTIES: dict[str, ClientProperty] = {}
# Both clients must have every property.
kinds = st.sampled_from(["sync", "async"])


def client_property(
    property_id: str,
    *,
    tasks: int = 0,
    submits: bool = False,
    examples: tuple[int, int, int],
    needs: Callable[[Target], str] = lambda _target: "",
    shared: bool = False,
    **given_by: Any,
) -> Callable[[Callable[..., None]], Callable[[Target], None]]:
    """Make a test of the target out of one that gets generated values too, and register it.

    The first line of its docstring is the title.

    Args:
        property_id: Such as ``client.view``.
        tasks: How many tasks it pays for at least.
        submits: True if it sends submits that are refused.
        examples: How many examples it gets on the emulator in this process, on another server of this machine, and
            elsewhere; 0 leaves it out.
        needs: Returns what the target lacks; an empty text if nothing.
        shared: True if one task of each picture is enough for all examples.
        given_by: A Hypothesis strategy for each generated value.
    """
    counts: dict[str, int] = dict(zip((EMULATOR, "url", LIVE), examples, strict=True))

    def register(test: Callable[..., None]) -> Callable[[Target], None]:
        def once(target: Target) -> None:
            if not given_by:
                test(target)
                return
            most = min(counts[target.kind], target.most_examples or counts[target.kind])
            if tasks and not shared:
                most = min(most, target.budget.left // tasks)
            generated = seed(target.seed)(settings_for(most)(given(**given_by)(test)))
            generated(target=target)

        def run(target: Target) -> None:
            troubles = target.troubles
            try:
                once(target)
            except Exception:
                # A server that could not answer just now proves nothing about the client.
                if target.emulator is not None or target.troubles == troubles:
                    raise
                once(target)

        # pytest must not look for fixtures of the generated values, so that `wraps` is not used.
        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        title = (test.__doc__ or "").partition("\n")[0].removesuffix(".")
        PROPERTIES[property_id] = ClientProperty(
            property_id, title, run, tasks, submits, counts, needs, shared
        )
        return run

    return register


def settings_for(examples: int, **more: Any) -> settings:
    """Return settings of Hypothesis for so many examples; nothing is kept on disk."""
    return settings(
        max_examples=examples,
        phases=(Phase.generate, Phase.shrink),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType] - its metaclass leaves out the deprecated ones
        **more,
    )


def in_order() -> list[ClientProperty]:
    """Return all properties, those that cost nothing first."""
    return sorted(PROPERTIES.values(), key=lambda found: found.tasks)
