"""Accepting a task: what was asked for, what is to happen to it, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from apixo_emulator.core import render
from apixo_emulator.core.accounts import Account
from apixo_emulator.core.callbacks import DEPTH_HEADER, depth_of, plan_delivery
from apixo_emulator.core.chance import content_token, task_id
from apixo_emulator.core.effects import Effects, Fault
from apixo_emulator.core.envelope import refusal, rejection, success
from apixo_emulator.core.faults import answered_instead, damaged, retry_after
from apixo_emulator.core.matching import PREEMPTED, SubmitFacts, drawn, screen, take
from apixo_emulator.core.pictures import Verdict
from apixo_emulator.core.rules import Rule
from apixo_emulator.core.scenarios import UnknownScenarioError, requested_scenario
from apixo_emulator.core.submission import Rejection, Submission, read_submission
from apixo_emulator.core.tasks import plan_task
from apixo_emulator.core.wire import HttpResponse
from apixo_emulator.service.call import Call
from apixo_emulator.service.callbacks import Callbacks
from apixo_emulator.service.limiting import Limiting
from apixo_emulator.service.options import Options
from apixo_emulator.service.sources import SourceDesk
from apixo_emulator.storage import Charge, Entry, Order, Store
from apixo_schemas import CONTENT_TYPE_ERROR, contract


class Sources(Protocol):
    """Who can tell whether a source picture is usable; `pictures.Gallery` can."""

    def quick_verdict(self, image_url: str) -> Verdict | None:
        """Decide without waiting, None where the picture has to be looked at."""
        ...

    def check(self, task_id: str, image_url: str) -> Verdict:
        """Look at the picture; may take seconds, raises nothing for a bad picture."""
        ...


@dataclass(frozen=True, slots=True)
class Pending:
    """A submit that only has to be charged and kept; its answer may be damaged by a fault."""

    call: Call
    order: Order
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Submitting:
    """Answers the submit endpoint."""

    store: Store
    sources: Sources
    options: Options
    limiting: Limiting
    desk: SourceDesk
    callbacks: Callbacks

    def decide(self, call: Call, account: Account, model: str) -> HttpResponse | Pending:
        """Read a submit: the model, then the body, then the limits; the balance comes with `accept`.

        Their order is assumption ``order``.
        """
        request = call.request
        unread = _unread(call, model)
        if unread is not None:
            return unread
        asked = read_submission(request.body)
        if isinstance(asked, Rejection):
            return _rejected(call, asked)
        refused = self._refused(call, account, asked)
        if refused is not None:
            return refused
        try:
            effects = self._effects(call, account, asked)
        except UnknownScenarioError as error:
            # Not the live API's answer: no live image URL names a scenario.
            call.decision = "the image URL asks for a scenario that does not exist"
            return rejection(str(error))
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
        content = content_token(request.body)
        draft = self._draft(call, account, asked, effects, content)
        return Pending(call, Order(account, charge, draft, content), fault)

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

    def _effects(self, call: Call, account: Account, asked: Submission) -> Effects | None:
        """Find what is to happen instead of the ordinary: the magic URL first, then the rules."""
        effects = requested_scenario(asked.image_url)
        if effects is not None:
            call.scenario = effects.name
            call.decision = f"the image URL asks for {effects.name}"
            return effects
        if not call.world.rules:
            return None
        rule = self._rule(call, account, asked)
        if rule is None:
            return None
        call.rule, call.scenario = rule.id, rule.effects.name
        call.decision = f"rule {rule.id} asks for {rule.effects.name}"
        return rule.effects

    def _rule(self, call: Call, account: Account, asked: Submission) -> Rule | None:
        """Give the first rule that decides, and keep for the journal why the others did not."""
        facts = SubmitFacts(
            image_url=asked.image_url,
            resolution=asked.resolution,
            output_format=asked.output_format,
            key=call.key or "",
            headers=call.request.headers,
        )
        # From what is asked for and by whom, not from an order of calls.
        token = call.world.draw_token(account.id, content_token(call.request.body))
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
            self.desk.hand_in(entry.task)
        elif entry.delivery is not None:
            self.callbacks.changed()
        self.callbacks.changes += 1
        response = success(render.submitted(entry.task))
        return damaged(response, fault.wire) if fault and fault.wire else response

    def _draft(
        self,
        call: Call,
        account: Account,
        asked: Submission,
        effects: Effects | None,
        content: bytes,
    ) -> Callable[[int], Entry]:
        verdict = self.sources.quick_verdict(asked.image_url)
        seed = call.world.row.seed

        def draft(occurrence: int) -> Entry:
            task = plan_task(
                task_id=task_id(seed, account.id, content, occurrence),
                world=call.world.id,
                account_id=account.id,
                submission=asked,
                effects=effects,
                verdict=verdict,
                latency=self.options.latency,
                seed=seed,
                now_ms=call.at_ms,
                limited=self.limiting.counts_tasks(account),
            )
            delivery = plan_delivery(
                task,
                base_url=self.options.public_url or call.request.base_url,
                depth=depth_of(call.request.header(DEPTH_HEADER)),
                rewrites=self.options.callbacks.rewrites,
            )
            return Entry(task, delivery)

        return draft


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
