"""Mutants of envelopes, submit answers and errors."""

from __future__ import annotations

from typing import Any

from gauntlet.conduct import Conduct, Task
from gauntlet.mutant import breaks, made, wrapped
from gauntlet.wire import Reply

_P1 = "Every answer is one envelope {code, message, data} (P1)"


def _put(**members: Any) -> Any:
    return lambda body: body.update(members)


def _without(*names: str) -> Any:
    return lambda body: {name: value for name, value in body.items() if name not in names}


wrapped("envelope: no code", _P1, "envelope.shape", where="any", change=_without("code"))
wrapped("envelope: no message", _P1, "envelope.shape", where="any", change=_without("message"))
wrapped(
    "envelope: code is text",
    "code, integer",
    "envelope.shape",
    where="any",
    change=_put(code="200"),
)
wrapped(
    "envelope: code 0",
    "`200` means accepted",
    "envelope.code",
    "envelope.success",
    where="any",
    change=_put(code=0),
)
wrapped(
    "envelope: code 201",
    "code repeats the status (P1)",
    "envelope.code",
    "envelope.success",
    where="submit",
    change=_put(code=201),
)
wrapped(
    "envelope: message is an object",
    "message, string",
    "envelope.shape",
    where="any",
    change=_put(message={"text": "success"}),
)
wrapped(
    "envelope: message null",
    "message, string",
    "envelope.shape",
    where="status",
    change=_put(message=None),
)
wrapped("envelope: in a list", _P1, "envelope.shape", where="status", change=lambda body: [body])
wrapped(
    "status: no envelope", _P1, "envelope.shape", where="status", change=lambda body: body["data"]
)
wrapped(
    "submit: no envelope", _P1, "envelope.shape", where="submit", change=lambda body: body["data"]
)
wrapped(
    "submit: taskId beside code",
    "data.taskId",
    "submit.response",
    where="submit",
    change=lambda body: {"code": 200, "message": "success", "taskId": body["data"]["taskId"]},
)
wrapped(
    "submit: data is a list",
    "data.taskId",
    "submit.response",
    where="submit",
    change=lambda body: body.update(data=[body["data"]]),
)
wrapped(
    "submit: data is the id",
    "data.taskId",
    "submit.response",
    where="submit",
    change=lambda body: body.update(data=body["data"]["taskId"]),
)


def _submitted(change: Any) -> Any:
    return lambda _self, task: change(task)


for _name, _change in {
    "task_id": lambda task: {"task_id": task.id},
    "id": lambda task: {"id": task.id},
    "no taskId": lambda _task: {},
    "taskId null": lambda _task: {"taskId": None},
    "taskId a number": lambda task: {"taskId": int(task.id, 16) % 10**9},
    "taskId empty": lambda _task: {"taskId": ""},
    "taskId in a list": lambda task: {"taskId": [task.id]},
}.items():
    made(
        f"submit: {_name}", "data.taskId, string", "submit.response", submitted=_submitted(_change)
    )


def _status_of(place: str, status: int, code: int) -> Any:
    def success(self: Conduct, where: str, data: Any) -> Reply:
        if where != place:
            return Conduct.success(self, where, data)
        return Reply(status, {"code": code, "message": "success", "data": data})

    return success


made(
    "submit: 201",
    "`200` means the task was accepted",
    "envelope.success",
    success=_status_of("submit", 201, 201),
)
made(
    "submit: HTTP 202, code 200",
    "code repeats the status (P1)",
    "envelope.code",
    success=_status_of("submit", 202, 200),
)


@breaks("ids: one for all", "Unique task identifier", "task-id.unique")
class OneId(Conduct):
    def new_id(self) -> str:
        return "task_12345678"


@breaks("ids: every second is repeated", "Unique task identifier", "task-id.unique")
class EverySecondId(Conduct):
    def new_id(self) -> str:
        return next(reversed(self.tasks)) if len(self.tasks) % 2 else super().new_id()


@breaks("ids: the same for the same body", "Unique task identifier", "task-id.unique")
class IdsOfBodies(Conduct):
    """It takes a second order for a repetition of the first."""

    def accept(self, body: dict[str, Any]) -> Task:
        same = next((task for task in self.tasks.values() if task.body == body), None)
        return same or super().accept(body)


# --- errors ---------------------------------------------------------------------------------


_ERROR_CHECKS = {
    "code 1001": "envelope.code",
    "data is a text": "envelope.error-data",
    "data is a list": "envelope.error-data",
}


def _error_body(change: Any) -> Any:
    return lambda _self, status, message, _place: change(status, message)


_ERRORS: dict[str, Any] = {
    "no code": lambda _status, message: {"message": message, "data": None},
    "code is text": lambda status, message: {"code": str(status), "message": message, "data": None},
    "code 1001": lambda _status, message: {"code": 1001, "message": message, "data": None},
    "no message": lambda status, message: {"code": status, "error": message, "data": None},
    "message null": lambda status, _message: {"code": status, "message": None, "data": None},
    "data is a text": lambda status, message: {"code": status, "message": message, "data": message},
    "data is a list": lambda status, message: {"code": status, "message": message, "data": []},
    "FastAPI's shape": lambda _status, message: {"detail": message},
    "nested": lambda status, message: {"error": {"code": status, "message": message}},
    "a bare text": lambda _status, message: message,
}
for _name, _error in _ERRORS.items():
    made(
        f"errors: {_name}",
        _P1 + ", errors included",
        _ERROR_CHECKS.get(_name, "envelope.shape"),
        error_body=_error_body(_error),
    )


@breaks("errors: HTML", _P1 + ", errors included", "envelope.shape")
class HtmlErrors(Conduct):
    def error(self, status: int, message: str, place: str) -> Reply:
        del place
        page = f"<html><body><h1>{status}</h1><p>{message}</p></body></html>"
        return Reply(status, raw=page.encode(), media_type="text/html")


@breaks("errors: nothing", _P1 + ", errors included", "envelope.shape")
class EmptyErrors(Conduct):
    def error(self, status: int, message: str, place: str) -> Reply:
        del message, place
        return Reply(status, raw=b"")


@breaks(
    "errors: 404 is plain text", _P1 + ", errors included", "envelope.shape", "status.unknown-task"
)
class Plain404(Conduct):
    def error(self, status: int, message: str, place: str) -> Reply:
        if status == 404:
            return Reply(404, raw=b"Not Found", media_type="text/plain")
        return super().error(status, message, place)
