"""All judges, in one list."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from apixo_contract._catalogue import catalogue
from apixo_contract._judges import (
    assumed_answers,
    assumed_bodies,
    assumed_tasks,
    callbacks,
    general,
    money,
    pictures,
    status,
    submits,
    times,
)
from apixo_contract._judges._outcome import Outcome
from apixo_contract._observations import Run
from apixo_contract._view import View

_SINGLE: tuple[Callable[[View], Outcome], ...] = (
    general.missing_key,
    general.invalid_key,
    submits.callback_url,
    status.lasting,
    money.shape,
    money.insufficient,
)
_SEVERAL: tuple[Callable[[View], Iterable[Outcome]], ...] = (
    general.envelope,
    submits.refusals,
    submits.acceptance,
    submits.responses,
    submits.rules,
    status.unknown,
    status.known,
    status.states,
    status.fields,
    status.results,
    times.times,
    money.prices,
    callbacks.callbacks,
    pictures.results,
    assumed_bodies.bodies,
    assumed_answers.answers,
    assumed_tasks.tasks,
)


def judge_run(run: Run) -> list[Outcome]:
    """Judge a run: one outcome for each check of the catalogue, in its order."""
    view = View(run)
    found = [judge(view) for judge in _SINGLE]
    found += [outcome for judge in _SEVERAL for outcome in judge(view)]
    by_id = {outcome.check_id: outcome for outcome in found}
    return [by_id[check_id] for check_id in catalogue()]
