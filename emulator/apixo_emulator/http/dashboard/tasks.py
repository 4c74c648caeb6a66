"""The list of tasks, a task's page with its pictures and its plan as a bar, and its buttons."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from starlette.responses import Response

from apixo_emulator.domain.pictures import sniff
from apixo_emulator.domain.tasks import TaskState
from apixo_emulator.http.dashboard.rendering import SANDBOX, Done, Page, PageContext
from apixo_emulator.journal.export import curl
from apixo_emulator.journal.secrets import masked_for_account
from apixo_emulator.pictures.formats import UnreadablePicture
from apixo_emulator.pictures.render import thumbnail
from apixo_emulator.service.control import NotFoundError
from apixo_schemas import contract

_WHOLE = 100.0
# Of a bar without an end: where `processing` begins.
_OPEN_PENDING = 12.0

TaskDocument = Mapping[str, Any]


class Bar(NamedTuple):
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


class Moment(NamedTuple):
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


def list_tasks(context: PageContext) -> Page:
    """Show a page of tasks, the newest first."""
    control, asked = context.control, context.query
    state, key, text = asked.get("state") or None, asked.get("key") or None, asked.get("text", "")
    before = context.number("before")
    found = control.tasks(limit=_PAGE + 1, before=before, state=state, account=key, text=text)
    by_state = control.counts().tasks
    rows, labels = found[:_PAGE], labels_of(context)
    return Page(
        "tasks.html",
        {
            "rows": [_row(row, labels, control.now()) for row in rows],
            "older": rows[-1]["number"] if len(found) > _PAGE else None,
            "filter": {"state": state, "key": key, "text": text, "before": before},
            "states": [(name, by_state.get(name, 0)) for name in TaskState],
            "total": sum(by_state.values()),
            "keys": labels,
            "sources": any(row["imageUrl"] for row in rows),
        },
    )


def labels_of(context: PageContext) -> dict[str, str]:
    """Return the accounts' keys, masked, by account id."""
    return {entry["account"]: entry["key"] for entry in context.control.accounts()}


def _row(task: Mapping[str, Any], labels: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    label = labels.get(task["account"], "…")
    return {**task, "bar": bar(task, now_ms), "key": label}


def show_task(context: PageContext) -> Page:
    """Show one task."""
    control = context.control
    task_id = context.path["task_id"]
    task = control.task(task_id)
    calls = control.calls_of(task_id)
    submit = next((call for call in calls if call.endpoint == "submit"), None)
    return Page(
        "task.html",
        {
            "task": _row(task, labels_of(context), control.now()),
            "moments": moments(task),
            "answers": control.answers(task_id, context.origin),
            "calls": calls,
            "submit": submit,
            "curl": curl(submit) if submit else "",
            "failures": list(contract().failures.values()),
        },
    )


# A preview: sharp on a screen of twice the density.
_WIDTH, _HEIGHT = 960, 720


def show_pictures(context: PageContext) -> Page:
    """Show a task's source and, once there is one, its result. Blocks while they are drawn."""
    task = context.control.task(context.path["task_id"])
    spec = context.control.picture(task["taskId"])
    source = context.pictures.source(spec)
    result = None
    if task["state"] == TaskState.SUCCESS:
        try:
            result = _preview(context.pictures.render(spec).path.read_bytes())
        except OSError as error:
            result = {"reason": f"it cannot be drawn: {error.strerror}"}
    reason = masked_for_account(source.reason, task["account"])
    extension = contract().formats[task["outputFormat"]].extension
    return Page(
        "pictures.html",
        {
            "task": task,
            "source": _preview(source.body) if source.body else {"reason": reason},
            "result": result,
            "result_name": f"{task['taskId']}.{extension}",
        },
    )


def _preview(body: bytes) -> dict[str, object]:
    """Return a small picture and what the large one is; without a small one, the reason."""
    try:
        width, height, small = thumbnail(body, _WIDTH, _HEIGHT)
    except UnreadablePicture as error:
        return {"reason": f"it cannot be shown: {error}"}
    return {
        "width": width,
        "height": height,
        "size": len(body),
        "media_type": sniff(body) or "",
        "thumbnail": b64encode(small).decode(),
    }


def send_source(context: PageContext) -> Response:
    """Send the source itself."""
    found = context.pictures.source(context.control.picture(context.path["task_id"]))
    if not found.body:
        raise NotFoundError(f"the source is not shown: {found.reason}")
    return Response(found.body, 200, SANDBOX, sniff(found.body))


def finish_task(context: PageContext) -> Done:
    """End a task now, with success or with the code that was chosen."""
    code = context.form.get("code") or None
    context.control.finish(context.path["task_id"], fail_code=code)
    return Done(f"The task has failed with {code}." if code else "The task has succeeded.")


def redeliver(context: PageContext) -> Done:
    """Send a task's callback again, now."""
    context.control.redeliver(context.path["task_id"])
    return Done("The callback is sent again.")
