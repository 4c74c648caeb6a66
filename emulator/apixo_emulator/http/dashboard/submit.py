"""A form that submits a task: any parameters, right or wrong, and the exact request and answer."""

from __future__ import annotations

import json
from dataclasses import dataclass

from apixo_emulator.domain.accounts import mask
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.http.dashboard.context import API_PATH, PageContext
from apixo_emulator.http.dashboard.controls import inbox_url
from apixo_emulator.http.dashboard.rendering import Page
from apixo_emulator.http.dashboard.tasks import bar
from apixo_emulator.service.control import NotFoundError
from apixo_schemas import contract

# Stands in the body for the file that was chosen, whose data: URL may have megabytes.
FILE_MARK = "@file"
_DEFAULT_KEY = "sk-tried-on-the-dashboard"
_SHOWN_OF_FILE = 60


@dataclass(frozen=True, slots=True)
class Tried:
    """A call that was made from the form, with what came of it."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: str
    response: HttpResponse
    task_id: str | None


def show_form(context: PageContext) -> Page:
    """Show the form."""
    terms = contract()
    example = {
        "request_type": "async",
        "input": {
            "mode": "image-to-image",
            "image_urls": ["https://example.com/input.jpg"],
            "resolution": "4k",
            "output_format": "jpg",
        },
    }
    return Page(
        "try.html",
        {
            "example": json.dumps(example, indent=2),
            "resolutions": list(terms.long_edge_px),
            "formats": [*terms.formats, "jpeg"],
            "default_key": _mask(_key(context)),
            "inbox_url": inbox_url(context),
            "file_mark": FILE_MARK,
            "path": _path(),
        },
    )


def _path() -> str:
    return f"{API_PATH}/generateTask/{contract().model}"


def _mask(key: str) -> str:
    return key if key == _DEFAULT_KEY else mask(key)


def _key(context: PageContext) -> str:
    """Return the key that was typed, else one that is accepted."""
    options = context.shared.emulator.options
    typed = context.form.get("key", "").strip()
    if typed or options.api_keys is None:
        return typed or _DEFAULT_KEY
    return min(options.api_keys)


def try_it(context: PageContext) -> Page:
    """Submit what the form holds, through the same gate as every call."""
    key = _key(context)
    text, file = context.form.get("body", ""), context.form.get("file", "")
    sent = text.replace(json.dumps(FILE_MARK), json.dumps(file)) if file else text
    request = HttpRequest(
        method="POST",
        path=_path(),
        query=b"",
        headers=[
            (b"host", context.origin.partition("://")[2].encode()),
            (b"authorization", b"Bearer " + key.encode()),
            (b"content-type", b"application/json"),
        ],
        body=sent.encode(),
        base_url=context.origin,
    )
    response = context.shared.emulator.handle(request)
    shown = (
        text.replace(json.dumps(FILE_MARK), json.dumps(_cut(file), ensure_ascii=False))
        if file
        else text
    )
    headers = (("Authorization", f"Bearer {_mask(key)}"), ("Content-Type", "application/json"))
    tried = Tried(request.path, headers, shown, response, _task_id(response))
    return Page("tried.html", {"tried": tried, "task": _task(context, tried.task_id)})


def _cut(file: str) -> str:
    return f"{file[:_SHOWN_OF_FILE]}… ({len(file)} characters)"


def _task_id(response: HttpResponse) -> str | None:
    try:
        found = json.loads(response.body)["data"]["taskId"]
    except (ValueError, LookupError, TypeError):
        return None
    return str(found)


def _task(context: PageContext, task_id: str | None) -> dict[str, object] | None:
    """Return the task that was accepted, None where none was or it is in another world."""
    if task_id is None:
        return None
    try:
        task = context.operator.task(task_id)
    except NotFoundError:
        return None
    return {**task, "bar": bar(task, context.operator.now())}
