"""Generated bodies, sent one by one; what breaks a promise is shrunk to its simplest form."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, Unsatisfiable

from apixo_contract._bodies import Body, written

# Shrinking asks the target again, for each simpler body.
_SHRINKS = 60


# Slow answers, and bodies that are hard to find, are no fault of a strategy here.
_HEALTH_CHECKS = (
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.too_slow,
    HealthCheck.large_base_example,
    HealthCheck.function_scoped_fixture,
    HealthCheck.differing_executors,
    HealthCheck.nested_given,
)


class _Broken(Exception):
    """A generated body got an answer that breaks a promise."""


def explore(
    bodies: st.SearchStrategy[Body],
    broken: Callable[[str], bool | None],
    *,
    examples: int,
    seed_number: int,
) -> None:
    """Send generated bodies until one breaks a promise, then ever simpler ones that do as well.

    Args:
        bodies: What to send.
        broken: Sends a body's text and says whether the answer breaks a promise; None where it
            must not be sent any more, be it for money or for time.
        examples: How many to try.
        seed_number: The same number gives the same bodies, so long as the answers are the same.
    """
    known: dict[str, bool] = {}

    # Nothing is kept between runs: what was sent to a live target stays in this process.
    @seed(seed_number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(Phase.generate, Phase.shrink),
        verbosity=Verbosity.quiet,
        suppress_health_check=_HEALTH_CHECKS,
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(bodies)
    def attempt(made: Any) -> None:
        text = written(made)
        if text not in known and len(known) < examples + _SHRINKS:
            verdict = broken(text)
            if verdict is not None:
                known[text] = verdict
        if known.get(text):
            raise _Broken

    # The answers are written down, and the judges name what they break. Too few bodies, or answers
    # that change, are no reason to stop either.
    with suppress(_Broken, Unsatisfiable, Flaky):
        attempt()
