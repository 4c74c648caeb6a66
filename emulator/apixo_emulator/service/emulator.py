"""The emulator without its surroundings: calls in, answers out, over a store and a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from time import perf_counter_ns
from urllib.parse import parse_qsl

from apixo_emulator.domain.accounts import Account, account_of, bearer_key, usd
from apixo_emulator.domain.deliveries import due_ms
from apixo_emulator.domain.effects import ResultEffects
from apixo_emulator.domain.pictures import Verdict
from apixo_emulator.domain.responses import (
    as_json,
    poll_fault,
    refusal,
    result_answer,
    result_name,
    status_answer,
    status_data,
    success,
)
from apixo_emulator.domain.routes import Endpoint, Route, match
from apixo_emulator.domain.tasks import Latency, Task, is_kept, result_available, settle
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.service.callbacks import Callbacks
from apixo_emulator.service.limits import MAGIC_KEYS, AccountLimits
from apixo_emulator.service.sources import SourceChecker
from apixo_emulator.service.submit import Pending, Sources, SubmitParser, Submits
from apixo_emulator.service.worlds import Call, Now, Options, Worlds
from apixo_emulator.storage import Store, StoreUnavailable
from apixo_schemas import OTHER_KEY_ERROR, contract, model_index, model_schema

_MOST_CALLERS = 1024
# Final answers that are kept in memory, about 1 KiB each.
_MOST_FINALS = 4096
_OWN = frozenset({Endpoint.SUBMIT, Endpoint.STATUS, Endpoint.BALANCE})


class Emulator:
    """Answers API calls; safe to call from several threads.

    ``now`` is the machine's clock in Unix ms, the store's unless given; each world maps it to its own.
    """

    def __init__(
        self, store: Store, sources: Sources, options: Options, now: Now | None = None
    ) -> None:
        self.store = store
        self.options = options
        self.worlds = Worlds(store, now or store.now, options.worlds)
        self._per_key = options.worlds.per_key
        # Accounts by the header as it came: reading it anew costs 2 us a call.
        self._callers: dict[bytes, tuple[str, Account]] = {}
        # Rendering an answer costs 4 us; a final one never changes within an epoch of its world.
        self._finals: dict[tuple[int, str, str], HttpResponse] = {}
        terms = {
            account_of(key, own_world=self._per_key).id: entry
            for key, entry in options.accounts.items()
        }
        self.limits = AccountLimits(store, terms, options.balance_micros)
        self._checker = SourceChecker(
            lambda task: sources.check(task.id, task.image_url), self._found
        )
        self.callbacks = Callbacks(store, options.callbacks, self.worlds)
        self._submits = Submits(
            store,
            self.worlds,
            SubmitParser(sources),
            options,
            self.limits,
            self._checker,
            self.callbacks,
        )

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
        self.limits = replace(self.limits, starting=starting_micros)
        self._submits = replace(self._submits, options=self.options, limits=self.limits)

    def refuses(self, request: HttpRequest) -> HttpResponse | None:
        """Return what a call is answered whatever its body is, None where the body decides.

        For adapters that would have to read much: the key and the model come before the body.
        """
        route = match(request.method, request.path)
        if isinstance(route, HttpResponse):
            return route
        if route.endpoint in _OWN and not self._accepts(_key(request)):
            return refusal("unauthorized")
        if route.endpoint is Endpoint.SUBMIT and route.rest != contract().model:
            return refusal("model_not_found")
        return None

    def too_large(self, request: HttpRequest) -> HttpResponse:
        """Answer a call whose body is larger than the limit, and is not read."""
        response = self.refuses(request) or refusal("payload_too_large")
        self.note(request, response, "the body is larger than the limit")
        return response

    def overloaded(self, request: HttpRequest) -> HttpResponse:
        """Answer a call that would have to wait for too many others, without asking the store."""
        response = refusal("unavailable", (b"retry-after", b"1"))
        call = Call(request, self.worlds.one, perf_counter_ns())
        call.key, call.decision = _key(request), "too many calls wait for the store"
        call.at_ms, call.epoch = self.worlds.real_now(), call.world.epoch
        call.world.note(call, response)
        return response

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one call: the route first, then the key, then what the endpoint asks for."""
        decided = self.decide(request)
        return decided if isinstance(decided, HttpResponse) else self.accept([decided])[0]

    def waits(self, request: HttpRequest) -> bool:
        """Return whether `decide` may wait for a network; a submit mostly waits in `accept`."""
        if not self.store.blocking:
            return False
        route = match(request.method, request.path)
        if isinstance(route, HttpResponse) or route.endpoint is not Endpoint.SUBMIT:
            return True
        account = self._caller(request)[1]
        return account is None or not self.worlds.is_open(account)

    def decide(self, request: HttpRequest) -> HttpResponse | Pending:
        """Answer one call, or return of a submit what `accept` takes.

        For adapters that keep the submits of many callers in one transaction.
        """
        began_ns = perf_counter_ns()
        key, account = self._caller(request)
        call = Call(request, self.worlds.of(account), began_ns)
        call.key, call.account = key, account
        route = match(request.method, request.path)
        if isinstance(route, Route):
            call.endpoint = route.endpoint
            if route.endpoint is Endpoint.SUBMIT and account is not None:
                return self._submits.read(call, account, route.rest)
        response = self._answer(call, account, route)
        call.world.note(call, response)
        return response

    def _caller(self, request: HttpRequest) -> tuple[str | None, Account | None]:
        """Return the key of a call, and its account if the key is accepted."""
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
        """Decide about submits, all in one transaction, and answer each."""
        responses = self._submits.accept(pending)
        for one, response in zip(pending, responses, strict=True):
            one.call.world.note(one.call, response)
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
        except Exception as error:  # noqa: BLE001 - the caller gets it, and logs it
            if len(pending) == 1:
                return [error]
        return [self.accept_each([one])[0] for one in pending]

    def note(self, request: HttpRequest, response: HttpResponse, decision: str) -> None:
        """Write a call into the journal that an adapter has answered by itself."""
        call = Call(request, self.worlds.of(None), perf_counter_ns())
        call.key, call.decision = _key(request), decision
        self._look(call)
        call.world.note(call, response)

    def _accepts(self, key: str | None) -> bool:
        accepted = self.options.api_keys
        return key is not None and (
            accepted is None or key in accepted or key in self.options.accounts
        )

    def _look(self, call: Call, task_id: str = "") -> Task | None:
        """Note the instant in the call's world, and return a task."""
        row, task = self.worlds.look(call.world, task_id)
        call.at(row, self.worlds.real_now())
        return task

    def _answer(
        self, call: Call, account: Account | None, route: Route | HttpResponse
    ) -> HttpResponse:
        """Answer any call but a submit with an accepted key."""
        if isinstance(route, HttpResponse):
            self._look(call)
            call.decision = "there is no such path, or not with this method"
            return route
        if route.endpoint not in _OWN:
            return self._public(call, route)
        if account is None:
            self._look(call)
            call.decision = "the key is missing or not accepted"
            return refusal("unauthorized")
        if route.endpoint is Endpoint.STATUS:
            return self._status(call, account, route.rest)
        return self._balance(call, account)

    def _public(self, call: Call, route: Route) -> HttpResponse:
        """Answer a call that needs no key."""
        if route.endpoint is Endpoint.FILE:
            return self._file(call, route.rest)
        self._look(call)
        return _published(route.endpoint)

    def _balance(self, call: Call, account: Account) -> HttpResponse:
        self._look(call)
        refused = self._limited(call, account, Endpoint.BALANCE)
        if refused is not None:
            return refused
        return success(usd(self.limits.balance_micros(account, call.at_ms)).encode())

    def _limited(self, call: Call, account: Account, endpoint: Endpoint) -> HttpResponse | None:
        if call.key in MAGIC_KEYS:
            return self.limits.magic(call, endpoint)
        terms = self.limits.terms.get(account.id)
        return self.limits.refused(call, account, terms, endpoint) if terms else None

    def _status(self, call: Call, account: Account, model: str) -> HttpResponse:
        wanted = _task_id(call.request.query)
        task = self._look(call, wanted)
        refused = self._limited(call, account, Endpoint.STATUS)
        if refused is not None:
            return refused
        if model != contract().model:
            call.decision = f"there is no model {model!r}"
            return refusal("model_not_found")
        if not wanted:
            call.decision = "the call names no task"
            return refusal("task_id_missing")
        call.task_id = wanted
        if task is None or not is_kept(task, call.at_ms):
            call.decision = "there is no such task"
            return refusal("task_not_found")
        if task.account_id != account.id and (refused := _of_another(task, account)):
            call.decision = "the task is another account's"
            return refused
        return self._poll(call, task)

    def _poll(self, call: Call, task: Task) -> HttpResponse:
        base_url = self.options.public_url or call.request.base_url
        if task.effects is None:
            return self._plain_status(task, call.at_ms, base_url)
        call.scenario = task.effects.name
        counted = task.effects.status_fault is not None
        polls = self.store.count_poll(task) if counted else 0
        fault = poll_fault(task.effects, polls)
        call.fault = None if fault is None else fault.name
        return status_answer(task, call.at_ms, base_url, polls)

    def _plain_status(self, task: Task, now_ms: int, base_url: str) -> HttpResponse:
        if task.ends_ms is None or now_ms < task.ends_ms or not task.settled:
            return success(status_data(task, now_ms, base_url))
        key = (task.epoch, task.id, base_url)
        known = self._finals.get(key)
        if known is None:
            if len(self._finals) >= _MOST_FINALS:
                self._finals.clear()  # rare, and cheaper than an order of use at every call
            known = self._finals[key] = success(status_data(task, now_ms, base_url))
        return known

    def _file(self, call: Call, name: str) -> HttpResponse:
        """Answer a result's address: it needs no key, as on the vendor's file host."""
        call.task_id = name.partition(".")[0]
        task = self.store.task(call.task_id)
        if task is not None:
            # The call has no key that selects a world: it belongs to its task's.
            call.world = self.worlds.get(task.world)
        self._look(call)
        if task is None or name != result_name(task):
            call.decision = "there is no such result"
            return refusal("result_not_found")
        if not result_available(task, call.at_ms):
            call.decision = "the task has not succeeded, or its result has expired"
            return refusal("result_not_found")
        return result_answer(task.picture, task.effects.result if task.effects else ResultEffects())

    def _found(self, task: Task, verdict: Verdict) -> None:
        settled = settle(task, verdict, self.worlds.now(self.worlds.get(task.world)))
        self.store.settle(settled, due_ms(settled))
        self.callbacks.changed(task.world)


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


def _task_id(query: bytes) -> str:
    """Read ``taskId`` of a query string, "" where there is none; the first one counts."""
    if query.startswith(b"taskId=") and query[7:].isalnum():
        return query[7:].decode()  # what every ordinary client sends needs no parser
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return next((value for name, value in pairs if name == "taskId"), "")


@cache
def _published(endpoint: Endpoint) -> HttpResponse:
    return as_json(model_index() if endpoint is Endpoint.MODEL_INDEX else model_schema())
