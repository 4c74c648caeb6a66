"""The emulator without its surroundings: one gate, a store, a clock, and a gallery of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from time import perf_counter_ns
from urllib.parse import parse_qsl

from apixo_emulator.domain import render
from apixo_emulator.domain.accounts import Account, account_of, bearer_key
from apixo_emulator.domain.answers import poll_fault, status_answer
from apixo_emulator.domain.callbacks import due_ms
from apixo_emulator.domain.effects import ResultEffects
from apixo_emulator.domain.envelope import as_json, refusal, success
from apixo_emulator.domain.faults import result_answer
from apixo_emulator.domain.latency import Latency
from apixo_emulator.domain.money import usd
from apixo_emulator.domain.pictures import Verdict
from apixo_emulator.domain.routes import Endpoint, Route, match
from apixo_emulator.domain.tasks import Task, is_kept, result_available, settle
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.service.call import Call
from apixo_emulator.service.callbacks import Callbacks
from apixo_emulator.service.clock import Now
from apixo_emulator.service.limiting import Limiting
from apixo_emulator.service.options import Options
from apixo_emulator.service.reading import Reader, Sources
from apixo_emulator.service.recent import Recent
from apixo_emulator.service.sources import SourceChecker
from apixo_emulator.service.submitting import Pending, Submitting
from apixo_emulator.service.worlds import Worlds
from apixo_emulator.storage import Store, StoreUnavailable
from apixo_schemas import OTHER_KEY_ERROR, contract, model_index, model_schema

_MOST_CALLERS = 1024
_Answer = Callable[[Call, Account, str], HttpResponse | Pending]


class Emulator:
    """Answers API calls; safe to call from several threads.

    ``now`` is the machine's clock in Unix ms; each world maps it to its own.
    """

    def __init__(self, store: Store, sources: Sources, options: Options, now: Now) -> None:
        self.store = store
        self.options = options
        self.worlds = Worlds(store, now, options.worlds)
        self._per_key = options.worlds.per_key
        self.recent = Recent()
        self.worlds.on_refresh = self.recent.forget
        # Accounts by the header as it came: reading it anew costs 2 us a call.
        self._callers: dict[bytes, tuple[str, Account]] = {}
        terms = {
            account_of(key, own_world=self._per_key).id: entry
            for key, entry in options.accounts.items()
        }
        self.limiting = Limiting(store, terms, options.balance_micros)
        self._checker = SourceChecker(
            lambda task: sources.check(task.id, task.image_url), self._found
        )
        self.callbacks = Callbacks(store, options.callbacks, self.worlds)
        self._submitting = Submitting(
            store, Reader(sources), options, self.limiting, self._checker, self.callbacks
        )
        self._answers: dict[Endpoint, _Answer] = {
            Endpoint.SUBMIT: self._submitting.decide,
            Endpoint.STATUS: self._status,
            Endpoint.BALANCE: self._balance,
        }

    @property
    def blocking(self) -> bool:
        """Whether calls may wait for a network, so that an event loop hands them to a thread."""
        return self.store.blocking

    def sweep(self) -> None:
        """Have sources looked at whose tasks were left unsettled by a process that has ended.

        To be called at the start and now and then: a task that another process is about to settle
        is looked at twice at worst, and settled once.
        """
        for task in self.store.unsettled_tasks():
            self._checker.enqueue(task)

    def close(self) -> None:
        """Stop the background work and release the store."""
        self._checker.close()
        self.store.close()

    def retune(self, latency: Latency, starting_micros: int) -> None:
        """Change how long tasks take, and what new accounts start with; for tests that share it."""
        self.options = replace(self.options, latency=latency, balance_micros=starting_micros)
        self.limiting = replace(self.limiting, starting=starting_micros)
        self._submitting = replace(self._submitting, options=self.options, limiting=self.limiting)
        self._answers[Endpoint.SUBMIT] = self._submitting.decide

    def refuses(self, request: HttpRequest) -> HttpResponse | None:
        """Say what a call would be answered whatever its body is, None where the body decides.

        For adapters that would have to read much: the key and the model come before the body.
        """
        route = match(request.method, request.path)
        if isinstance(route, HttpResponse):
            return route
        if route.endpoint in self._answers and not self._accepts(_key(request)):
            return refusal("unauthorized")
        if route.endpoint is Endpoint.SUBMIT and route.rest != contract().model:
            return refusal("model_not_found")
        return None

    def too_large(self, request: HttpRequest) -> HttpResponse:
        """Answer a call whose body is larger than the limit, and is not read."""
        response = self.refuses(request) or refusal("payload_too_large")
        self.note(request, response, "the body is larger than the limit")
        return response

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one call: the route first, then the key, then what the endpoint asks for."""
        decided = self.decide(request)
        return decided if isinstance(decided, HttpResponse) else self.accept([decided])[0]

    def decide(self, request: HttpRequest) -> HttpResponse | Pending:
        """Answer one call, or of a submit that only has to be kept what `accept` takes.

        For adapters that keep the submits of many callers in one transaction.
        """
        began_ns = perf_counter_ns()
        key, account = self._caller(request)
        world = self.worlds.of(account)
        call = Call(request, world, self.worlds.now(world), began_ns)
        call.key, call.account = key, account
        decided = self._routed(call)
        if isinstance(decided, HttpResponse):
            self._write_down(call, decided)
        return decided

    def _caller(self, request: HttpRequest) -> tuple[str | None, Account | None]:
        """Give the key of a call, and its account if the key is accepted."""
        header = request.header(b"authorization")
        known = self._callers.get(header) if header else None
        if header is None or known is not None:
            return known or (None, None)
        key = bearer_key(header)
        if key is None or not self._accepts(key):
            return key, None
        account = account_of(key, own_world=self._per_key)
        if len(self._callers) < _MOST_CALLERS:
            self._callers[header] = (key, account)
        return key, account

    def accept(self, pending: Sequence[Pending]) -> list[HttpResponse]:
        """Charge and keep submits, all in one transaction, and answer each."""
        responses = self._submitting.accept(pending)
        for one, response in zip(pending, responses, strict=True):
            self._write_down(one.call, response)
        return responses

    def accept_each(self, pending: Sequence[Pending]) -> Sequence[HttpResponse | Exception]:
        """Accept as `accept` does, but one that cannot be kept takes no other with it.

        In its place stands what was raised.
        """
        try:
            return self.accept(pending)
        except StoreUnavailable as error:
            # They may have been kept all the same: a second time would charge for them twice.
            return [error] * len(pending)
        except Exception as error:  # noqa: BLE001 - who asked gets it, and logs it
            if len(pending) == 1:
                return [error]
        return [self.accept_each([one])[0] for one in pending]

    @staticmethod
    def _write_down(call: Call, response: HttpResponse) -> None:
        world = call.world
        world.answered[call.endpoint, response.status] += 1
        world.journal.append(call, response, (perf_counter_ns() - call.began_ns) // 1000)

    def note(self, request: HttpRequest, response: HttpResponse, decision: str) -> None:
        """Write a call into the journal that an adapter has answered by itself."""
        world = self.worlds.of(None)
        call = Call(request, world, self.worlds.now(world), perf_counter_ns())
        call.key, call.decision = _key(request), decision
        self._write_down(call, response)

    def _accepts(self, key: str | None) -> bool:
        accepted = self.options.api_keys
        return key is not None and (
            accepted is None or key in accepted or key in self.options.accounts
        )

    def _routed(self, call: Call) -> HttpResponse | Pending:
        route = match(call.request.method, call.request.path)
        if isinstance(route, HttpResponse):
            call.decision = "there is no such path, or not with this method"
            return route
        call.endpoint = route.endpoint.value
        answer = self._answers.get(route.endpoint)
        if answer is None:
            return self._unauthenticated(call, route)
        if call.account is None:
            call.decision = "the key is missing or not accepted"
            return refusal("unauthorized")
        refused = self.limiting.refused(call, call.account, route.endpoint)
        return refused or answer(call, call.account, route.rest)

    def _unauthenticated(self, call: Call, route: Route) -> HttpResponse:
        if route.endpoint is Endpoint.FILE:
            return self._file(call, route.rest)
        return _published(route.endpoint)

    def _found(self, task: Task, verdict: Verdict) -> None:
        settled = settle(task, verdict, self.worlds.now(self.worlds.get(task.world)))
        self.store.settle(settled, due_ms(settled))
        self.callbacks.changed()

    def _status(self, call: Call, account: Account, model: str) -> HttpResponse:
        if model != contract().model:
            call.decision = f"there is no model {model!r}"
            return refusal("model_not_found")
        wanted = _task_id(call.request.query)
        if not wanted:
            call.decision = "the call names no task"
            return refusal("task_id_missing")
        call.task_id = wanted
        task = self.recent.task(wanted) or self._read(wanted)
        if task is None or not is_kept(task, call.at_ms):
            call.decision = "there is no such task"
            return refusal("task_not_found")
        if task.account_id != account.id and (refused := _of_another(task, account)):
            call.decision = "the task is another account's"
            return refused
        base_url = self.options.public_url or call.request.base_url
        if task.effects is None:
            return self._plain_status(task, call.at_ms, base_url)
        call.scenario = task.effects.name
        counted = task.effects.status_fault is not None
        polls = self.store.count_poll(task.id) if counted else 0
        fault = poll_fault(task.effects, polls)
        call.fault = None if fault is None else fault.name
        return status_answer(task, call.at_ms, base_url, polls)

    def _read(self, task_id: str) -> Task | None:
        generation = self.recent.generation
        task = self.store.task(task_id, source=False)
        if task is not None:
            self.recent.keep(task, generation)
        return task

    def _plain_status(self, task: Task, now_ms: int, base_url: str) -> HttpResponse:
        if task.ends_ms is None or now_ms < task.ends_ms or not task.settled:
            return success(render.status(task, now_ms, base_url))
        known = self.recent.final(task.id, base_url)
        if known is None:
            known = success(render.status(task, now_ms, base_url))
            self.recent.keep_final(task.id, base_url, known)
        return known

    def _balance(self, call: Call, account: Account, _rest: str) -> HttpResponse:
        left = self.store.balance_micros(account, self.limiting.starting_micros(account))
        left += self.limiting.refunded_micros(account.id, call.at_ms)
        return success(usd(left).encode())

    def _file(self, call: Call, name: str) -> HttpResponse:
        """Answer a result's address: open to all who know it, as the vendor's file host is."""
        call.task_id = name.partition(".")[0]
        task = self.store.task(call.task_id)
        if task is None or name != render.result_name(task):
            call.decision = "there is no such result"
            return refusal("result_not_found")
        call.world = self.worlds.get(task.world)
        if not result_available(task, self.worlds.now(self.worlds.get(task.world))):
            call.decision = "the task has not succeeded, or its result has expired"
            return refusal("result_not_found")
        return result_answer(task.picture, task.effects.result if task.effects else ResultEffects())


def _key(request: HttpRequest) -> str | None:
    return bearer_key(request.header(b"authorization"))


def _of_another(task: Task, account: Account) -> HttpResponse | None:
    """Refuse a look at another key's task: assumption ``task.other_key``."""
    match contract().assumed("task.other_key"):
        case "shown" if task.world == account.world:
            return None
        case "refused":
            return refusal(OTHER_KEY_ERROR)
    return refusal("task_not_found")


def _task_id(query: bytes) -> str | None:
    """Read ``taskId`` of a query string; the first one counts."""
    if query.startswith(b"taskId=") and query[7:].isalnum():
        return query[7:].decode()  # what every ordinary client sends needs no parser
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return next((value for name, value in pairs if name == "taskId"), None)


@cache
def _published(endpoint: Endpoint) -> HttpResponse:
    return as_json(model_index() if endpoint is Endpoint.MODEL_INDEX else model_schema())
