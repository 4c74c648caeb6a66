"""Accepting a task: what was asked for, what is to happen to it, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from apixo_emulator.domain import render
from apixo_emulator.domain.accounts import Account
from apixo_emulator.domain.callbacks import DEPTH_HEADER, depth_of, plan_delivery
from apixo_emulator.domain.chance import task_id
from apixo_emulator.domain.deliveries import Delivery
from apixo_emulator.domain.effects import Effects, Fault
from apixo_emulator.domain.envelope import refusal, rejection, success
from apixo_emulator.domain.faults import answered_instead, damaged, retry_after
from apixo_emulator.domain.submission import Rejection, Submission
from apixo_emulator.domain.tasks import Task, plan_task
from apixo_emulator.domain.wire import HttpResponse
from apixo_emulator.scenarios.matching import PREEMPTED, SubmitFacts, drawn, screen, take
from apixo_emulator.scenarios.rules import Rule
from apixo_emulator.service.call import Call
from apixo_emulator.service.callbacks import Callbacks
from apixo_emulator.service.limiting import Limiting
from apixo_emulator.service.options import Options
from apixo_emulator.service.reading import Reader, Reading
from apixo_emulator.service.sources import SourceChecker
from apixo_emulator.storage import Charge, Entry, Order, Store
from apixo_schemas import CONTENT_TYPE_ERROR, contract


class Pending(NamedTuple):
    """A submit that only has to be charged and kept; its answer may be damaged by a fault."""

    call: Call
    order: Order
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Submitting:
    """Answers the submit endpoint."""

    store: Store
    reader: Reader
    options: Options
    limiting: Limiting
    checker: SourceChecker
    callbacks: Callbacks

    def decide(self, call: Call, account: Account, model: str) -> HttpResponse | Pending:
        """Read a submit: the model, then the body, then the limits; the balance comes with `accept`.

        Their order is assumption ``order``.
        """
        request = call.request
        unread = _unread(call, model)
        if unread is not None:
            return unread
        read = self.reader.read(request.body)
        if isinstance(read, Rejection):
            return _rejected(call, read)
        refused = self._refused(call, account, read.asked)
        if refused is not None:
            return refused
        if read.misspelt is not None:
            # Not the live API's answer: no live image URL names a scenario.
            call.decision = "the image URL asks for a scenario that does not exist"
            return rejection(read.misspelt)
        effects = self._effects(call, account, read)
        fault = effects.submit_fault if effects else None
        call.fault = None if fault is None else fault.name
        instead = answered_instead(fault, call.at_ms) if fault else None
        if instead is not None:
            call.decision = f"scenario {call.scenario} answers instead; nothing was accepted"
            return instead
        charge = Charge(
            contract().price_micros,
            self.limiting.starting_micros(account),
            self.limiting.refunded_micros(account.id, call.at_ms),
        )
        draft = self._draft(call, account, read, effects)
        return Pending(call, Order(account, charge, draft, read.content), fault)

    def _refused(self, call: Call, account: Account, asked: Submission) -> HttpResponse | None:
        if asked.callback_url is not None:
            words = self.options.callbacks.refusal(asked.callback_url)
            if words is not None:
                call.decision = "the callback URL is not taken"
                return rejection(words)
        if not self.limiting.may_start(account, call.at_ms):
            call.decision = "the account has as many unfinished tasks as it may have"
            return refusal("rate_limited", *retry_after(1, call.at_ms))
        return None

    def _effects(self, call: Call, account: Account, read: Reading) -> Effects | None:
        """Find what is to happen instead of the ordinary: the magic URL first, then the rules."""
        if read.magic is not None:
            call.scenario = read.magic.name
            call.decision = f"the image URL asks for {read.magic.name}"
            return read.magic
        if not call.world.rules:
            return None
        rule = self._rule(call, account, read)
        if rule is None:
            return None
        call.rule, call.scenario = rule.id, rule.effects.name
        call.decision = f"rule {rule.id} asks for {rule.effects.name}"
        return rule.effects

    def _rule(self, call: Call, account: Account, read: Reading) -> Rule | None:
        """Give the first rule that decides, and keep for the journal why the others did not."""
        asked = read.asked
        facts = SubmitFacts(
            image_url=asked.image_url,
            resolution=asked.resolution,
            output_format=asked.output_format,
            key=call.key or "",
            headers=call.request.headers,
        )
        # From what is asked for and by whom, not from an order of calls.
        token = call.world.draw_token(account.id, read.content)
        winner = None
        why_not: list[tuple[str, str]] = []
        for rule in call.world.rules:
            reason = screen(rule, facts)
            if reason is None:
                reason = self._counted(call, rule, token, preempted=winner is not None)
            if reason is None:
                winner = rule
            else:
                why_not.append((rule.id, reason))
        call.why_not = tuple(why_not)
        return winner

    def _counted(self, call: Call, rule: Rule, token: str, *, preempted: bool) -> str | None:
        """Count a submit that fits a rule; say why the rule does not decide, None where it does."""
        if preempted and not rule.match.calls:
            return PREEMPTED  # nothing asks for its count
        reason: str | None = "the rule was removed a moment ago"

        def decide(seen: int, used: int) -> bool:
            nonlocal reason
            draw = drawn(call.world.row.seed, rule, token)
            reason = PREEMPTED if preempted else take(rule, seen, used, draw)
            return reason is None

        self.store.count_rule(call.world.id, rule.id, decide)
        return reason

    def accept(self, pending: Sequence[Pending]) -> list[HttpResponse]:
        """Commit submits together, then answer each."""
        entries = self.store.accept([one.order for one in pending])
        return [self._accepted(one, entry) for one, entry in zip(pending, entries, strict=True)]

    def _accepted(self, pending: Pending, entry: Entry | None) -> HttpResponse:
        call, fault = pending.call, pending.fault
        if entry is None:
            call.decision = "the balance does not cover the price"
            return refusal("insufficient_balance")
        call.task_id = entry.task.id
        call.decision = call.decision or "accepted"
        if not entry.task.settled:
            self.checker.enqueue(entry.task)
        elif entry.delivery is not None:
            self.callbacks.changed()
        self.callbacks.changes += 1
        response = success(render.submitted(entry.task))
        return damaged(response, fault.wire) if fault and fault.wire else response

    def _draft(
        self, call: Call, account: Account, read: Reading, effects: Effects | None
    ) -> Callable[[int], Entry]:
        seed = call.world.row.seed

        def draft(occurrence: int) -> Entry:
            task = plan_task(
                task_id=task_id(seed, account.id, read.content, occurrence),
                world=call.world.id,
                account_id=account.id,
                submission=read.asked,
                effects=effects,
                verdict=read.verdict,
                latency=self.options.latency,
                seed=seed,
                now_ms=call.at_ms,
                limited=self.limiting.counts_tasks(account),
            )
            return Entry(task, None if task.callback_url is None else self._delivery(task, call))

        return draft

    def _delivery(self, task: Task, call: Call) -> Delivery | None:
        return plan_delivery(
            task,
            base_url=self.options.public_url or call.request.base_url,
            depth=depth_of(call.request.header(DEPTH_HEADER)),
            rewrites=self.options.callbacks.rewrites,
        )


def _unread(call: Call, model: str) -> HttpResponse | None:
    """Refuse a submit whose body does not matter."""
    if model != contract().model:
        call.decision = f"there is no model {model!r}"
        return refusal("model_not_found")
    if not _is_taken(call.request.header(b"content-type")):
        call.decision = "the body is not said to be JSON"
        return refusal(CONTENT_TYPE_ERROR)
    return None


def _is_taken(content_type: bytes | None) -> bool:
    """Tell whether a body of this type is read: assumption ``body.content_type``."""
    if contract().assumed("body.content_type") == "ignored":
        return True
    media_type = (content_type or b"").partition(b";")[0].strip().lower()
    return media_type == b"application/json"


def _rejected(call: Call, rejection: Rejection) -> HttpResponse:
    if rejection.rule is None:
        call.decision = "the body is not JSON"
    else:
        call.broken_rule = rejection.rule.id
        call.decision = f"the body breaks a rule: {rejection.rule.condition}"
    return rejection.response
