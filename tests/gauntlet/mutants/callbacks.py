"""Mutants of callbacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from gauntlet.conduct import Conduct, Task, milliseconds
from gauntlet.mutant import FINAL, breaks, counted, made
from gauntlet.wire import Reply, Request

# --- when, how and where --------------------------------------------------------------------------

made("callback: never", "callback.delivered", callback_moments=lambda _self, _task: [])
made("callback: PUT", "callback.method", callback_method=lambda _self: "PUT")
made("callback: GET", "callback.method", callback_method=lambda _self: "GET")
made(
    "callback: no second attempt",
    "callback.retry",
    patient=True,
    callback_retry=lambda _self, _status: False,
)
made(
    "callback: 5xx is enough",
    "callback.retry",
    patient=True,
    callback_retry=lambda _self, status: status is None,
)
made(
    "callback: failures are not told",
    "callback.failed",
    callback_moments=lambda _self, task: [] if task.fail_code else [task.completed_s],
)
made(
    "callback: at once",
    "callback.final",
    callback_moments=lambda _self, task: [task.created_s],
)
made(
    "callback: while processing too",
    "callback.final",
    callback_moments=lambda _self, t: [t.created_s + t.duration_s / 2, t.completed_s],
)


def _calling(change: Callable[[str], str]) -> Any:
    """Return the method that accepts a task and calls another address."""

    def accept(self: Conduct, body: dict[str, Any]) -> Task:
        task = Conduct.accept(self, body)
        if task.callback_url:
            task.body = {**body, "callback_url": change(task.callback_url)}
        return task

    return accept


made(
    "callback: another path",
    "callback.delivered",
    accept=_calling(lambda url: "/".join([*url.split("/")[:3], "webhooks/apixo"])),
)
made(
    "callback: no query",
    "callback.delivered",
    accept=_calling(lambda url: url.partition("?")[0]),
)

# --- what they say --------------------------------------------------------------------------------


def _payload(change: Callable[[dict[str, Any]], Any]) -> Any:
    """Return the method that sends the envelope otherwise."""

    def bent(self: Conduct, task: Task) -> Reply:
        reply = Conduct.callback_payload(self, task)
        return replace(reply, body=change(reply.body))

    return bent


_ENVELOPES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "data only": lambda body: body["data"],
    "no code": lambda body: {"message": "success", "data": body["data"]},
    "in a list": lambda body: [body],
    "data as text": lambda body: {**body, "data": json.dumps(body["data"])},
    "code 0": lambda body: {**body, "code": 0},
    "another task": lambda body: {**body, "data": {**body["data"], "taskId": "task_12345678"}},
}
_ELSEWHERE = json.dumps({"resultUrls": ["https://example.com/other.jpg"]})
# What replaces members of `data`; None takes one away.
_DATA: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "only the id": lambda data: dict.fromkeys(set(data) - {"taskId", "state"}),
    "no result": lambda _data: {"resultJson": None},
    "no failMsg": lambda _data: {"failMsg": None},
    "another completeTime": lambda data: {"completeTime": data.get("completeTime", 0) + 7},
    "another createTime": lambda data: {"createTime": data["createTime"] - 1},
    "resultJson an object": lambda data: (
        {"resultJson": json.loads(data["resultJson"])} if "resultJson" in data else {}
    ),
    "another URL": lambda data: {"resultJson": _ELSEWHERE} if "resultJson" in data else {},
    "every end is a success": lambda _data: {"state": "success"},
}


def _with_data(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    def bent(body: dict[str, Any]) -> dict[str, Any]:
        data = {**body["data"], **change(body["data"])}
        return {**body, "data": {name: part for name, part in data.items() if part is not None}}

    return _payload(bent)


for _name, _change in _ENVELOPES.items():
    made(f"callback: {_name}", "callback.envelope", callback_payload=_payload(_change))
for _name, _change in _DATA.items():
    made(f"callback: {_name}", "callback.payload", callback_payload=_with_data(_change))
made(
    "callback: another state's name",
    "callback.payload callback.final",
    callback_payload=_with_data(lambda _data: {"state": "completed"}),
)


def _raw(content: Callable[[dict[str, Any]], str], media_type: str = "application/json") -> Any:
    """Return the method that sends something else than the envelope as JSON."""

    def bent(self: Conduct, task: Task) -> Reply:
        body = Conduct.callback_payload(self, task).body
        return Reply(200, raw=content(body).encode(), media_type=media_type)

    return bent


made(
    "callback: a form",
    "callback.json",
    callback_payload=_raw(
        lambda body: urlencode(body["data"]), "application/x-www-form-urlencoded"
    ),
)
made(
    "callback: cut off",
    "callback.json",
    callback_payload=_raw(lambda body: json.dumps(body)[: len(json.dumps(body)) // 2]),
)
made("callback: an empty body", "callback.json", callback_payload=_raw(lambda _body: ""))


@breaks("callback: a retry says otherwise", "callback.payload")
class RetryDiffers(Conduct):
    patient = True

    def callback_payload(self, task: Task) -> Reply:
        reply = super().callback_payload(task)
        if counted(task) == 1:
            return reply
        data = {**reply.body["data"], "completeTime": milliseconds(self.now())}
        return replace(reply, body={**reply.body, "data": data})


@breaks("callback: polls stay behind", "callback.payload")
class PollsStayBehind(Conduct):
    """The callback says success, polls say processing for ever."""

    def status(self, request: Request, model: str) -> Reply:
        reply = super().status(request, model)
        task = self.tasks.get(request.query.get("taskId", ""))
        if task is None or task.callback_url is None or reply.status != 200:
            return reply
        if reply.body["data"].get("state") not in FINAL:
            return reply
        return self.success("status", self.shown(task, "processing"))
