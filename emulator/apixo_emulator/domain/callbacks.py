"""Which callback addresses are taken, and what is sent to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from apixo_emulator.domain import render
from apixo_emulator.domain.addresses import (
    ANY_BUT_FORBIDDEN,
    ANYWHERE,
    STRICT,
    AddressPolicy,
    parse_target,
)
from apixo_emulator.domain.deliveries import Delivery, DeliveryState
from apixo_emulator.domain.envelope import success
from apixo_emulator.domain.reach import AddressRefused
from apixo_emulator.domain.rewriting import RewriteRule, rewrite
from apixo_emulator.domain.tasks import Task
from apixo_schemas import contract

# Tells an emulator how many callbacks already led to a submit, so that a loop ends.
DEPTH_HEADER = b"x-apixo-emulator-depth"
DEEPEST = 10
_LONGEST_ORIGIN = 300


class CallbackMode(StrEnum):
    """Which addresses are called."""

    # Loopback, private and public ones, http too: an offline tool must reach local receivers.
    LOCAL = "local"
    # As the live API: public and https only (platform fact P4).
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class CallbackOptions:
    """How callbacks are delivered; delays in ms after the first, second, … failed try."""

    mode: CallbackMode = CallbackMode.LOCAL
    rewrites: tuple[RewriteRule, ...] = ()
    delays_ms: tuple[int, ...] = field(default_factory=lambda: contract().callbacks.retry_delays_ms)

    def refusal(self, url: str) -> str | None:
        """Say why a submit with this callback URL is refused; None where it is taken.

        In local mode what is no URL at all is taken, as assumption ``callback_url.not_https`` has
        it; its delivery then fails in words.
        """
        target_url = rewrite(url, self.rewrites)
        rejected = contract().assumed("callback_url.not_https") == "rejected"
        if (rejected or self.mode is CallbackMode.STRICT) and target_url == url:
            refused = _refused(url, STRICT)
            return contract().errors["callback_url_not_public"].message if refused else None
        if _refused(target_url, ANY_BUT_FORBIDDEN) and not _refused(target_url, ANYWHERE):
            return _refused(target_url, ANY_BUT_FORBIDDEN)
        return None

    def policy(self, delivery: Delivery) -> AddressPolicy:
        """Give the policy for a delivery's address; where a rewrite sends it is the user's choice."""
        rewritten = rewrite(delivery.url, self.rewrites) != delivery.url
        strict = self.mode is CallbackMode.STRICT and not rewritten
        return STRICT if strict else ANY_BUT_FORBIDDEN

    def target_url(self, delivery: Delivery) -> str:
        """Give the address that is called."""
        return rewrite(delivery.url, self.rewrites)


def _refused(url: str, policy: AddressPolicy) -> str | None:
    try:
        parse_target(url, policy)
    except AddressRefused as refused:
        return str(refused)
    return None


def _origin(url: str) -> str:
    try:
        target = parse_target(url, ANYWHERE)
    except AddressRefused:
        return url[:_LONGEST_ORIGIN]
    return f"{target.scheme}://{target.authority}"


def plan_delivery(
    task: Task, *, base_url: str, depth: int, rewrites: Sequence[RewriteRule]
) -> Delivery | None:
    """Plan a task's callback: due when the task ends, which may not be known yet.

    One that is to be lost is over before it began; a redeliver still sends it.
    """
    if task.callback_url is None:
        return None
    lost = task.effects is not None and task.effects.callback.lost
    return Delivery(
        task_id=task.id,
        world=task.world,
        url=task.callback_url,
        origin=_origin(rewrite(task.callback_url, rewrites)),
        base_url=base_url,
        depth=depth,
        state=DeliveryState.EXHAUSTED if lost else DeliveryState.SCHEDULED,
        due_ms=None if lost else due_ms(task),
        attempts=0,
        tries=0,
        accepted=0,
    )


def due_ms(task: Task) -> int | None:
    """Give when a task's callback is due, in Unix ms; None where its end is not known or never."""
    if not task.settled or task.ends_ms is None:
        return None
    return task.ends_ms + (task.effects.callback.late_ms if task.effects else 0)


def copies(task: Task) -> int:
    """Give how many times the callback is sent to a receiver that accepts it."""
    return task.effects.callback.copies if task.effects else 1


def payload(task: Task, base_url: str) -> bytes:
    """Give the body of a task's callback: what a poll after the end answers (page; P4)."""
    if task.ends_ms is None:
        raise ValueError(f"task {task.id} never ends, so there is nothing to send")
    body = success(render.status(task, task.ends_ms, base_url)).body
    malformed = task.effects is not None and task.effects.callback.malformed
    return body[: len(body) // 2] if malformed else body


def depth_of(header: bytes | None) -> int:
    """Read how deep a submit is in a chain of callbacks; 0 for an ordinary one."""
    return min(int(header), DEEPEST) if header and header.isdigit() and len(header) < 3 else 0  # noqa: PLR2004 - two digits are plenty
