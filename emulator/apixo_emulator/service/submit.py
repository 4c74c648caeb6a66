"""Accepting a task: what was asked for, what is to happen to it, and what it costs.

A submit is read first, by its bytes alone. All else is decided in one transaction, together with
other submits that wait: limits, rules, balance, id, plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

from apixo_emulator.domain.accounts import Account, AccountTerms
from apixo_emulator.domain.deliveries import DEPTH_HEADER, depth_of, plan_delivery
from apixo_emulator.domain.effects import Effects
from apixo_emulator.domain.pictures import Verdict
from apixo_emulator.domain.randomness import content_token
from apixo_emulator.domain.responses import (
    answered_instead,
    damaged,
    refusal,
    rejection,
    submitted_data,
    success,
)
from apixo_emulator.domain.routes import Endpoint
from apixo_emulator.domain.submission import Refusal, Submission, read_submission
from apixo_emulator.domain.tasks import plan_task
from apixo_emulator.domain.wire import HttpResponse
from apixo_emulator.scenarios.matching import PREEMPTED, drawn, screen, take
from apixo_emulator.scenarios.rules import Rule
from apixo_emulator.scenarios.vocabulary import UnknownScenarioError, requested_scenario
from apixo_emulator.service.callbacks import Callbacks
from apixo_emulator.service.limits import MAGIC_KEYS, AccountLimits, refunds_failed
from apixo_emulator.service.sources import SourceChecker
from apixo_emulator.service.worlds import Call, Options, Worlds, read_rule
from apixo_emulator.storage import Entry, RuleRow, Store, Transaction
from apixo_schemas import CONTENT_TYPE_ERROR, contract

# An application sends the same few bodies again and again, a load test one: reading one anew takes
# 9 of the 56 us of a submit. 4 MiB at most.
_REMEMBERED = 1024
_LONGEST_BYTES = 2048


class Sources(Protocol):
    """Judges source pictures; `pictures.PictureStore` does."""

    def quick_verdict(self, image_url: str) -> Verdict | None:
        """Decide without waiting, None where the picture has to be looked at."""
        ...

    def check(self, task_id: str, image_url: str) -> Verdict:
        """Look at the picture; may take seconds, raises nothing for a bad picture."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What a body asks for.

    ``content`` stands for its bytes; ``verdict`` is that on its source, None where the picture has
    to be looked at. ``magic`` is what its image URL asks for, ``misspelt`` what is wrong with that.
    """

    asked: Submission
    content: bytes
    verdict: Verdict | None
    magic: Effects | None = None
    misspelt: str | None = None


class Pending(NamedTuple):
    """A submit that has been read and waits to be decided in a transaction."""

    call: Call
    account: Account
    terms: AccountTerms | None
    read: Reading | Refusal


class SubmitParser:
    """Reads bodies; what it says about one never changes."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._remembered = lru_cache(_REMEMBERED)(self._read)

    def read(self, body: bytes) -> Reading | Refusal:
        """Read a body, or say which rule it breaks."""
        return self._read(body) if len(body) > _LONGEST_BYTES else self._remembered(body)

    def _read(self, body: bytes) -> Reading | Refusal:
        asked = read_submission(body)
        if isinstance(asked, Refusal):
            return asked
        content, verdict = content_token(body), self._sources.quick_verdict(asked.image_url)
        try:
            return Reading(asked, content, verdict, magic=requested_scenario(asked.image_url))
        except UnknownScenarioError as error:
            return Reading(asked, content, verdict, misspelt=str(error))


@dataclass(frozen=True, slots=True)
class Submits:
    """Answers the submit endpoint."""

    store: Store
    worlds: Worlds
    parser: SubmitParser
    options: Options
    limits: AccountLimits
    checker: SourceChecker
    callbacks: Callbacks

    def read(self, call: Call, account: Account, model: str) -> Pending:
        """Read a submit: the model, then the body. Their order is assumption ``order``."""
        terms = self.limits.terms.get(account.id)
        if terms and (forbidden := self.limits.forbidden(call, terms, Endpoint.SUBMIT)):
            return Pending(call, account, terms, Refusal(forbidden, call.decision))
        return Pending(call, account, terms, _unread(call, model) or self._read(call))

    def _read(self, call: Call) -> Reading | Refusal:
        read = self.parser.read(call.request.body)
        if isinstance(read, Reading) and read.asked.callback_url is not None:
            words = self.options.callbacks.refusal(read.asked.callback_url)
            if words is not None:
                return Refusal(rejection(words), "the callback URL is not taken")
        return read

    def accept(self, pending: Sequence[Pending]) -> list[HttpResponse]:
        """Decide about submits in one transaction, and answer each once it is committed."""
        answered = [self._unconditional(one) for one in pending]
        waiting = [one for one, answer in zip(pending, answered, strict=True) if answer is None]
        decided = iter(self._transact(waiting) if waiting else [])
        return [answer or next(decided) for answer in answered]

    def _unconditional(self, pending: Pending) -> HttpResponse | None:
        """Return the answer to a submit of which nothing has to be counted, None for all others."""
        call, _, terms, read = pending
        if call.key in MAGIC_KEYS:
            call.at(self.worlds.row(call.world), self.worlds.real_now())
            return self.limits.magic(call, Endpoint.SUBMIT)
        if isinstance(read, Reading) or (terms and terms.rate):
            return None
        call.at(self.worlds.row(call.world), self.worlds.real_now())
        return _refused(call, read)

    def _transact(self, pending: Sequence[Pending]) -> list[HttpResponse]:
        accounts = {one.account: self.limits.starting_micros(one.account) for one in pending}
        contents = [
            (one.account, one.read.content) for one in pending if isinstance(one.read, Reading)
        ]
        added: list[Entry] = []
        with self.store.transaction() as tx:
            tx.load(accounts, contents)
            real_ms = self.worlds.real_now()
            responses = [self._decide(tx, one, real_ms, added) for one in pending]
        for task, delivery in added:
            if not task.settled:
                self.checker.enqueue(task)
            self.callbacks.added(delivery, tx.world(task.world).clock)
        return responses

    def _decide(
        self, tx: Transaction, pending: Pending, real_ms: int, added: list[Entry]
    ) -> HttpResponse:
        """Decide about one submit, from the first limit to the task that is added."""
        call, account, terms, read = pending
        world, state = tx.world(account.world), tx.account(account)
        call.at(world, real_ms)
        limited = self.limits.over_rate(call, terms, state) if terms else None
        if isinstance(read, Refusal):
            return limited or _refused(call, read)
        if limited is None and terms:
            limited = self.limits.over_concurrency(call, account, terms, tx)
        if limited is not None:
            return limited
        if read.misspelt is not None:
            # Not the live API's answer: no live image URL names a scenario.
            call.decision = "the image URL asks for a scenario that does not exist"
            return rejection(read.misspelt)
        call.decision = "accepted"
        effects = self._effects(tx, pending, read)
        fault = effects.submit_fault if effects else None
        call.fault = None if fault is None else fault.name
        instead = answered_instead(fault, call.at_ms) if fault else None
        if instead is not None:
            call.decision = f"scenario {call.scenario} answers instead; nothing was accepted"
            return instead
        if refunds_failed():
            self.limits.refund(tx, account, call.at_ms)
        if not state.charge(contract().price_micros):
            call.decision = "the balance does not cover the price"
            return refusal("insufficient_balance")
        task = plan_task(
            task_id=tx.next_task_id(account, read.content),
            world=world.id,
            epoch=world.epoch,
            account_id=account.id,
            submission=read.asked,
            effects=effects,
            verdict=read.verdict,
            latency=self.options.latency,
            seed=world.seed,
            now_ms=call.at_ms,
            limited=terms is not None and terms.concurrency is not None,
        )
        delivery = None
        if task.callback_url is not None:
            delivery = plan_delivery(
                task,
                base_url=self.options.public_url or call.request.base_url,
                depth=depth_of(call.request.header(DEPTH_HEADER)),
                rewrites=self.options.callbacks.rewrites,
            )
        tx.add(task, delivery)
        added.append(Entry(task, delivery))
        call.task_id = task.id
        response = success(submitted_data(task))
        return damaged(response, fault.wire) if fault and fault.wire else response

    @staticmethod
    def _effects(tx: Transaction, pending: Pending, read: Reading) -> Effects | None:
        """Find what is to happen instead of the ordinary: the magic URL first, then the rules."""
        call = pending.call
        call.rule = call.scenario = None
        if read.magic is not None:
            call.scenario = read.magic.name
            call.decision = f"the image URL asks for {read.magic.name}"
            return read.magic
        rows = tx.rules(pending.account.world)
        rule = _decider(tx, pending, read, rows) if rows else None
        if rule is None:
            return None
        call.rule, call.scenario = rule.id, rule.effects.name
        call.decision = f"rule {rule.id} asks for {rule.effects.name}"
        return rule.effects


def _refused(call: Call, read: Refusal) -> HttpResponse:
    """Refuse a submit that was read to be wrong."""
    call.decision, call.broken_rule = read.decision, read.rule
    return read.response


def _decider(
    tx: Transaction, pending: Pending, read: Reading, rows: Sequence[RuleRow]
) -> Rule | None:
    """Return the first rule that decides, and keep for the journal why the others did not."""
    call, account = pending.call, pending.account
    rules = [(read_rule(row.id, row.document), row) for row in rows]
    token = ""
    if any(rule.match.probability is not None for rule, _ in rules):
        # Draws depend on what is asked for, by whom and how often, not on an order of callers.
        count = tx.count_submit(account, read.content)
        token = f"{account.id} {read.content.hex()} {count}"
    winner = None
    why_not: list[tuple[str, str]] = []
    for rule, row in rules:
        reason = screen(rule, read.asked, call.key or "", call.request.headers)
        if reason is None and winner is not None and not rule.match.calls:
            reason = PREEMPTED  # nothing asks for its count
        elif reason is None:
            draw = drawn(tx.world(account.world).seed, rule, token)
            reason = PREEMPTED if winner else take(rule, row.seen + 1, row.used, draw)
            tx.count_rule(account.world, row, used=reason is None)
        if reason is None:
            winner = rule
        else:
            why_not.append((rule.id, reason))
    call.why_not = tuple(why_not)
    return winner


def _unread(call: Call, model: str) -> Refusal | None:
    """Refuse a submit whose body does not matter."""
    if model != contract().model:
        return Refusal(refusal("model_not_found"), f"there is no model {model!r}")
    if not _is_taken(call.request.header(b"content-type")):
        return Refusal(refusal(CONTENT_TYPE_ERROR), "the body is not said to be JSON")
    return None


def _is_taken(content_type: bytes | None) -> bool:
    """Return whether a body of this type is read: assumption ``body.content_type``."""
    if contract().assumed("body.content_type") == "ignored":
        return True
    media_type = (content_type or b"").partition(b";")[0].strip().lower()
    return media_type == b"application/json"
