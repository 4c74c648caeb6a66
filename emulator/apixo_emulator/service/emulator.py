"""The emulator without its surroundings: one gate, a store, a clock, and a gallery of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol
from urllib.parse import parse_qsl

from apixo_emulator.core import render
from apixo_emulator.core.accounts import Account, account_of, bearer_key
from apixo_emulator.core.callbacks import DEPTH_HEADER, CallbackOptions, depth_of, plan_delivery
from apixo_emulator.core.chance import task_id
from apixo_emulator.core.envelope import as_json, failure, refusal, success
from apixo_emulator.core.latency import Latency
from apixo_emulator.core.money import usd
from apixo_emulator.core.pictures import Verdict
from apixo_emulator.core.routes import Endpoint, Route, match
from apixo_emulator.core.scenarios import Scenario, UnknownScenarioError, requested_scenario
from apixo_emulator.core.submission import Rejection, Submission, read_submission
from apixo_emulator.core.tasks import Task, plan_task, result_available, settle
from apixo_emulator.core.wire import HttpRequest, HttpResponse
from apixo_emulator.service.callbacks import Callbacks
from apixo_emulator.service.clock import Now
from apixo_emulator.service.sources import SourceDesk
from apixo_emulator.storage import Charge, Entry, Store
from apixo_schemas import contract, model_index, model_schema


class Sources(Protocol):
    """Who can tell whether a source picture is usable; `pictures.Gallery` can."""

    def quick_verdict(self, image_url: str) -> Verdict | None:
        """Decide without waiting, None where the picture has to be looked at."""
        ...

    def check(self, task_id: str, image_url: str) -> Verdict:
        """Look at the picture; may take seconds, raises nothing for a bad picture."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """How the emulator behaves. ``api_keys`` None accepts any key; money is in millionths of USD."""

    latency: Latency
    balance_micros: int
    api_keys: frozenset[str] | None = None
    seed: int | None = None
    public_url: str | None = None
    callbacks: CallbackOptions = field(default_factory=CallbackOptions)


class Emulator:
    """Answers API calls; safe to call from several threads."""

    def __init__(self, store: Store, sources: Sources, options: Options, now: Now) -> None:
        self._store = store
        self._sources = sources
        self._options = options
        self._now = now
        self._seed = store.seed(options.seed)
        self._charge = Charge(contract().price_micros, options.balance_micros)
        self._desk = SourceDesk(lambda task: sources.check(task.id, task.image_url), self._found)
        self.callbacks = Callbacks(store, options.callbacks, now)
        self._answers: dict[Endpoint, Callable[[HttpRequest, Account, str], HttpResponse]] = {
            Endpoint.SUBMIT: self._submit,
            Endpoint.STATUS: self._status,
            Endpoint.BALANCE: self._balance,
        }

    @property
    def blocking(self) -> bool:
        """Whether calls may wait for a network, so that an event loop hands them to a thread."""
        return self._store.blocking

    def sweep(self) -> None:
        """Have sources looked at whose tasks were left unsettled by a process that has ended.

        To be called at the start and now and then: a task that another process is about to settle
        is looked at twice at worst, and settled once.
        """
        for task in self._store.unsettled_tasks():
            self._desk.hand_in(task)

    def close(self) -> None:
        """Stop the background work and release the store."""
        self._desk.close()
        self._store.close()

    def refuses(self, request: HttpRequest) -> HttpResponse | None:
        """Say what a call would be answered whatever its body is, None where the body decides.

        For adapters that would have to read much: the key and the model come before the body.
        """
        route = match(request.method, request.path)
        if isinstance(route, HttpResponse):
            return route
        if route.endpoint in self._answers and self._caller(request) is None:
            return refusal("unauthorized")
        if route.endpoint is Endpoint.SUBMIT and route.rest != contract().model:
            return refusal("model_not_found")
        return None

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one call: the route first, then the key, then what the endpoint asks for."""
        route = match(request.method, request.path)
        if isinstance(route, HttpResponse):
            return route
        answer = self._answers.get(route.endpoint)
        if answer is None:
            return self._unauthenticated(route)
        account = self._caller(request)
        if account is None:
            return refusal("unauthorized")
        return answer(request, account, route.rest)

    def _caller(self, request: HttpRequest) -> Account | None:
        key = bearer_key(request.header(b"authorization"))
        accepted = self._options.api_keys
        if key is None or (accepted is not None and key not in accepted):
            return None
        return account_of(key)

    def _unauthenticated(self, route: Route) -> HttpResponse:
        if route.endpoint is Endpoint.FILE:
            return self._file(route.rest)
        return _published(route.endpoint)

    def _submit(self, request: HttpRequest, account: Account, model: str) -> HttpResponse:
        """Accept a task: the model first, then the body, then the balance (assumption ``order``)."""
        if model != contract().model:
            return refusal("model_not_found")
        asked = read_submission(request.body)
        if isinstance(asked, Rejection):
            return asked.response
        try:
            scenario = requested_scenario(asked.image_url)
        except UnknownScenarioError as error:
            # Not the live API's answer: no live image URL names a scenario.
            return failure(contract().assumed("validation.status"), str(error))
        if asked.callback_url is not None:
            refused = self._options.callbacks.refusal(asked.callback_url)
            if refused is not None:
                return failure(contract().assumed("validation.status"), refused)
        entry = self._store.accept(
            account, self._charge, self._draft(request, account, asked, scenario)
        )
        if entry is None:
            return refusal("insufficient_balance")
        if not entry.task.settled:
            self._desk.hand_in(entry.task)
        elif entry.delivery is not None:
            self.callbacks.changed()
        return success(render.submitted(entry.task))

    def _draft(
        self, request: HttpRequest, account: Account, asked: Submission, scenario: Scenario | None
    ) -> Callable[[int], Entry]:
        verdict = self._sources.quick_verdict(asked.image_url)
        now_ms = self._now()

        def draft(number: int) -> Entry:
            task = plan_task(
                task_id=task_id(self._seed, account.id, number),
                account_id=account.id,
                submission=asked,
                scenario=scenario,
                verdict=verdict,
                latency=self._options.latency,
                seed=self._seed,
                now_ms=now_ms,
            )
            delivery = plan_delivery(
                task,
                base_url=self._base_url(request),
                depth=depth_of(request.header(DEPTH_HEADER)),
                rewrites=self._options.callbacks.rewrites,
            )
            return Entry(task, delivery)

        return draft

    def _base_url(self, request: HttpRequest) -> str:
        return self._options.public_url or request.base_url

    def _found(self, task: Task, verdict: Verdict) -> None:
        self._store.settle(settle(task, verdict, self._now()))
        self.callbacks.changed()

    def _status(self, request: HttpRequest, account: Account, model: str) -> HttpResponse:
        if model != contract().model:
            return refusal("model_not_found")
        wanted = _task_id(request.query)
        if not wanted:
            return refusal("task_id_missing")
        task = self._store.task(wanted, source=False)
        if task is None or task.account_id != account.id:
            return refusal("task_not_found")
        return success(render.status(task, self._now(), self._base_url(request)))

    def _balance(self, _request: HttpRequest, account: Account, _rest: str) -> HttpResponse:
        left = self._store.balance_micros(account, self._options.balance_micros)
        return success(usd(left).encode())

    def _file(self, name: str) -> HttpResponse:
        """Answer a result's address: open to all who know it, as the vendor's file host is."""
        task = self._store.task(name.partition(".")[0])
        if (
            task is None
            or name != render.result_name(task)
            or not result_available(task, self._now())
        ):
            return refusal("result_not_found")
        return HttpResponse(200, b"", (), picture=task.picture)


def _task_id(query: bytes) -> str | None:
    """Read ``taskId`` of a query string; the first one counts."""
    if query.startswith(b"taskId=") and query[7:].isalnum():
        return query[7:].decode()  # what every ordinary client sends needs no parser
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return next((value for name, value in pairs if name == "taskId"), None)


@cache
def _published(endpoint: Endpoint) -> HttpResponse:
    return as_json(model_index() if endpoint is Endpoint.MODEL_INDEX else model_schema())
