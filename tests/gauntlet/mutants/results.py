"""Mutants of result files and tiers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gauntlet.conduct import Conduct, Task
from gauntlet.mutant import breaks, made
from gauntlet.pictures import picture
from gauntlet.wire import Reply

# --- files --------------------------------------------------------------------------------

_FILE = "Higher-resolution output at the URL in `resultUrls`"
_FORMAT = "Output image format"


def _file(rule: Any) -> Any:
    return lambda _self, task: rule(task)


def _picture(task: Task) -> bytes:
    return picture(task.resolution, task.output_format).content


_PAGE = b"<!doctype html><title>Sign in</title><p>Please sign in to see this picture.</p>"
for _name, _check, _rule in (
    ("404", "result.reachable", lambda _task: Reply(404, raw=b"")),
    ("403", "result.reachable", lambda _task: Reply(403, raw=b"expired", media_type="text/plain")),
    ("500", "result.reachable", lambda _task: Reply(500, raw=b"")),
    ("empty", "result.format", lambda _task: Reply(200, raw=b"", media_type="image/jpeg")),
    ("HTML", "result.format", lambda _task: Reply(200, raw=_PAGE, media_type="text/html")),
    (
        "JSON",
        "result.format",
        lambda _task: Reply(200, {"code": 404, "message": "no", "data": None}),
    ),
    (
        "Base64",
        "result.format",
        lambda _task: Reply(200, raw=b"/9j/4AAQSkZJRgABAQ", media_type="image/jpeg"),
    ),
    (
        "GIF",
        "result.format",
        lambda _task: Reply(200, raw=b"GIF89a" + bytes(40), media_type="image/gif"),
    ),
):
    made(f"file: {_name}", _FILE, _check, "result.format", picture_reply=_file(_rule))


@breaks("file: png sent as jpg", _FORMAT, "result.format")
class PngAsJpg(Conduct):
    def picture_reply(self, task: Task) -> Reply:
        sent = picture(
            task.resolution, "png" if task.output_format == "jpg" else task.output_format
        )
        return replace(super().picture_reply(task), raw=sent.content)


@breaks("file: 8k no larger than 2k", "Target resolution tier", "result.tier")
class NoTiers(Conduct):
    def picture_reply(self, task: Task) -> Reply:
        found = picture("2k", task.output_format)
        return Reply(200, raw=found.content, media_type=found.media_type)


@breaks("file: tiers the wrong way round", "Target resolution tier", "result.tier")
class TiersReversed(Conduct):
    def picture_reply(self, task: Task) -> Reply:
        other = {"2k": "8k", "4k": "4k", "8k": "2k"}[task.resolution]
        found = picture(other, task.output_format)
        return Reply(200, raw=found.content, media_type=found.media_type)


@breaks("default: 2k", "resolution, default 4k", "submit.default.resolution")
class Default2k(Conduct):
    def tier(self, wanted: str | None) -> str:
        return super().tier(wanted or "2k")


@breaks("default: 8k", "resolution, default 4k", "submit.default.resolution")
class Default8k(Conduct):
    def tier(self, wanted: str | None) -> str:
        return super().tier(wanted or "8k")


@breaks(
    "tiers: capitals mean 4k",
    "Values are case-insensitive and normalized to lowercase",
    "submit.resolution-case",
    "result.tier",
)
class CapitalsAre4k(Conduct):
    def tier(self, wanted: str | None) -> str:
        return wanted if wanted in {"2k", "4k", "8k"} else "4k"
