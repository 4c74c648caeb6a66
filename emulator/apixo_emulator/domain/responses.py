"""The responses of the API: envelope, errors, faults, and the state of a task."""

from __future__ import annotations

import orjson

from apixo_emulator.domain.clock import http_date
from apixo_emulator.domain.effects import ORDINARY, Effects, Fault, Quirk, ResultEffects
from apixo_emulator.domain.pictures import PictureSpec
from apixo_emulator.domain.tasks import FINAL, Task, TaskState, seen_at
from apixo_emulator.domain.wire import JSON_HEADERS, HttpResponse, WireFault
from apixo_schemas import contract, error_body


def success(data: bytes) -> HttpResponse:
    """Return a response 200 with ``data``, which is JSON already, in the envelope."""
    message = orjson.dumps(contract().success_message)
    return HttpResponse(200, b'{"code":200,"message":%b,"data":%b}' % (message, data))


def failure(status: int, message: str, *headers: tuple[bytes, bytes]) -> HttpResponse:
    """Return an error; ``code`` repeats the status, ``data`` is as the assumption ``error.data``."""
    body = orjson.dumps(error_body(status, message, contract().assumed("error.data")))
    return HttpResponse(status, body, JSON_HEADERS + headers)


def rejection(message: str) -> HttpResponse:
    """Return the response to a body that breaks a rule."""
    return failure(contract().refused_status, message)


def refusal(error_id: str, *headers: tuple[bytes, bytes]) -> HttpResponse:
    """Return the response of an error of the catalogue, e.g. ``task_not_found``."""
    entry = contract().errors[error_id]
    return failure(entry.status, entry.message, *headers)


def as_json(value: object) -> HttpResponse:
    """Return a response 200 with a plain JSON document, outside the envelope."""
    return HttpResponse(200, orjson.dumps(value))


# The page of a gateway that cannot reach the API: no JSON, no envelope.
_GATEWAY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>gateway</center>\r\n"
    b"</body>\r\n</html>\r\n"
)
_RESULT_PAGE = b"<!doctype html><title>Sign in</title><h1>Sign in to see this file</h1>"
_MISSING_BYTES = 64
_GATEWAY = HttpResponse(502, _GATEWAY_PAGE, ((b"content-type", b"text/html"),))


def answered_instead(fault: Fault, now_ms: int) -> HttpResponse | None:
    """Return the response of a call that has no effect because of a fault.

    None if the call takes effect and only its response is damaged.
    """
    if fault.error is None:
        return _GATEWAY if fault.wire is WireFault.HTML else None
    form = fault.retry_after_form
    wait = () if fault.retry_after_s is None else retry_after(fault.retry_after_s, now_ms, form)
    error = refusal(fault.error, *wait)
    if fault.error_data is not None:
        entry = contract().errors[fault.error]
        data = {"error": "$message"} if fault.error_data == "object" else fault.error_data
        body = error_body(entry.status, entry.message, data)
        error = error._replace(body=orjson.dumps(body))
    return error if fault.wire is None else damaged(error, fault.wire)


def damaged(response: HttpResponse, wire: WireFault) -> HttpResponse:
    """Return a response with damaged bytes, or with a fault that the adapter has to perform."""
    if wire is WireFault.INVALID_JSON:
        return response._replace(body=response.body[: len(response.body) // 2])
    if wire is WireFault.HTML:
        return _GATEWAY
    return response._replace(fault=wire)


def result_answer(picture: PictureSpec, result: ResultEffects) -> HttpResponse:
    """Return the response of a result's address, with the effects of a scenario."""
    if result.missing:
        return refusal("result_not_found")
    if result.html:
        return HttpResponse(200, _RESULT_PAGE, ((b"content-type", b"text/html"),))
    return HttpResponse(200, b"", (), picture=picture, delay_ms=result.delay_ms)


def announced_bytes(response: HttpResponse) -> int:
    """Return the ``Content-Length`` of a response; of a truncated one it is too large."""
    missing = _MISSING_BYTES if response.fault is WireFault.TRUNCATED else 0
    return len(response.body) + missing


def retry_after(
    seconds: int, now_ms: int, form: str | None = None
) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header of a 429, if any; its form is assumption ``retry_after`` unless given."""
    match form or contract().assumed("retry_after"):
        case "seconds":
            return ((b"retry-after", b"%d" % seconds),)
        case "date":
            return ((b"retry-after", http_date(now_ms + seconds * 1000).encode()),)
    return ()


# Seen on the live API by a public client (platform fact P15): to be read as "still running".
UNDOCUMENTED_STATE = "processing_r2"
_EXTRA_FIELDS = {"progress": 100, "provider": "auto", "extra": {"nested": [None, True]}}


def result_name(task: Task) -> str:
    """Return the file name of a task's result, e.g. ``0123….webp``."""
    return f"{task.id}.{contract().formats[task.output_format].extension}"


def submitted_data(task: Task) -> bytes:
    """Render the ``data`` of an accepted submit (page, Submit task response)."""
    data: dict[str, object] = {"taskId": task.id}
    if Quirk.EXTRA_FIELDS in (task.effects or ORDINARY).quirks:
        data.update(_EXTRA_FIELDS)
    return orjson.dumps(data)


def status_data(task: Task, now_ms: int, base_url: str) -> bytes:
    """Render the ``data`` of a status answer at an instant (page, Status response fields)."""
    state = task.state_at(now_ms)
    data: dict[str, object] = {"taskId": task.id, "state": state}
    if state is TaskState.SUCCESS:
        result = orjson.dumps({"resultUrls": [f"{base_url}/files/{result_name(task)}"]})
        data["resultJson"] = result.decode()
    elif state is TaskState.FAILED:
        data["failCode"] = task.fail_code
        data["failMsg"] = task.fail_msg
    data["createTime"] = task.created_ms
    if task.ends_ms is not None and state in FINAL:
        data["completeTime"] = task.ends_ms
        form = contract().assumed("cost_time")
        if state is TaskState.SUCCESS and form != "absent":
            # In the page's example completeTime - createTime; a profile may set a share of it.
            share = form["share"] if isinstance(form, dict) else 1
            data["costTime"] = round((task.ends_ms - task.created_ms) * share)
    if task.effects is not None and task.effects.quirks:
        _apply_quirks(data, task.effects.quirks, state)
    return orjson.dumps(data)


def _apply_quirks(data: dict[str, object], quirks: frozenset[Quirk], state: TaskState) -> None:
    """Change a response into a rare but allowed one."""
    if Quirk.STATE_UNKNOWN in quirks and state is TaskState.PROCESSING:
        data["state"] = UNDOCUMENTED_STATE
    if Quirk.NO_COST_TIME in quirks:
        data.pop("costTime", None)
    if Quirk.EXTRA_FIELDS in quirks:
        data.update(_EXTRA_FIELDS)
    if Quirk.RESULT_JSON_SPACED in quirks and "resultJson" in data:
        result = {**orjson.loads(str(data["resultJson"])), "seed": 7}
        text = orjson.dumps(result, option=orjson.OPT_INDENT_2).decode()
        data["resultJson"] = text.replace("/", "\\/")


def status_answer(task: Task, now_ms: int, base_url: str, polls: int) -> HttpResponse:
    """Answer the ``polls``-th status call of a task, counted from 1, at an instant."""
    effects = task.effects or ORDINARY
    fault = poll_fault(effects, polls)
    instead = answered_instead(fault, now_ms) if fault else None
    if instead is not None:
        return instead
    at_ms = seen_at(task, now_ms)
    if Quirk.DATA_MISSING in effects.quirks and task.state_at(at_ms) not in FINAL:
        return as_json({"code": 200, "message": contract().success_message})
    response = success(status_data(task, at_ms, base_url))
    return damaged(response, fault.wire) if fault and fault.wire else response


def poll_fault(effects: Effects, polls: int) -> Fault | None:
    """Return the fault of the ``polls``-th status call of a task, counted from 1."""
    times = effects.status_fault_times
    return effects.status_fault if times is None or polls <= times else None
