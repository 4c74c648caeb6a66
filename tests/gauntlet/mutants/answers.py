"""Mutants of answers: envelopes, ids of tasks, errors, prices and the balance."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from gauntlet.conduct import Conduct, Task
from gauntlet.mutant import breaks, made, wrapped
from gauntlet.wire import Reply, Request

# --- envelopes of successes -----------------------------------------------------------------------


def _put(**members: Any) -> Any:
    return lambda body: {**body, **members}


def _without(name: str) -> Any:
    return lambda body: {key: value for key, value in body.items() if key != name}


def _data(body: dict[str, Any]) -> Any:
    return body["data"]


_ENVELOPES: tuple[tuple[str, str, str, Callable[[dict[str, Any]], Any]], ...] = (
    ("envelope: no code", "envelope.shape", "any", _without("code")),
    ("envelope: no message", "envelope.shape", "any", _without("message")),
    ("envelope: code is text", "envelope.shape", "any", _put(code="200")),
    ("envelope: code 0", "envelope.code envelope.success", "any", _put(code=0)),
    ("envelope: code 201", "envelope.code envelope.success", "submit", _put(code=201)),
    ("envelope: message is an object", "envelope.shape", "any", _put(message={"text": "success"})),
    ("envelope: message null", "envelope.shape", "status", _put(message=None)),
    ("envelope: in a list", "envelope.shape", "status", lambda body: [body]),
    ("status: no envelope", "envelope.shape", "status", _data),
    ("submit: no envelope", "envelope.shape", "submit", _data),
    ("balance: no envelope", "envelope.shape", "balance", lambda body: {"balance": body["data"]}),
    ("balance: a bare number", "envelope.shape", "balance", _data),
    (
        "submit: taskId beside code",
        "submit.response",
        "submit",
        lambda body: {"code": 200, "message": "success", "taskId": body["data"]["taskId"]},
    ),
    ("submit: data is a list", "submit.response", "submit", lambda b: {**b, "data": [b["data"]]}),
    (
        "submit: data is the id",
        "submit.response",
        "submit",
        lambda body: {**body, "data": body["data"]["taskId"]},
    ),
)
for _name, _checks, _where, _change in _ENVELOPES:
    wrapped(_name, _checks, _where, _change)


def _accepted_with(status: int, code: int) -> Any:
    def success(self: Conduct, where: str, data: Any) -> Reply:
        if where != "submit":
            return Conduct.success(self, where, data)
        return Reply(status, {"code": code, "message": "success", "data": data})

    return success


made("submit: 201", "envelope.success", success=_accepted_with(201, 201))
made("submit: HTTP 202, code 200", "envelope.code", success=_accepted_with(202, 200))

# --- ids of tasks ---------------------------------------------------------------------------------


def _submitted(change: Callable[[Task], Any]) -> Any:
    return lambda _self, task: change(task)


_IDS: dict[str, Callable[[Task], Any]] = {
    "task_id": lambda task: {"task_id": task.id},
    "id": lambda task: {"id": task.id},
    "no taskId": lambda _task: {},
    "taskId null": lambda _task: {"taskId": None},
    "taskId a number": lambda task: {"taskId": int(task.id, 16) % 10**9},
    "taskId empty": lambda _task: {"taskId": ""},
    "taskId in a list": lambda task: {"taskId": [task.id]},
}
for _name, _members in _IDS.items():
    made(f"submit: {_name}", "submit.response", submitted=_submitted(_members))
made(
    "jobs: done in one go",
    "submit.response",
    submitted=lambda self, task: {"resultUrls": self.result_urls(task)},
)
made("ids: one for all", "task-id.unique", new_id=lambda _self: "task_12345678")


@breaks("ids: every second is repeated", "task-id.unique")
class EverySecondId(Conduct):
    def new_id(self) -> str:
        return next(reversed(self.tasks)) if len(self.tasks) % 2 else super().new_id()


@breaks("ids: the same for the same body", "task-id.unique")
class IdsOfBodies(Conduct):
    """It takes a second order for a repetition of the first."""

    def accept(self, body: dict[str, Any]) -> Task:
        same = next((task for task in self.tasks.values() if task.body == body), None)
        return same or super().accept(body)


# --- errors ---------------------------------------------------------------------------------------


def _error(change: Callable[[int, str], Any]) -> Any:
    return lambda _self, status, message, _place: change(status, message)


_ERRORS: dict[str, tuple[str, Callable[[int, str], Any]]] = {
    "no code": ("envelope.shape", lambda _s, m: {"message": m, "data": None}),
    "code is text": ("envelope.shape", lambda s, m: {"code": str(s), "message": m, "data": None}),
    "code 1001": ("envelope.code", lambda _s, m: {"code": 1001, "message": m, "data": None}),
    "no message": ("envelope.shape", lambda s, m: {"code": s, "error": m, "data": None}),
    "message null": ("envelope.shape", lambda s, _m: {"code": s, "message": None, "data": None}),
    "data is a text": ("envelope.error-data", lambda s, m: {"code": s, "message": m, "data": m}),
    "data is a list": ("envelope.error-data", lambda s, m: {"code": s, "message": m, "data": []}),
    "FastAPI's shape": ("envelope.shape", lambda _s, m: {"detail": m}),
    "nested": ("envelope.shape", lambda s, m: {"error": {"code": s, "message": m}}),
    "a bare text": ("envelope.shape", lambda _s, m: m),
}
for _name, (_checks, _body) in _ERRORS.items():
    made(f"errors: {_name}", _checks, error_body=_error(_body))


def _html(status: int, message: str) -> Reply:
    page = f"<html><body><h1>{status}</h1><p>{message}</p></body></html>"
    return Reply(status, raw=page.encode(), media_type="text/html")


made("errors: HTML", "envelope.shape", error=_error(_html))
made("errors: nothing", "envelope.shape", error=_error(lambda status, _m: Reply(status, raw=b"")))


@breaks("errors: 404 is plain text", "envelope.shape status.unknown-task")
class Plain404(Conduct):
    def error(self, status: int, message: str, place: str) -> Reply:
        if status == 404:
            return Reply(404, raw=b"Not Found", media_type="text/plain")
        return super().error(status, message, place)


# --- prices and the balance -----------------------------------------------------------------------


def _price(rule: Callable[[Task], str]) -> Any:
    return lambda _self, task: Decimal(rule(task))


_PRICES: dict[str, tuple[str, Callable[[Task], str]]] = {
    "2 cents": ("balance.price", lambda _t: "0.02"),
    "nothing": ("balance.price", lambda _t: "0"),
    "half a cent": ("balance.price", lambda _t: "0.005"),
    "callbacks are free": ("balance.price", lambda t: "0" if t.callback_url else "0.01"),
    "8k costs more": ("balance.resolution", lambda t: "0.02" if t.resolution == "8k" else "0.01"),
    "2k costs less": ("balance.resolution", lambda t: "0.005" if t.resolution == "2k" else "0.01"),
    "webp costs more": (
        "balance.output_format",
        lambda t: "0.015" if t.output_format == "webp" else "0.01",
    ),
    "png costs more": (
        "balance.output_format",
        lambda t: "0.015" if t.output_format == "png" else "0.01",
    ),
}
for _name, (_checks, _rule) in _PRICES.items():
    made(f"price: {_name}", _checks, price=_price(_rule))


@breaks("price: rejected ones too", "balance.rejected-free")
class ChargesRejected(Conduct):
    def charge_rejected(self) -> None:
        self.balance_usd -= Decimal("0.01")


@breaks("price: polls too", "balance.price")
class ChargesPolls(Conduct):
    def data(self, task: Task, place: str) -> dict[str, Any]:
        self.balance_usd -= Decimal("0.001")
        return super().data(task, place)


@breaks("price: a repeated body is free", "balance.price")
class FreeRepetition(Conduct):
    def price(self, task: Task) -> Decimal:
        seen = [other for other in self.tasks.values() if other.body == task.body]
        return Decimal(0) if len(seen) > 1 else super().price(task)


made(
    "price: on credit",
    "balance.insufficient",
    start_balance=Decimal("0.03"),
    covered=lambda _self: True,
)


def _balance(rule: Callable[[Decimal], Any]) -> Any:
    return lambda self: rule(self.balance_usd)


_BALANCES: dict[str, tuple[str, Callable[[Decimal], Any]]] = {
    "a text": ("balance.shape", str),
    "a text with a sign": ("balance.shape", lambda usd: f"${usd:.2f}"),
    "an object": ("balance.shape", lambda usd: {"balance": float(usd)}),
    "null": ("balance.shape", lambda _usd: None),
    "in cents": ("balance.price", lambda usd: int(usd * 100)),
    "rounded to dollars": ("balance.price", round),
    "rounded to tenths": ("balance.price", lambda usd: float(round(usd, 1))),
    "never changes": ("balance.price", lambda _usd: 74.87),
    "grows": ("balance.price", lambda usd: float(200 - usd)),
}
for _name, (_checks, _shape) in _BALANCES.items():
    made(f"balance: {_name}", _checks, balance=_balance(_shape))


# --- answers at random ----------------------------------------------------------------------------


@breaks("flaky: one call in five fails", "errors.flaky")
class FailsAtRandom(Conduct):
    def handle(self, request: Request) -> Reply:
        fails = self.rng.random() < 0.2
        return self.error(500, "oops", "flaky") if fails else super().handle(request)


@breaks("flaky: one answer in ten is another one", "errors.flaky")
class WrongAtRandom(Conduct):
    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        return self.error(404, "what?", "flaky") if self.rng.random() < 0.1 else reply
