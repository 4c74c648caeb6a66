"""The list of tasks, a task's page, and its buttons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from apixo_emulator.http.dashboard.page import HEADERS, Done, Page
from apixo_emulator.http.dashboard.plans import bar, moments
from apixo_emulator.http.dashboard.visit import Visit
from apixo_emulator.journal.export import curl
from apixo_schemas import contract

_PAGE = 50
STATES = ("pending", "processing", "success", "failed")


def list_tasks(visit: Visit) -> Page:
    """Show a page of tasks, the newest first.

    Raises:
        ValueError: The filter asks for what there is not.
    """
    desk, asked = visit.operator, visit.query
    state, key, text = asked.get("state") or None, asked.get("key") or None, asked.get("text", "")
    before = visit.number("before")
    found = desk.tasks(limit=_PAGE + 1, before=before, state=state, account=key, text=text)
    by_state = desk.counts().tasks
    rows, labels = found[:_PAGE], labels_of(visit)
    return Page(
        "tasks.html",
        {
            "rows": [_row(row, labels, desk.now()) for row in rows],
            "older": rows[-1]["number"] if len(found) > _PAGE else None,
            "filter": {"state": state, "key": key, "text": text, "before": before},
            "states": [(name, by_state.get(name, 0)) for name in STATES],
            "total": sum(by_state.values()),
            "keys": labels,
            "sources": any(row["imageUrl"] for row in rows),
            "price": visit.operator.config()["price"],
        },
    )


def labels_of(visit: Visit) -> dict[str, str]:
    """Give the accounts' keys, masked, by account id."""
    return {entry["account"]: entry["key"] for entry in visit.operator.accounts()}


def _row(task: Mapping[str, Any], labels: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    label = labels.get(task["account"], "…")
    return {**task, "bar": bar(task, now_ms), "key": label}


def show_task(visit: Visit) -> Page:
    """Show one task.

    Raises:
        NotFoundError: There is none of this id.
    """
    desk = visit.operator
    task_id = visit.path["task_id"]
    task = desk.task(task_id)
    calls = desk.calls_of(task_id)
    submit = next((call for call in calls if call.endpoint == "submit"), None)
    return Page(
        "task.html",
        {
            "task": _row(task, labels_of(visit), desk.now()),
            "moments": moments(task),
            "answers": desk.answers(task_id, visit.origin),
            "calls": calls,
            "submit": submit,
            "curl": curl(submit) if submit else "",
            "failures": list(contract().failures.values()),
        },
    )


def show_line(visit: Visit) -> Page:
    """Show a task in a line."""
    task = visit.operator.task(visit.path["task_id"])
    return Page("line.html", {"task": {**task, "bar": bar(task, visit.operator.now())}})


def show_pictures(visit: Visit) -> Page:
    """Show a task's source and, once there is one, its result. Blocks while they are drawn."""
    task = visit.operator.task(visit.path["task_id"])
    spec = visit.operator.picture(task["taskId"])
    thumbnails = visit.desk.thumbnails
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


def send_picture(visit: Visit) -> Response:
    """Send a thumbnail or the source itself; ``which`` names it."""
    spec = visit.operator.picture(visit.path["task_id"])
    thumbnails = visit.desk.thumbnails
    match visit.path["which"]:
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


def finish_task(visit: Visit) -> Done:
    """End a task now, with success or with the code that was chosen."""
    code = visit.form.get("code") or None
    visit.operator.finish(visit.path["task_id"], fail_code=code)
    return Done(f"The task has failed with {code}." if code else "The task has succeeded.")


def redeliver(visit: Visit) -> Done:
    """Send a task's callback again, now."""
    visit.operator.redeliver(visit.path["task_id"])
    return Done("The callback is sent again.")
