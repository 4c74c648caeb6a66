"""Callbacks: which addresses are taken, where they are sent instead, and what is sent."""

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
    AddressRefused,
    Target,
    UrlMalformed,
    check_call,
    known_target,
)
from apixo_emulator.domain.deliveries import Delivery, DeliveryState
from apixo_emulator.domain.envelope import success
from apixo_emulator.domain.tasks import Task
from apixo_schemas import contract

# Sent with every outbound call: how many callbacks led to it, so that a loop of callbacks ends. The
# control API refuses requests that carry it.
DEPTH_HEADER = b"x-apixo-emulator-depth"
DEEPEST = 10
_LONGEST_ORIGIN = 300


# Rewriting: the application names its public URL, and its developer runs it locally.

RewriteRule = tuple[str, str]
"""A prefix, made of an origin and whole path segments, and what stands in its place."""


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
        target = known_target(url, ANYWHERE)
    except AddressRefused as refusal:
        raise ValueError(f"the {side} of a rewrite rule: {refusal}") from refusal
    if "?" in url or "#" in url:
        raise ValueError(f"the {side} of a rewrite rule has no query or fragment, found {url!r}")
    return target.url.rstrip("/")


def rewrite(url: str, rules: Sequence[RewriteRule]) -> str:
    """Return a URL after the first rule whose prefix covers its origin and whole segments of its path.

    Both sides are compared in canonical form, so that letter case, a default port or another spelling of
    an address makes no difference, and neither user information nor a longer host name passes for a
    prefix. A URL that no rule covers, or that cannot be read, is returned as given.
    """
    if not rules:
        return url
    try:
        target = known_target(url, ANYWHERE)
    except AddressRefused:
        return url
    for prefix, replacement in rules:
        rest = _below(target, known_target(prefix, ANYWHERE))
        if rest is not None:
            return replacement.rstrip("/") + rest
    return url


def _below(target: Target, prefix: Target) -> str | None:
    """Return what follows the prefix in the target's path, None when the prefix does not cover it."""
    if target.origin != prefix.origin:
        return None
    segments = prefix.path.rstrip("/")
    rest = target.path.removeprefix(segments)
    covered = target.path.startswith(segments) and rest[:1] in {"", "/", "?"}
    return rest if covered else None


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

        In local mode a text that nothing can call is taken, as assumption ``callback_url.not_https``
        has it; the delivery then fails with a message.
        """
        target_url = rewrite(url, self.rewrites)
        rejected = contract().assumed("callback_url.not_https") == "rejected"
        if (rejected or self.mode is CallbackMode.STRICT) and target_url == url:
            refused = _refused(url, STRICT)
            return contract().errors["callback_url_not_public"].message if refused else None
        refused = _refused(target_url, ANY_BUT_FORBIDDEN)
        if refused is None or isinstance(refused, UrlMalformed):
            return None
        return f"The parameter {{{{callback_url}}}} cannot be called: {refused}."

    def policy(self, delivery: Delivery) -> AddressPolicy:
        """Return the policy for a delivery's address; where a rewrite sends it is the user's choice."""
        rewritten = rewrite(delivery.url, self.rewrites) != delivery.url
        strict = self.mode is CallbackMode.STRICT and not rewritten
        return STRICT if strict else ANY_BUT_FORBIDDEN

    def target_url(self, delivery: Delivery) -> str:
        """Return the address that is called."""
        return rewrite(delivery.url, self.rewrites)


def _refused(url: str, policy: AddressPolicy) -> AddressRefused | None:
    try:
        check_call("POST", known_target(url, policy))
    except AddressRefused as refused:
        return refused
    return None


def _origin(url: str) -> str:
    try:
        return known_target(url, ANYWHERE).origin
    except AddressRefused:
        return url[:_LONGEST_ORIGIN]


# Deliveries and what they carry


def plan_delivery(
    task: Task, *, base_url: str, depth: int, rewrites: Sequence[RewriteRule]
) -> Delivery | None:
    """Plan a task's callback: due when the task ends, which may not be known yet.

    A callback that a scenario loses is exhausted from the start; a redeliver still sends it.
    """
    if task.callback_url is None:
        return None
    lost = task.effects is not None and task.effects.callback.lost
    return Delivery(
        task_id=task.id,
        world=task.world,
        epoch=task.epoch,
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
    """Return when a task's callback is due, in Unix ms; None where its end is not known or never."""
    if not task.settled or task.ends_ms is None:
        return None
    return task.ends_ms + (task.effects.callback.late_ms if task.effects else 0)


def copies(task: Task) -> int:
    """Return how many times the callback is sent to a receiver that accepts it."""
    return task.effects.callback.copies if task.effects else 1


def payload(task: Task, base_url: str) -> bytes:
    """Return the body of a task's callback: what a poll after the end answers (page; P4).

    Raises:
        ValueError: The task never ends.
    """
    if task.ends_ms is None:
        raise ValueError(f"task {task.id} never ends, so there is nothing to send")
    body = success(render.status(task, task.ends_ms, base_url)).body
    malformed = task.effects is not None and task.effects.callback.malformed
    return body[: len(body) // 2] if malformed else body


def depth_of(header: bytes | None) -> int:
    """Return how deep a submit is in a chain of callbacks; 0 for an ordinary one."""
    if header is None or not header.isdigit():
        return 0
    return DEEPEST if len(header) > len(str(DEEPEST)) else min(int(header), DEEPEST)
