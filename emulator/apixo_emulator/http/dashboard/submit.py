"""A form that submits a task: any parameters, right or wrong, and the exact request and answer."""

from __future__ import annotations

import json

from apixo_emulator.domain.accounts import mask
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.http.dashboard.rendering import Page, PageContext
from apixo_emulator.http.dashboard.tasks import bar
from apixo_schemas import contract

# Stands in the body for the file that was chosen, whose data: URL may have megabytes.
FILE_MARK = "@file"
_DEFAULT_KEY = "sk-tried-on-the-dashboard"
_SHOWN_OF_FILE = 60


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
            "file_mark": FILE_MARK,
            "path": _path(),
        },
    )


def _path() -> str:
    return f"{contract().prefix}/generateTask/{contract().model}"


def _mask(key: str) -> str:
    return key if key == _DEFAULT_KEY else mask(key)


def _key(context: PageContext) -> str:
    """Return the key that was typed, else one that is accepted."""
    options = context.emulator.options
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
    response = context.emulator.handle(request)
    shown = text
    if file:
        cut = f"{file[:_SHOWN_OF_FILE]}… ({len(file)} characters)"
        shown = text.replace(json.dumps(FILE_MARK), json.dumps(cut, ensure_ascii=False))
    tried = {
        "path": request.path,
        "headers": (
            ("Authorization", f"Bearer {_mask(key)}"),
            ("Content-Type", "application/json"),
        ),
        "body": shown,
        "response": response,
    }
    return Page("tried.html", {"tried": tried, "task": _task(context, response)})


def _task(context: PageContext, response: HttpResponse) -> dict[str, object] | None:
    """Return the task that was accepted, None where none was or it is in another world."""
    try:
        task = context.control.task(json.loads(response.body)["data"]["taskId"])
    except (ValueError, LookupError, TypeError):
        return None
    return {**task, "bar": bar(task, context.control.now())}
