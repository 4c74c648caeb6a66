"""Callbacks: the states of a delivery, its retries, and what is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from apixo_emulator.domain.addresses import (
    ANY_BUT_FORBIDDEN,
    ANYWHERE,
    STRICT,
    AddressPolicy,
    AddressRefused,
    UrlMalformed,
    check_call,
    parse_target,
)
from apixo_emulator.domain.effects import ORDINARY
from apixo_emulator.domain.responses import status_data, success
from apixo_emulator.domain.tasks import Task
from apixo_schemas import contract


class DeliveryState(StrEnum):
    """Where a delivery stands. A redeliver makes it scheduled again, unless it is being delivered."""

    # It is claimed when it is due.
    SCHEDULED = "scheduled"
    # An emulator holds its lease; when that has ended, another may claim it.
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    # It has failed too often, or no retry can help.
    EXHAUSTED = "exhausted"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One task's callback. Instants are Unix ms; ``due_ms`` None waits for the task to get an end.

    ``attempts`` counts all that were claimed; ``tries`` those that were made and recorded since the
    last redeliver. Retries are counted by the latter: an attempt lost in a crash uses none up.
    ``accepted`` counts the answers 200 since the last redeliver.
    """

    task_id: str
    world: str
    epoch: int
    url: str
    origin: str
    base_url: str
    depth: int
    state: DeliveryState
    due_ms: int | None
    attempts: int = 0
    tries: int = 0
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one attempt. A ``status`` of None means no response; ``error`` says why."""

    task_id: str
    number: int
    at_ms: int
    duration_ms: int
    status: int | None
    excerpt: str
    error: str | None
    # True if no retry can help, as the URL must not be called. Not stored.
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state after an attempt; ``due_ms`` only if another attempt follows."""

    state: DeliveryState
    due_ms: int | None
    accepted: int = 0


def outcome_of(
    delivery: Delivery,
    attempt: Attempt,
    *,
    delays_ms: Sequence[int],
    now_ms: int,
    copies: int = 1,
) -> Outcome:
    """Return what follows an attempt of a claimed delivery (P4 and P5).

    ``delays_ms`` are the waits after the first, second, … failed try; ``copies`` is how many times
    it is sent to a receiver that accepts it.
    """
    if attempt.status == contract().callbacks.success_status:
        accepted = delivery.accepted + 1
        if accepted < copies:
            return Outcome(DeliveryState.SCHEDULED, now_ms, accepted)
        return Outcome(DeliveryState.DELIVERED, None, accepted)
    failed = delivery.tries - delivery.accepted
    if attempt.hopeless or failed >= len(delays_ms):
        return Outcome(DeliveryState.EXHAUSTED, None, delivery.accepted)
    return Outcome(DeliveryState.SCHEDULED, now_ms + delays_ms[failed], delivery.accepted)


_REDIRECTS = range(300, 400)
_LONGEST_LOCATION = 200


def failure_of(status: int, location: str | None = None) -> str | None:
    """Return why a response counts as failed; None for the one that counts as a success.

    ``location`` is where a redirect points.
    """
    wanted = contract().callbacks.success_status
    if status == wanted:
        return None
    words = f"expected the status {wanted}, received {status}"
    if status in _REDIRECTS and location is not None:
        words += f" to {location[:_LONGEST_LOCATION]}: redirects are not followed, use that URL"
    return words


# Sent with every outbound call: how many callbacks led to it, so that a loop of callbacks ends. The
# control API refuses requests that carry it.
DEPTH_HEADER = b"x-apixo-emulator-depth"
DEEPEST = 10
_DEPTH_DIGITS = 9
_LONGEST_ORIGIN = 300


# Rewriting: the application names its public URL, and its developer runs it locally.

RewriteRule = tuple[str, str]
"""A prefix, made of an origin and whole path segments, and its replacement."""


def parse_rewrite(text: str) -> RewriteRule:
    """Read a rule written `A=B`, both absolute URLs without query and fragment.

    Raises:
        ValueError: the rule is malformed; the message says where.
    """
    prefix, equals, replacement = text.partition("=")
    if not equals:
        raise ValueError(
            "a rewrite rule has the form PREFIX=REPLACEMENT, "
            f"such as https://your-server.com=http://127.0.0.1:9000, found {text!r}"
        )
    return _rewrite_side("prefix", prefix), _rewrite_side("replacement", replacement)


def _rewrite_side(side: str, url: str) -> str:
    try:
        target = parse_target(url, ANYWHERE)
    except AddressRefused as refusal:
        raise ValueError(f"the {side} of a rewrite rule: {refusal}") from refusal
    if "?" in url or "#" in url:
        raise ValueError(f"the {side} of a rewrite rule has no query or fragment, found {url!r}")
    return target.url.rstrip("/")


def rewrite(url: str, rules: Sequence[RewriteRule]) -> str:
    """Return a URL after the first rule whose prefix covers its origin and whole segments of its path.

    Both sides are compared in canonical form. So letter case and a default port make no difference,
    and a longer host name is not covered. A URL that no rule covers, or that cannot be read, is
    returned as given.
    """
    try:
        target = parse_target(url, ANYWHERE)
    except AddressRefused:
        return url
    for prefix, replacement in rules:
        rest = target.url.removeprefix(prefix)
        if target.url.startswith(prefix) and rest[:1] in {"", "/", "?"}:
            return replacement + rest
    return url


# Options


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
        """Return why a submit with this callback URL is rejected; None where it is taken.

        In local mode a text that is no http(s) URL is taken, as assumption ``callback_url.not_https``
        has it: its delivery fails once, with a message.
        """
        target_url = rewrite(url, self.rewrites)
        rejected = contract().assumed("callback_url.not_https") == "rejected"
        if (rejected or self.mode is CallbackMode.STRICT) and target_url == url:
            refused = _refused(url, STRICT)
            return contract().errors["callback_url_not_public"].message if refused else None
        refused = _refused(target_url, ANY_BUT_FORBIDDEN)
        if refused is None or isinstance(refused, UrlMalformed):
            return None
        words = str(refused)
        message = contract().errors["callback_url_refused"].message
        return f"{message} {words[0].upper()}{words[1:]}."

    def policy(self, delivery: Delivery) -> AddressPolicy:
        """Return the policy for a delivery's address; a rewritten one may be local in any mode."""
        rewritten = self.target_url(delivery) != delivery.url
        strict = self.mode is CallbackMode.STRICT and not rewritten
        return STRICT if strict else ANY_BUT_FORBIDDEN

    def target_url(self, delivery: Delivery) -> str:
        """Return the address that is called."""
        return rewrite(delivery.url, self.rewrites)


def _refused(url: str, policy: AddressPolicy) -> AddressRefused | None:
    try:
        check_call("POST", parse_target(url, policy))
    except AddressRefused as refused:
        return refused
    return None


# Deliveries and what they carry


def plan_delivery(
    task: Task, *, base_url: str, depth: int, rewrites: Sequence[RewriteRule]
) -> Delivery | None:
    """Plan a task's callback: due when the task ends, which may not be known yet.

    A callback that a scenario loses is exhausted from the start; a redeliver still sends it.
    """
    if task.callback_url is None:
        return None
    lost = (task.effects or ORDINARY).callback.lost
    url = rewrite(task.callback_url, rewrites)
    try:
        origin = parse_target(url, ANYWHERE).origin
    except AddressRefused:
        origin = url[:_LONGEST_ORIGIN]
    return Delivery(
        task_id=task.id,
        world=task.world,
        epoch=task.epoch,
        url=task.callback_url,
        origin=origin,
        base_url=base_url,
        depth=depth,
        state=DeliveryState.EXHAUSTED if lost else DeliveryState.SCHEDULED,
        due_ms=None if lost else due_ms(task),
    )


def due_ms(task: Task) -> int | None:
    """Return when a task's callback is due, in Unix ms; None where its end is not known or never."""
    if not task.settled or task.ends_ms is None:
        return None
    return task.ends_ms + (task.effects or ORDINARY).callback.late_ms


def copies(task: Task) -> int:
    """Return how many times the callback is sent to a receiver that accepts it."""
    return (task.effects or ORDINARY).callback.copies


def payload(task: Task, base_url: str) -> bytes:
    """Return the body of a task's callback: what a poll after the end answers (page; P4).

    Raises:
        ValueError: The task never ends.
    """
    if task.ends_ms is None:
        raise ValueError(f"task {task.id} never ends, so there is nothing to send")
    body = success(status_data(task, task.ends_ms, base_url)).body
    malformed = (task.effects or ORDINARY).callback.malformed
    return body[: len(body) // 2] if malformed else body


def depth_of(header: bytes | None) -> int:
    """Return how deep a submit is in a chain of callbacks; 0 for an ordinary one."""
    if header is None or not header.isdigit():
        return 0
    return min(int(header[:_DEPTH_DIGITS]), DEEPEST)
