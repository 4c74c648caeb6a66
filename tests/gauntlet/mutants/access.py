"""Mutants of refusals, keys, unknown tasks, defaults and modes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gauntlet.conduct import FAILING_IMAGE, MODEL, STATUS, SUBMIT, Conduct, Task
from gauntlet.mutant import breaks, made
from gauntlet.rules import PAGE, UNSAID, Broken
from gauntlet.wire import Reply, Request


@breaks("rejection: 500", "`400` Invalid request body", "errors.validation-status")
class Rejected500(Conduct):
    def rejection(self, broken: Broken) -> Reply:
        return self.error(500, broken.message, "rules")


@breaks(
    "rejection: HTTP 200, code 400",
    "`code` repeats the HTTP status (P1)",
    "envelope.code",
    "errors.validation-status",
)
class RejectedHttp200(Conduct):
    def rejection(self, broken: Broken) -> Reply:
        return replace(super().rejection(broken), status=200)


@breaks("rejection: HTTP 400, code 200", "`200` means the task was accepted", "envelope.code")
class RejectedCode200(Conduct):
    def rejection(self, broken: Broken) -> Reply:
        return Reply(400, {"code": 200, "message": broken.message, "data": None})


@breaks("rejection: with a taskId", "A task ID when the task is accepted", "submit.refused-id")
class RejectedWithTask(Conduct):
    def rejection(self, broken: Broken) -> Reply:
        data = {"taskId": self.new_id()}
        return Reply(400, {"code": 400, "message": broken.message, "data": data})


@breaks(
    "rejection: every message at once",
    "Each condition returns its message",
    "submit.several-rules",
)
class AllMessages(Conduct):
    def decided(self, body: dict[str, Any]) -> Reply:
        broken = [rule.message for rule in self.rules if rule.when(body)]
        if len(broken) > 1:
            return self.error(400, " ".join(broken), "rules")
        return super().decided(body)


def _no_json(status: int) -> Any:
    def error(self: Conduct, found: int, message: str, place: str) -> Reply:
        return Conduct.error(self, status if place == "json" else found, message, place)

    return error


for _status in (401, 500, 502):
    made(
        f"no JSON: {_status}",
        "`400` Invalid request body",
        "errors.invalid-body",
        error=_no_json(_status),
    )


@breaks("no JSON: accepted", "`400` Invalid request body", "errors.invalid-body")
class AnyBytes(Conduct):
    def parsed(self, content: bytes) -> Any:
        try:
            return super().parsed(content)
        except ValueError:
            return {"input": {"image_urls": [FAILING_IMAGE]}}


# --- keys ---------------------------------------------------------------------------------


@breaks("auth: no key needed", "All requests require your APIXO API key", "auth.missing")
class NoKey(Conduct):
    def authorised(self, request: Request) -> bool:
        return "authorization" not in request.headers or super().authorised(request)


@breaks("auth: any key", "`401` Missing or invalid API key", "auth.invalid")
class AnyKey(Conduct):
    def authorised(self, request: Request) -> bool:
        return request.headers.get("authorization", "").startswith("Bearer ")


@breaks("auth: status is open", "All requests require your APIXO API key", "auth.missing")
class OpenStatus(Conduct):
    def authorised(self, request: Request) -> bool:
        return request.path.startswith(STATUS) or super().authorised(request)


@breaks("auth: submit is open", "All requests require your APIXO API key", "auth.missing")
class OpenSubmit(Conduct):
    def authorised(self, request: Request) -> bool:
        return request.path.startswith(SUBMIT) or super().authorised(request)


@breaks("auth: balance is open", "All requests require your APIXO API key", "auth.missing")
class OpenBalance(Conduct):
    def authorised(self, request: Request) -> bool:
        return request.path.endswith("/current-balance") or super().authorised(request)


def _auth_error(status: int, body: Any = None) -> Any:
    def error(self: Conduct, found: int, message: str, place: str) -> Reply:
        if place != "auth":
            return Conduct.error(self, found, message, place)
        given_body = {"code": status, "message": message, "data": None} if body is None else body
        return Reply(status, given_body)

    return error


for _status in (400, 403, 404, 500):
    made(
        f"auth: {_status} without a key",
        "`401` Missing or invalid API key",
        "auth.missing",
        "auth.invalid",
        error=_auth_error(_status),
    )
made(
    "auth: HTTP 200, code 401",
    "`code` repeats the HTTP status (P1)",
    "auth.missing",
    "envelope.code",
    error=_auth_error(200, {"code": 401, "message": "unauthorized", "data": None}),
)
made(
    "auth: a bare 401",
    "Every answer is one envelope (P1)",
    "envelope.shape",
    error=_auth_error(401, {"detail": "Not authenticated"}),
)

# --- tasks and models that do not exist -----------------------------------------------------


def _unknown(status: int, code: int | None = None, data: Any = None) -> Any:
    def error(self: Conduct, found: int, message: str, place: str) -> Reply:
        if place != "task":
            return Conduct.error(self, found, message, place)
        body = {"code": status if code is None else code, "message": message, "data": data}
        return Reply(status, body)

    return error


for _name, _members in {
    "200, data null": _unknown(200),
    "200, pending": _unknown(
        200, data={"taskId": "x", "state": "pending", "createTime": 1767965610929}
    ),
    "HTTP 200, code 404": _unknown(200, 404),
    "HTTP 404, code 200": _unknown(404, 200),
    "400": _unknown(400),
    "500": _unknown(500),
}.items():
    made(
        f"unknown task: {_name}",
        "`404` Task not found",
        *(("envelope.code",) if "code" in _name else ()),
        "status.unknown-task",
        error=_members,
    )


@breaks("model: any name shows a task", "Verify the `taskId` and model ID", "status.unknown-model")
class AnyModelShown(Conduct):
    def status(self, request: Request, model: str) -> Reply:
        del model
        return super().status(request, MODEL)


# --- defaults seen on the result ------------------------------------------------------------


@breaks("default: png", "output_format, default jpg", "submit.default.output_format")
class DefaultPng(Conduct):
    def default_format(self) -> str:
        return "png"


@breaks("alias: jpeg becomes png", "`jpeg` is an input alias for `jpg`", "submit.jpeg-alias")
class JpegIsPng(Conduct):
    def format_of(self, wanted: str) -> str:
        return "png" if wanted == "jpeg" else super().format_of(wanted)


@breaks("formats: always jpg", "Output image format", "result.format")
class AlwaysJpg(Conduct):
    def format_of(self, wanted: str) -> str:
        del wanted
        return "jpg"


@breaks("formats: webp is png", "Output image format", "result.format")
class WebpIsPng(Conduct):
    def format_of(self, wanted: str) -> str:
        found = super().format_of(wanted)
        return "png" if found == "webp" else found


@breaks(
    "callback: refused",
    "Use `async` for polling, or `callback`",
    "submit.accepts",
    "callback.delivered",
)
class NoCallbackMode(Conduct):
    rules = (
        *PAGE,
        *UNSAID,
        Broken("callback", "async only", lambda body: body.get("request_type") == "callback"),
    )


@breaks("async: refused", "Use `async` for polling with `statusTask`", "submit.accepts")
class NoAsyncMode(Conduct):
    rules = (
        *PAGE,
        *UNSAID,
        Broken("async", "callback only", lambda body: body.get("request_type") == "async"),
    )


@breaks("jobs: done in one go", "Returns a task ID", "submit.response")
class AnswersAtOnce(Conduct):
    """The picture comes with the submit; there is no task id."""

    def submitted(self, task: Task) -> dict[str, Any]:
        return {"resultUrls": self.result_urls(task)}
