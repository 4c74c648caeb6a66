"""The list of tasks, a task's page with its pictures and its plan as a bar, and its buttons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from apixo_emulator.http.dashboard.context import PageContext
from apixo_emulator.http.dashboard.rendering import HEADERS, Done, Page
from apixo_emulator.journal.export import curl
from apixo_schemas import contract

_WHOLE = 100.0
# Of a bar without an end: where `processing` begins.
_OPEN_PENDING = 12.0

TaskDocument = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """How far a task is, in percent of its plan; without an end the bar is ``open``."""

    pending: float
    progress: float
    open: bool


def bar(task: TaskDocument, now_ms: int) -> Bar:
    """Return the bar of a task; the page moves it on by the same rule."""
    created, starts, ends = task["createTime"], task["startTime"], task["endTime"]
    if ends is None:
        return Bar(_OPEN_PENDING, _WHOLE if now_ms >= starts else _OPEN_PENDING, open=True)
    whole = max(1, ends - created)
    return Bar(_share(starts - created, whole), _share(now_ms - created, whole), open=False)


def _share(part: float, whole: float) -> float:
    return round(min(_WHOLE, max(0.0, _WHOLE * part / whole)), 2)


@dataclass(frozen=True, slots=True)
class Moment:
    """What happens at an instant of the emulator's clock; None means that it is not certain when."""

    at_ms: int | None
    kind: str
    what: str
    note: str = ""


def moments(task: TaskDocument) -> list[Moment]:
    """Return what happened and will happen to a task and its callback, in the order of time."""
    found = [*_life(task), *_callback(task)]
    latest = max((moment.at_ms or 0 for moment in found), default=0)
    return sorted(found, key=lambda moment: latest + 1 if moment.at_ms is None else moment.at_ms)


def _life(task: TaskDocument) -> Iterator[Moment]:
    yield Moment(task["createTime"], "pending", "submitted", f"{task['cost']} USD charged")
    yield Moment(task["startTime"], "processing", "processing")
    ends = task["endTime"]
    if ends is None:
        unsure = "it is stuck" if task["scenario"] else "its source picture is being looked at"
        yield Moment(None, "open", "no end planned", unsure)
    elif task["failCode"]:
        yield Moment(ends, "failed", f"failed: {task['failCode']}", task["failMsg"] or "")
    else:
        yield Moment(ends, "success", "success")
        yield Moment(ends + contract().result_ttl_ms, "expired", "result expires")


def _callback(task: TaskDocument) -> Iterator[Moment]:
    delivery = task.get("delivery")
    if delivery is None:
        return
    for attempt in delivery["attempts"]:
        came = attempt["error"] or f"answered {attempt['status']}"
        kind = "failed" if attempt["error"] else "success"
        what = f"callback, attempt {attempt['number']}"
        yield Moment(attempt["time"], kind, what, f"{came}, {attempt['durationMs']} ms")
    if delivery["state"] == "scheduled" and delivery["dueTime"] is not None:
        yield Moment(delivery["dueTime"], "pending", "callback is due")


_PAGE = 50
STATES = ("pending", "processing", "success", "failed")


def list_tasks(context: PageContext) -> Page:
    """Show a page of tasks, the newest first.

    Raises:
        ValueError: The filter asks for what there is not.
    """
    operator, asked = context.operator, context.query
    state, key, text = asked.get("state") or None, asked.get("key") or None, asked.get("text", "")
    before = context.number("before")
    found = operator.tasks(limit=_PAGE + 1, before=before, state=state, account=key, text=text)
    by_state = operator.counts().tasks
    rows, labels = found[:_PAGE], labels_of(context)
    return Page(
        "tasks.html",
        {
            "rows": [_row(row, labels, operator.now()) for row in rows],
            "older": rows[-1]["number"] if len(found) > _PAGE else None,
            "filter": {"state": state, "key": key, "text": text, "before": before},
            "states": [(name, by_state.get(name, 0)) for name in STATES],
            "total": sum(by_state.values()),
            "keys": labels,
            "sources": any(row["imageUrl"] for row in rows),
            "price": context.operator.config()["price"],
        },
    )


def labels_of(context: PageContext) -> dict[str, str]:
    """Return the accounts' keys, masked, by account id."""
    return {entry["account"]: entry["key"] for entry in context.operator.accounts()}


def _row(task: Mapping[str, Any], labels: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    label = labels.get(task["account"], "…")
    return {**task, "bar": bar(task, now_ms), "key": label}


def show_task(context: PageContext) -> Page:
    """Show one task.

    Raises:
        NotFoundError: There is none of this id.
    """
    operator = context.operator
    task_id = context.path["task_id"]
    task = operator.task(task_id)
    calls = operator.calls_of(task_id)
    submit = next((call for call in calls if call.endpoint == "submit"), None)
    return Page(
        "task.html",
        {
            "task": _row(task, labels_of(context), operator.now()),
            "moments": moments(task),
            "answers": operator.answers(task_id, context.origin),
            "calls": calls,
            "submit": submit,
            "curl": curl(submit) if submit else "",
            "failures": list(contract().failures.values()),
        },
    )


def show_line(context: PageContext) -> Page:
    """Show a task in a line."""
    task = context.operator.task(context.path["task_id"])
    return Page("line.html", {"task": {**task, "bar": bar(task, context.operator.now())}})


def show_pictures(context: PageContext) -> Page:
    """Show a task's source and, once there is one, its result. Blocks while they are drawn."""
    task = context.operator.task(context.path["task_id"])
    spec = context.operator.picture(task["taskId"])
    thumbnails = context.shared.thumbnails
    has_result = task["state"] == "success"
    return Page(
        "pictures.html",
        {
            "task": task,
            "source": thumbnails.source(spec),
            "result": thumbnails.result(spec) if has_result else None,
            "result_name": _file_name(task),
        },
    )


def _file_name(task: Mapping[str, Any]) -> str:
    return f"{task['taskId']}.{contract().formats[task['outputFormat']].extension}"


def send_picture(context: PageContext) -> Response:
    """Send a thumbnail or the source itself; ``which`` names it."""
    spec = context.operator.picture(context.path["task_id"])
    thumbnails = context.shared.thumbnails
    match context.path["which"]:
        case "source":
            body, media_type = thumbnails.source_body(spec)
        case "source.webp":
            body, media_type = thumbnails.source(spec).thumbnail, "image/webp"
        case "result.webp":
            body, media_type = thumbnails.result(spec).thumbnail, "image/webp"
        case _:
            body, media_type = b"", ""
    if not body:
        return Response("There is no such picture.\n", 404, media_type="text/plain")
    headers = {**HEADERS, "content-security-policy": "default-src 'none'; sandbox"}
    return Response(body, 200, headers, media_type)


def finish_task(context: PageContext) -> Done:
    """End a task now, with success or with the code that was chosen."""
    code = context.form.get("code") or None
    context.operator.finish(context.path["task_id"], fail_code=code)
    return Done(f"The task has failed with {code}." if code else "The task has succeeded.")


def redeliver(context: PageContext) -> Done:
    """Send a task's callback again, now."""
    context.operator.redeliver(context.path["task_id"])
    return Done("The callback is sent again.")
