"""Mutants of what a poll shows of results and failures."""

from __future__ import annotations

import json
from typing import Any

from gauntlet.conduct import Task
from gauntlet.mutant import RUNNING, drop, put, shown

# --- results in the answer ------------------------------------------------------------------

_RESULT = "JSON string containing the upscaled image URL in `resultUrls`"
_PRESENT = "resultJson: present when state is success"


def _payload(rule: Any) -> Any:
    """Make resultJson anew from the URL of the result."""

    def change(data: dict[str, Any], _task: Task) -> None:
        data["resultJson"] = rule(json.loads(data["resultJson"])["resultUrls"][0])

    return change


shown(
    "resultJson: missing",
    _PRESENT,
    "status.success-fields",
    when=("success",),
    change=drop("resultJson"),
)
shown(
    "resultJson: null",
    _PRESENT,
    "status.success-fields",
    when=("success",),
    change=put("resultJson", None),
)
for _name, _check, _rule in (
    ("an object", "status.result-json", lambda url: {"resultUrls": [url]}),
    ("a list", "status.result-json", lambda url: json.dumps([url])),
    ("a bare URL", "status.result-json", lambda url: url),
    (
        "encoded twice",
        "status.result-json",
        lambda url: json.dumps(json.dumps({"resultUrls": [url]})),
    ),
    ("Python's notation", "status.result-json", lambda url: str({"resultUrls": [url]})),
    ("cut off", "status.result-json", lambda url: json.dumps({"resultUrls": [url]})[:-1]),
    ("empty text", "status.success-fields", lambda _url: ""),
    ("urls", "status.result-urls", lambda url: json.dumps({"urls": [url]})),
    ("a text, no list", "status.result-urls", lambda url: json.dumps({"resultUrls": url})),
    ("no URL", "status.result-urls", lambda _url: json.dumps({"resultUrls": []})),
    ("two URLs", "status.result-urls", lambda url: json.dumps({"resultUrls": [url, url]})),
    (
        "a relative URL",
        "status.result-urls",
        lambda url: json.dumps({"resultUrls": ["/" + url.split("/", 3)[3]]}),
    ),
    (
        "no scheme",
        "status.result-urls",
        lambda url: json.dumps({"resultUrls": [url.split(":", 1)[1]]}),
    ),
    (
        "an object for a URL",
        "status.result-urls",
        lambda url: json.dumps({"resultUrls": [{"url": url}]}),
    ),
    ("null for a URL", "status.result-urls", lambda _url: json.dumps({"resultUrls": [None]})),
    ("an empty URL", "status.result-urls", lambda _url: json.dumps({"resultUrls": [""]})),
    (
        "a file URL",
        "status.result-urls",
        lambda url: json.dumps({"resultUrls": ["file:///tmp/" + url.rpartition("/")[2]]}),
    ),
):
    shown(f"resultJson: {_name}", _RESULT, _check, when=("success",), change=_payload(_rule))


def _url_early(data: dict[str, Any], task: Task) -> None:
    data["resultJson"] = json.dumps({"resultUrls": [f"https://example.com/{task.id}.jpg"]})


shown(
    "resultJson: while processing",
    _PRESENT,
    "status.running-fields",
    when=("processing",),
    change=_url_early,
)
shown(
    "resultJson: empty while processing",
    _PRESENT,
    "status.running-fields",
    when=RUNNING,
    change=put("resultJson", '{"resultUrls":[]}'),
)
shown(
    "resultJson: on failed", _PRESENT, "status.failed-fields", when=("failed",), change=_url_early
)

# --- failures -----------------------------------------------------------------------------

_CODE = "failCode: present when state is failed"
_MSG = "failMsg: present when state is failed"
for _field, _promise in (("failCode", _CODE), ("failMsg", _MSG)):
    shown(
        f"{_field}: missing",
        _promise,
        "status.failed-fields",
        when=("failed",),
        change=drop(_field),
    )
    shown(
        f"{_field}: null",
        _promise,
        "status.failed-fields",
        when=("failed",),
        change=put(_field, None),
    )
    shown(
        f"{_field}: a number",
        f"{_field}, string",
        "status.failed-fields",
        when=("failed",),
        change=put(_field, 42),
    )
shown(
    "failCode: an empty text",
    "Machine-readable failure code",
    "status.failed-fields",
    when=("failed",),
    change=put("failCode", ""),
)
shown(
    "failCode: on success",
    _CODE,
    "status.success-fields",
    when=("success",),
    change=put("failCode", "Timeout"),
)
shown(
    "failMsg: on success",
    _MSG,
    "status.success-fields",
    when=("success",),
    change=put("failMsg", "Nothing failed."),
)
shown(
    "failCode: while processing",
    _CODE,
    "status.running-fields",
    when=RUNNING,
    change=put("failCode", "Timeout"),
)
shown(
    "failMsg: while processing",
    _MSG,
    "status.running-fields",
    when=("processing",),
    change=put("failMsg", "Not yet."),
)
