"""Mutants of what a poll shows: states, ids, times, results, failures, and final answers that change."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gauntlet.conduct import Conduct, Task, milliseconds
from gauntlet.mutant import (
    ALWAYS,
    FAILED,
    FINAL,
    RUNNING,
    SUCCESS,
    Change,
    breaks,
    counted,
    drop,
    made,
    put,
    shown,
)
from gauntlet.pictures import picture
from gauntlet.wire import Reply, Request

# --- states ---------------------------------------------------------------------------------------


@breaks("state: back to pending", "status.forward")
class BackToPending(Conduct):
    seconds = 1.2

    def state(self, task: Task) -> str:
        share = (self.now() - task.created_s) / task.duration_s
        if share >= 1:
            return super().state(task)
        return "processing" if share < 0.5 else "pending"


@breaks("state: an end that is none", "status.final-stable status.forward")
class NotTheEnd(Conduct):
    """Success, then processing again for one poll."""

    def state(self, task: Task) -> str:
        state = super().state(task)
        return "processing" if state in FINAL and counted(task) == 2 else state


@breaks("state: success turns into failed", "status.final-stable status.forward")
class ChangesItsMind(Conduct):
    def shown(self, task: Task, state: str) -> dict[str, Any]:
        if state == "success" and counted(task) > 1:
            task.fail_code = "Timeout"
            state = "failed"
        return super().shown(task, state)


@breaks("state: gone after the end", "status.final-stable status.known")
class GoneAfterwards(Conduct):
    def status(self, request: Request, model: str) -> Reply:
        task = self.tasks.get(request.query.get("taskId", ""))
        if task is not None and self.state(task) in FINAL and counted(task) > 1:
            return self.error(404, "no such task", "task")
        return super().status(request, model)


@breaks("state: not known at first", "status.known")
class UnknownAtFirst(Conduct):
    def status(self, request: Request, model: str) -> Reply:
        task = self.tasks.get(request.query.get("taskId", ""))
        if task is not None and self.state(task) == "pending":
            return self.error(404, "no such task", "task")
        return super().status(request, model)


def _named(name: str) -> Change:
    return lambda data, _task: data.update(state=name)


made("state: for ever processing", "status.ends", state=lambda _self, _task: "processing")
shown("state: completed", "status.states", SUCCESS, _named("completed"))
shown("state: SUCCESS", "status.states", FINAL, put("state", lambda found, _task: found.upper()))
shown("state: error", "status.states", FAILED, _named("error"))
shown("state: missing", "status.states", ALWAYS, drop("state"))
shown("state: a number", "status.states", ALWAYS, put("state", 1))
shown(
    "state: named status",
    "status.states",
    ALWAYS,
    lambda data, _task: data.update(status=data.pop("state")),
)

# --- ids and times --------------------------------------------------------------------------------

_VALUES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "taskId": (
        "task-id.echoed",
        ALWAYS,
        {
            "another in status": lambda found, _task: found[::-1],
            "upper case in status": lambda found, _task: "T" + found.upper(),
        },
    ),
    "createTime": (
        "status.create-time",
        ALWAYS,
        {
            "null": None,
            "a text": lambda found, _task: str(found),
            "ISO 8601": "2026-01-09T13:33:30.929Z",
            "in seconds": lambda found, _task: found // 1000,
            "in microseconds": lambda found, _task: found * 1000,
            "a fraction": lambda found, _task: found + 0.5,
            "an hour ago": lambda found, _task: found - 3_600_000,
            "in an hour": lambda found, _task: found + 3_600_000,
            "always the example's": 1767965610929,
            "zero": 0,
        },
    ),
    "completeTime": (
        "status.complete-time",
        FINAL,
        {
            "before createTime": lambda _found, task: milliseconds(task.created_s) - 1,
            "long before createTime": lambda found, _task: found - 86_400_000,
            "in seconds": lambda found, _task: found // 1000,
            "a text": lambda found, _task: str(found),
            "a fraction": lambda found, _task: found + 0.25,
            "in the future": lambda found, _task: found + 600_000,
            "a duration": lambda found, task: found - milliseconds(task.created_s),
        },
    ),
    "costTime": (
        "status.cost-time",
        SUCCESS,
        {
            "negative": -1,
            "a text": lambda found, _task: str(found),
            "with its unit": lambda found, _task: f"{found}ms",
            "a fraction": lambda found, _task: found + 0.5,
            "more than passed": lambda found, _task: found + 60_000,
            "a timestamp": lambda _found, task: milliseconds(task.completed_s),
            "in microseconds": lambda found, _task: found * 1000,
        },
    ),
}
for _field, (_check, _when, _values) in _VALUES.items():
    for _name, _value in _values.items():
        shown(f"{_field}: {_name}", _check, _when, put(_field, _value))
shown("taskId: missing in status", "task-id.echoed", ALWAYS, drop("taskId"))
shown(
    "taskId: an object in status",
    "task-id.echoed",
    FINAL,
    put("taskId", lambda found, _task: {"id": found}),
)
shown("createTime: missing", "status.create-time", ALWAYS, drop("createTime"))
shown(
    "createTime: moves",
    "status.create-time-constant",
    ALWAYS,
    put("createTime", lambda found, task: found + 3 * counted(task)),
)
shown(
    "createTime: another at the end",
    "status.create-time-constant",
    FINAL,
    put("createTime", lambda found, _task: found + 40),
)
shown("completeTime: missing on success", "status.success-fields", SUCCESS, drop("completeTime"))
shown("completeTime: missing on failed", "status.failed-fields", FAILED, drop("completeTime"))
shown("completeTime: null", "status.success-fields", FINAL, put("completeTime", None))
shown(
    "completeTime: while processing",
    "status.running-fields",
    RUNNING,
    put("completeTime", lambda _found, task: milliseconds(task.completed_s)),
)
shown(
    "completeTime: zero while processing",
    "status.running-fields",
    RUNNING,
    put("completeTime", 0),
)

# --- results and failures -------------------------------------------------------------------------


def _from_url(rule: Callable[[str], Any]) -> Change:
    """Return the change that makes resultJson anew from the URL of the result."""

    def change(data: dict[str, Any], _task: Task) -> None:
        data["resultJson"] = rule(json.loads(data["resultJson"])["resultUrls"][0])

    return change


_RESULTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "null": ("status.success-fields", lambda _url: None),
    "empty text": ("status.success-fields", lambda _url: ""),
    "an object": ("status.result-json", lambda url: {"resultUrls": [url]}),
    "a list": ("status.result-json", lambda url: json.dumps([url])),
    "a bare URL": ("status.result-json", lambda url: url),
    "encoded twice": (
        "status.result-json",
        lambda url: json.dumps(json.dumps({"resultUrls": [url]})),
    ),
    "Python's notation": ("status.result-json", lambda url: str({"resultUrls": [url]})),
    "cut off": ("status.result-json", lambda url: json.dumps({"resultUrls": [url]})[:-1]),
    "urls": ("status.result-urls", lambda url: json.dumps({"urls": [url]})),
}
# What `resultUrls` holds instead of a list with the URL.
_URLS: dict[str, Callable[[str], Any]] = {
    "a text, no list": lambda url: url,
    "no URL": lambda _url: [],
    "two URLs": lambda url: [url, url],
    "a relative URL": lambda url: ["/" + url.split("/", 3)[3]],
    "no scheme": lambda url: [url.split(":", 1)[1]],
    "an object for a URL": lambda url: [{"url": url}],
    "null for a URL": lambda _url: [None],
    "an empty URL": lambda _url: [""],
    "a file URL": lambda url: ["file:///tmp/" + url.rpartition("/")[2]],
}


def _holding(urls: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda url: json.dumps({"resultUrls": urls(url)})


for _name, (_check, _rule) in _RESULTS.items():
    shown(f"resultJson: {_name}", _check, SUCCESS, _from_url(_rule))
for _name, _rule in _URLS.items():
    shown(f"resultJson: {_name}", "status.result-urls", SUCCESS, _from_url(_holding(_rule)))

_EARLY = put(
    "resultJson",
    lambda _found, task: json.dumps({"resultUrls": [f"https://example.com/{task.id}.jpg"]}),
)
_FIELDS: tuple[tuple[str, str, tuple[str, ...], Change], ...] = (
    ("resultJson: missing", "status.success-fields", SUCCESS, drop("resultJson")),
    ("resultJson: while processing", "status.running-fields", ("processing",), _EARLY),
    (
        "resultJson: empty while processing",
        "status.running-fields",
        RUNNING,
        put("resultJson", '{"resultUrls":[]}'),
    ),
    ("resultJson: on failed", "status.failed-fields", FAILED, _EARLY),
    ("failCode: an empty text", "status.failed-fields", FAILED, put("failCode", "")),
    ("failCode: on success", "status.success-fields", SUCCESS, put("failCode", "Timeout")),
    ("failMsg: on success", "status.success-fields", SUCCESS, put("failMsg", "Nothing failed.")),
    ("failCode: while processing", "status.running-fields", RUNNING, put("failCode", "Timeout")),
    ("failMsg: while processing", "status.running-fields", RUNNING[1:], put("failMsg", "Not yet.")),
)
for _name, _check, _when, _change in _FIELDS:
    shown(_name, _check, _when, _change)
for _field in ("failCode", "failMsg"):
    shown(f"{_field}: missing", "status.failed-fields", FAILED, drop(_field))
    shown(f"{_field}: null", "status.failed-fields", FAILED, put(_field, None))
    shown(f"{_field}: a number", "status.failed-fields", FAILED, put(_field, 42))

# --- final answers that change --------------------------------------------------------------------


def _another_url(data: dict[str, Any], task: Task) -> None:
    urls = json.loads(data["resultJson"])["resultUrls"]
    data["resultJson"] = json.dumps({"resultUrls": [f"{urls[0]}?v={counted(task)}"]})


def _taken_back(data: dict[str, Any], task: Task) -> None:
    if counted(task) > 1:
        del data["resultJson"]


shown(
    "final: completeTime moves",
    "status.final-stable",
    FINAL,
    put("completeTime", lambda found, task: found + counted(task)),
)
shown(
    "final: costTime shrinks",
    "status.final-stable",
    SUCCESS,
    put("costTime", lambda found, task: found - counted(task)),
)
shown(
    "final: another code each time",
    "status.final-stable",
    FAILED,
    put("failCode", lambda _found, task: ("Timeout", "RateLimited")[counted(task) % 2]),
)
shown("final: another URL each time", "status.final-stable", SUCCESS, _another_url)
shown(
    "final: the result is shown once",
    "status.final-stable status.success-fields",
    SUCCESS,
    _taken_back,
)

# --- result files ---------------------------------------------------------------------------------


def _file(reply: Reply) -> Any:
    return lambda _self, _task: reply


_PAGE = b"<!doctype html><title>Sign in</title><p>Please sign in to see this picture.</p>"
_FILES = {
    "404": ("result.reachable", Reply(404, raw=b"")),
    "403": ("result.reachable", Reply(403, raw=b"expired", media_type="text/plain")),
    "500": ("result.reachable", Reply(500, raw=b"")),
    "empty": ("result.format", Reply(200, raw=b"", media_type="image/jpeg")),
    "HTML": ("result.format", Reply(200, raw=_PAGE, media_type="text/html")),
    "JSON": ("result.format", Reply(200, {"code": 404, "message": "no", "data": None})),
    "Base64": ("result.format", Reply(200, raw=b"/9j/4AAQSkZJRgABAQ", media_type="image/jpeg")),
    "GIF": ("result.format", Reply(200, raw=b"GIF89a" + bytes(40), media_type="image/gif")),
}
for _name, (_check, _reply) in _FILES.items():
    made(f"file: {_name}", f"{_check} result.format", picture_reply=_file(_reply))


def _of_tier(tiers: dict[str, str]) -> Any:
    """Return the method that answers the picture of another tier."""

    def reply(_self: Conduct, task: Task) -> Reply:
        found = picture(tiers[task.resolution], task.output_format)
        return Reply(200, raw=found.content, media_type=found.media_type)

    return reply


made(
    "file: 8k no larger than 2k",
    "result.tier",
    picture_reply=_of_tier(dict.fromkeys(("2k", "4k", "8k"), "2k")),
)
made(
    "file: tiers the wrong way round",
    "result.tier",
    picture_reply=_of_tier({"2k": "8k", "4k": "4k", "8k": "2k"}),
)


@breaks("file: png sent as jpg", "result.format")
class PngAsJpg(Conduct):
    def picture_reply(self, task: Task) -> Reply:
        kind = "png" if task.output_format == "jpg" else task.output_format
        reply = super().picture_reply(task)
        return replace(reply, raw=picture(task.resolution, kind).content)
