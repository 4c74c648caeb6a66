"""Checks of the client: the properties of `apixo_contract.properties`, tried on the target.

They come last, and only on a target that keeps its own promises, as the client cannot be judged by
one that does not. What each has shown is kept in the run, to be judged like any other observation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from apixo_contract.checks.check import Check, Evidence, Outcome, add, fact, page, skipped
from apixo_contract.checks.money import is_charged_at_once
from apixo_contract.masking import Mask
from apixo_contract.observations import PropertySeen
from apixo_contract.properties import ClientProperty, all_properties, open_target
from apixo_contract.properties.target import LIVE
from apixo_contract.session import Session, price_usd
from apixo_contract.view import View

# What the promises rest on; those that are not named rest on the page's list of HTTP errors.
_SOURCES = {
    "client.succeeded": page("Request body"),
    "client.answers": fact(1),
    "client.arguments": page("Request body"),
    "client.balance": fact(3),
    "client.callback": fact(4),
    "client.download": page("Poll for result"),
    "client.fail-code": page("Task failure codes"),
    "client.file": page("Poll for result"),
    "client.final": page("Status response fields"),
    "client.pace": page("Latency and polling"),
    "client.session": page("Billing"),
    "client.time-limit": page("Latency and polling"),
    "client.tolerance": page("Status response fields"),
    "client.view": page("Status response fields"),
    "client.wait-timeout": page("Latency and polling"),
}
# These compare balances before and after a call.
_OF_BALANCES = frozenset({"client.succeeded", "client.refusal", "client.session"})


# --- what is tried ----------------------------------------------------------------------------


def try_properties(session: Session, view: View, tell: Callable[[str], object]) -> None:
    """Try each property on the target, and add what it showed to the session.

    Those that pay for tasks of their own use what the other checks leave of the budget, and are
    left out unless it is enough for all of them.

    Args:
        session: The run, of which everything else has been done.
        view: What was seen in it.
        tell: Gets words about what happens.
    """
    settings, mask = session.settings, Mask(session.settings.api_key)
    with open_target(
        settings.base_url,
        api_key=settings.api_key,
        image_url=settings.image_url,
        failing_image_url=settings.failing_image_url,
        budget=session.budget,
        seed=settings.seed,
        live=settings.live,
        callback_url=settings.callback_url,
        callback_port=settings.callback_port,
        examples=settings.examples,
    ) as target:
        ended = {
            task.submitted.asked["image_urls"][0]: task
            for task in view.tasks.values()
            if task.final
        }
        target.known.update({image: task.id for image, task in ended.items()})
        target.have_ended = bool(ended)
        for found in all_properties():
            if reason := _obstacle(found, session, view):
                session.properties.append(PropertySeen(found.id, message=reason))
                continue
            tell(found.title)
            result = found.judge(target)
            session.properties.append(replace(result, message=mask.text(result.message)))


def _obstacle(found: ClientProperty, session: Session, view: View) -> str:
    """Return why a property cannot be tried; an empty text if it can."""
    if found.id == "client.balance" and session.balance is None:
        return "This key may not read the balance."
    if found.id in _OF_BALANCES and view.tasks and not is_charged_at_once(view):
        return "The balance does not show each charge exactly and at once."
    if found.id == "client.callback" and "callbacks" in session.notes:
        return session.notes["callbacks"]
    if found.tasks and not view.tasks:
        return view.no_tasks
    return _too_poor(session) if _is_paid(found) else ""


def _too_poor(session: Session) -> str:
    """Return why tasks cannot be paid for; an empty text if they can."""
    left = session.budget.left
    needed = sum(other.tasks for other in all_properties() if _is_paid(other))
    if left < needed:
        return (
            f"The properties of the client that pay for tasks need ${needed * price_usd()} beyond "
            "what the other checks cost: give a higher --budget-usd."
        )
    if session.balance is not None and session.balance < left * price_usd():
        return "The account has less money than is left of the budget."
    return ""


def _is_paid(found: ClientProperty) -> bool:
    """True if a property pays for tasks of its own on the live API."""
    return bool(found.tasks and found.examples[LIVE] and not found.shared)


# --- how it is judged -------------------------------------------------------------------------


def _judged(view: View, found: ClientProperty) -> Outcome:
    seen = next((seen for seen in view.run.properties if seen.id == found.id), None)
    if seen is None:
        return skipped(view.note("client", "The client was not tried in this run."))
    if seen.passed is None:
        return skipped(seen.message)
    broken = () if seen.passed else (Evidence(seen, "no example that breaks it", seen.message),)
    return Outcome(max(1, seen.examples), "examples", broken)


for _found in all_properties():
    add(
        Check(
            _found.id,
            _found.title,
            *_SOURCES.get(_found.id, page("HTTP errors")),
            partial(_judged, found=_found),
        )
    )
