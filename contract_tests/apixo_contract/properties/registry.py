"""What a property is beside its code: an id, a cost, and how many examples it gets where."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from apixo_contract.observations import PropertySeen
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

    def judge(self, target: Target) -> PropertySeen:
        """Return what became of the property on a target."""
        if reason := self.obstacle(target):
            return PropertySeen(self.id, message=reason)
        examples, troubles = target.examples, target.troubles
        passed: bool | None = True
        message = ""
        try:
            self.test(target)
        except Unsatisfiable:
            passed, message = None, "The target gave no occasion to judge it."
        except Exception as error:  # noqa: BLE001 - the outcome of a test
            passed, message = False, _evidence(error)
            if target.emulator is None and target.troubles > troubles:
                passed = None
                message = "The target answered with 429, 5xx or not at all: try again later."
        return PropertySeen(self.id, passed, message, target.examples - examples)


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
    """Make a test of the target out of one of a `Service` and generated values, and register it.

    Each example has a client of either kind. The first line of the docstring is the title.

    Args:
        property_id: Such as ``client.view``.
        tasks: How many tasks it pays for at least.
        submits: True if it sends submits that are refused.
        examples: How many it gets on the emulator in this process, on another server of this
            machine, and elsewhere; 0 leaves it out.
        needs: Returns what the target lacks; an empty text if nothing.
        shared: True if one task of each picture is enough for all examples.
        given_by: A Hypothesis strategy for each generated value. A test of a ``target`` makes its
            examples itself.
    """
    counts: dict[str, int] = dict(zip((EMULATOR, "url", LIVE), examples, strict=True))

    def register(test: Callable[..., None]) -> Callable[[Target], None]:
        def once(target: Target) -> None:
            if "target" in signature(test).parameters:
                test(target)
                return

            def example(kind: str, **values: Any) -> None:
                with target.example(kind) as service:
                    test(service, **values)

            example.__name__ = test.__name__
            most = min(counts[target.kind], target.most_examples or counts[target.kind])
            if tasks and not shared:
                most = min(most, target.budget.left // tasks)
            seed(target.seed)(settings_for(most)(given(kind=kinds, **given_by)(example)))()

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
