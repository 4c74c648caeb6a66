"""Mutants of callbacks."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from gauntlet.conduct import Conduct, Task, milliseconds
from gauntlet.mutant import FINAL, breaks, made
from gauntlet.wire import Reply, Request

# --- callbacks ------------------------------------------------------------------------------

_CALL = "A public HTTPS URL that can receive the final task payload"
_SAME = "POST, JSON, the same envelope as the status answer (P4)"

made("callback: never", _CALL, "callback.delivered", callback_moments=lambda _self, _task: [])
made("callback: PUT", "Webhook: POST (P4)", "callback.method", callback_method=lambda _self: "PUT")
made("callback: GET", "Webhook: POST (P4)", "callback.method", callback_method=lambda _self: "GET")
made(
    "callback: no second attempt",
    "Up to 3 retries when the answer is not 200 (P5)",
    "callback.retry",
    patient=True,
    callback_retry=lambda _self, _status: False,
)
made(
    "callback: 5xx is enough",
    "Retries when the answer is not 200 (P5)",
    "callback.retry",
    patient=True,
    callback_retry=lambda _self, status: status is None,
)


@breaks("callback: failures are not told", "For success and for failure (P4)", "callback.failed")
class OnlySuccesses(Conduct):
    def callback_moments(self, task: Task) -> list[float]:
        return [] if task.fail_code else super().callback_moments(task)


@breaks("callback: at once", "Receive the final task payload", "callback.final")
class CalledAtOnce(Conduct):
    def callback_moments(self, task: Task) -> list[float]:
        return [task.created_s]


@breaks("callback: while processing too", "Receive the final task payload", "callback.final")
class CalledOnTheWay(Conduct):
    def callback_moments(self, task: Task) -> list[float]:
        return [task.created_s + task.duration_s / 2, task.completed_s]


def _payload(change: Any) -> Any:
    """Change the envelope that is sent."""

    def bent(self: Conduct, task: Task) -> Reply:
        reply = Conduct.callback_payload(self, task)
        return replace(reply, body=change(reply.body))

    return bent


def _data(change: Any) -> Any:
    def bent(body: dict[str, Any]) -> dict[str, Any]:
        data = dict(body["data"])
        change(data)
        return {**body, "data": data}

    return _payload(bent)


made(
    "callback: data only",
    _SAME,
    "callback.envelope",
    callback_payload=_payload(lambda body: body["data"]),
)
made(
    "callback: no code",
    _SAME,
    "callback.envelope",
    callback_payload=_payload(lambda body: {"message": "success", "data": body["data"]}),
)
made(
    "callback: in a list",
    _SAME,
    "callback.envelope",
    callback_payload=_payload(lambda body: [body]),
)
made(
    "callback: data as text",
    _SAME,
    "callback.envelope",
    callback_payload=_payload(lambda body: {**body, "data": json.dumps(body["data"])}),
)
made(
    "callback: code 0",
    _SAME,
    "callback.envelope",
    callback_payload=_payload(lambda body: {**body, "code": 0}),
)
made(
    "callback: only the id",
    _SAME,
    "callback.payload",
    callback_payload=_data(
        lambda data: [data.pop(name) for name in list(data) if name not in {"taskId", "state"}]
    ),
)
made(
    "callback: no result",
    _SAME,
    "callback.payload",
    callback_payload=_data(lambda data: data.pop("resultJson", None)),
)
made(
    "callback: no failMsg",
    _SAME,
    "callback.payload",
    callback_payload=_data(lambda data: data.pop("failMsg", None)),
)
made(
    "callback: another completeTime",
    _SAME,
    "callback.payload",
    callback_payload=_data(lambda data: data.update(completeTime=data.get("completeTime", 0) + 7)),
)
made(
    "callback: another createTime",
    _SAME,
    "callback.payload",
    callback_payload=_data(lambda data: data.update(createTime=data["createTime"] - 1)),
)
made(
    "callback: another task",
    _SAME,
    "callback.envelope",
    callback_payload=_data(lambda data: data.update(taskId="task_12345678")),
)
made(
    "callback: resultJson an object",
    _SAME,
    "callback.payload",
    callback_payload=_data(
        lambda data: (
            data.update(resultJson=json.loads(data["resultJson"])) if "resultJson" in data else None
        )
    ),
)
made(
    "callback: another URL",
    _SAME,
    "callback.payload",
    callback_payload=_data(
        lambda data: (
            data.update(resultJson=json.dumps({"resultUrls": ["https://example.com/other.jpg"]}))
            if "resultJson" in data
            else None
        )
    ),
)
made(
    "callback: every end is a success",
    _SAME,
    "callback.payload",
    callback_payload=_data(lambda data: data.update(state="success")),
)
made(
    "callback: another state's name",
    _SAME,
    "callback.payload",
    "callback.final",
    callback_payload=_data(lambda data: data.update(state="completed")),
)


@breaks("callback: a form", "Webhook: POST, JSON (P4)", "callback.json")
class FormEncoded(Conduct):
    def callback_payload(self, task: Task) -> Reply:
        data = self.data(task, "callback")
        return Reply(
            200, raw=urlencode(data).encode(), media_type="application/x-www-form-urlencoded"
        )


@breaks("callback: cut off", "Webhook: POST, JSON (P4)", "callback.json")
class CutOff(Conduct):
    def callback_payload(self, task: Task) -> Reply:
        whole = json.dumps(super().callback_payload(task).body)
        return Reply(200, raw=whole[: len(whole) // 2].encode())


@breaks("callback: an empty body", "Webhook: POST, JSON (P4)", "callback.json")
class EmptyCallback(Conduct):
    def callback_payload(self, task: Task) -> Reply:
        del task
        return Reply(200, raw=b"")


@breaks("callback: a retry says otherwise", _SAME, "callback.payload")
class RetryDiffers(Conduct):
    patient = True

    def callback_payload(self, task: Task) -> Reply:
        reply = super().callback_payload(task)
        task.notes["calls"] = task.notes.get("calls", 0) + 1
        if task.notes["calls"] == 1:
            return reply
        data = {**reply.body["data"], "completeTime": milliseconds(self.now())}
        return replace(reply, body={**reply.body, "data": data})


@breaks("callback: polls stay behind", "The final task payload", "callback.payload")
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
