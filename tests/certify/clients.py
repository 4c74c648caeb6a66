"""A correct client with the standard library alone, and clients that have one realistic defect each.

Run as a program it upscales one picture; the first argument names the defect, if any.

Patience is counted in calls, not in seconds, so that a slow machine changes nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, ClassVar

_EVERY_S = 0.1
# The longest task takes 3 s.
_MOST_POLLS = 40
_MOST_ERRORS = 4
_REPEATED = {429, 500, 502, 503, 504}


class Failed(Exception):
    """There is no result."""


class Reply:
    """A response, or what came instead: status 0 and no JSON."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @property
    def data(self) -> dict[str, Any]:
        """The object in `data`; empty if there is none."""
        try:
            found = json.loads(self.body)["data"]
        except (ValueError, KeyError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}


class Client:
    """Submits once, polls until the end, downloads, and tells the truth."""

    # The case that names the defect, and the verdict that it gets.
    case: ClassVar[str] = ""
    verdict: ClassVar[str] = "fail"
    # When the certifier kills it: only clients that never end are to be killed.
    timeout_s: ClassVar[float] = 100.0
    seen: bool

    def __init__(self) -> None:
        self.base = os.environ["APIXO_BASE_URL"]
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.polls = self.errors = 0

    def run(self) -> int:
        try:
            data = self.wait(self.submit())
            self.download(json.loads(data["resultJson"])["resultUrls"][0])
        except Failed as error:
            sys.stderr.write(f"{error}\n")
            return 1
        return 0

    # One call

    def call(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> Reply:
        url = path if path.startswith("http") else self.base + path
        request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310 - the emulator's address
        if not path.startswith("http"):
            request.add_header("Authorization", f"Bearer {os.environ['APIXO_API_KEY']}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with self.opener.open(request, timeout=20) as response:
                return Reply(response.status, dict(response.headers.items()), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, dict(error.headers.items()), error.read())
        except (OSError, HTTPException):
            return Reply(0, {}, b"")

    def pause(self, reply: Reply | None = None) -> None:
        """Wait before the next call, as long as Retry-After says."""
        asked = reply.headers.get("retry-after") if reply else None
        time.sleep(max(_EVERY_S, self.asked_s(asked) if asked else 0))

    def asked_s(self, asked: str) -> float:
        if asked.isdigit():
            return float(asked)
        return parsedate_to_datetime(asked).timestamp() - time.time()

    def check_patience(self, reply: Reply) -> None:
        self.polls += 1
        self.errors += reply.status != 200
        if self.polls > _MOST_POLLS or self.errors > _MOST_ERRORS:
            raise Failed("the task did not end in time")

    # Submit, wait, download

    def submit(self) -> str:
        while True:
            reply = self.call("/generateTask/image-upscaler", self.body())
            if reply.status == 200 and reply.data:
                return str(reply.data["taskId"])
            if not self.may_submit_again(reply):
                raise Failed(f"the submit was answered {reply.status}")
            self.check_patience(reply)
            self.pause(reply)

    def body(self) -> dict[str, Any]:
        return {"input": {"image_urls": ["https://example.com/in.jpg"], "resolution": "2k"}}

    def may_submit_again(self, reply: Reply) -> bool:
        return reply.status in {429, 503}

    def wait(self, task_id: str) -> dict[str, Any]:
        while True:
            reply = self.call(f"/statusTask/image-upscaler?taskId={task_id}")
            data = self.read(reply)
            if self.is_success(data):
                return data
            if self.is_failure(data):
                raise Failed(f"the task failed: {data.get('failCode')}")
            if not self.may_poll_again(reply):
                raise Failed(f"the poll was answered {reply.status}")
            self.check_patience(reply)
            self.pause(reply)

    def read(self, reply: Reply) -> dict[str, Any]:
        return reply.data if reply.status == 200 else {}

    def is_success(self, data: dict[str, Any]) -> bool:
        return data.get("state") == "success"

    def is_failure(self, data: dict[str, Any]) -> bool:
        return data.get("state") == "failed"

    def may_poll_again(self, reply: Reply) -> bool:
        return reply.status in {0, 200, *_REPEATED}

    def download(self, url: str) -> None:
        reply = self.call(url)
        if reply.status != 200 or not reply.headers["content-type"].startswith("image/"):
            raise Failed(f"the result was answered {reply.status}")


class AsksForANewLink(Client):
    """Correct: polls again for a new link when the download fails."""

    def run(self) -> int:
        try:
            task_id = self.submit()
            for _ in range(3):
                data = self.wait(task_id)
                with suppress(Failed):
                    self.download(json.loads(data["resultJson"])["resultUrls"][0])
                    return 0
                self.pause()
        except Failed as error:
            sys.stderr.write(f"{error}\n")
        return 1


class DownloadsInParts(Client):
    """Correct: asks for parts until it has all."""

    def download(self, url: str) -> None:
        start, size = 0, 1
        while start < size:
            reply = self.call(url, Range=f"bytes={start}-{start + 50_000}")
            if reply.status != 206:
                raise Failed(f"the result was answered {reply.status}")
            start += len(reply.body)
            size = int(reply.headers["content-range"].rpartition("/")[2])


def defect(case: str, name: str, **changes: Any) -> type[Client]:
    """Return a client that differs from a correct one by these methods, and fails the case."""
    return type(name, (Client,), {"case": case, **changes})


def run_twice(self: Client) -> int:
    return Client.run(self) and Client.run(self)


def submit_twice(self: Client) -> str:
    Client.submit(self)
    return Client.submit(self)


def wait_twice(self: Client, task_id: str) -> dict[str, Any]:
    return Client.wait(self, task_id) and Client.wait(self, task_id)


def submit_and_pause(self: Client) -> str:
    """Return when an ordinary task has ended."""
    task_id = Client.submit(self)
    time.sleep(2.5)
    return task_id


def read_data(_: Client, reply: Reply) -> dict[str, Any]:
    return {**json.loads(reply.body)["data"]}


_FIELDS = {"taskId", "state", "resultJson", "failCode", "failMsg", "createTime", "completeTime", "costTime"}  # fmt: skip


def has_unknown_fields(self: Client, data: dict[str, Any]) -> bool:
    return bool(set(data) - _FIELDS) or Client.is_failure(self, data)


def is_old(self: Client, data: dict[str, Any]) -> bool:
    old = time.time() - data.get("createTime", time.time() * 1000) / 1000 > 60
    return old or Client.is_failure(self, data)


def is_success_after_processing(self: Client, data: dict[str, Any]) -> bool:
    self.seen = self.seen or data.get("state") in {"pending", "processing"}
    return self.seen and Client.is_success(self, data)


ENDLESS: dict[str, Any] = {"check_patience": lambda *_: None, "timeout_s": 5.0}
DEFECTIVE = [
    defect(
        "submit.reset", "RepeatsABrokenSubmit",
        may_submit_again=lambda _, reply: reply.status in {0, 429, 503},
    ),
    defect(
        "submit.invalid-json", "RepeatsAnUnreadableSubmit",
        may_submit_again=lambda _, reply: reply.status in {200, 429, 503},
    ),
    *(
        defect(case, name, may_submit_again=lambda _, reply: reply.status in _REPEATED)
        for case, name in {
            "submit.502-twice": "RepeatsASubmitAfter502", "submit.html-502": "RepeatsASubmitAfterAGateway"
        }.items()
    ),
    defect("failed.Timeout", "SubmitsAgainAfterAFailure", run=run_twice),
    defect("states.ordinary", "SubmitsTwiceToBeSure", submit=submit_twice),
    *(
        defect(case, name, may_poll_again=lambda _, reply: reply.status == 200)
        for case, name in {
            "status.502-once": "GivesUpAtTheFirstError", "status.reset-once": "GivesUpAtABrokenConnection"
        }.items()
    ),
    defect("status.invalid-json-once", "GivesUpAtInvalidJson", read=read_data),
    defect("states.no-data", "NeedsDataInEveryPoll", read=read_data),
    defect("states.no-data", "NeedsDataAndPollsLate", read=read_data, submit=submit_and_pause),
    defect(
        "states.unknown", "FailsOnUnknownStates",
        is_failure=lambda _, data: data.get("state", "pending") not in {"pending", "processing", "success"},
    ),
    defect(
        "states.unknown", "TakesUnknownStatesForSuccess",
        is_success=lambda _, data: data.get("state", "pending") not in {"pending", "processing", "failed"},
    ),
    defect("states.more-fields", "KnowsItsFields", is_failure=has_unknown_fields),
    defect(
        "states.no-cost-time", "NeedsACostTime",
        is_success=lambda self, data: Client.is_success(self, data) and data["costTime"] > 0,
    ),
    defect("states.immediate", "NeedsToSeeProcessing", is_success=is_success_after_processing, seen=False),
    defect("stuck", "WaitsForEver", **ENDLESS),
    defect("submit.429-always", "SubmitsForEver", **ENDLESS),
    defect(
        "status.404-always", "PollsAnUnknownTaskForEver", **ENDLESS,
        may_poll_again=lambda self, reply: reply.status == 404 or Client.may_poll_again(self, reply),
    ),
    defect(
        "failed.unknown", "KnowsFiveCodes", **ENDLESS,
        is_failure=lambda self, data: Client.is_failure(self, data) and data["failCode"] != "NSFW",
    ),
    defect("failed.SensitiveContent", "ReportsSuccessOfAFailure", run=lambda self: Client.run(self) and 0),
    defect("submit.401-once", "ReportsSuccessOfARejection", run=lambda self: Client.run(self) and 0),
    defect("states.ordinary", "ReportsFailureOfASuccess", run=lambda self: Client.run(self) or 1),
    defect("states.ordinary", "ReportsSuccessWithoutADownload", download=lambda *_: None),
    defect("states.immediate", "LooksAtTheResultOnly", download=lambda self, url: self.call(url, method="HEAD")),
    defect("states.immediate", "DownloadsAPart", download=lambda self, url: self.call(url, Range="bytes=0-9")),
    defect("result.html", "SavesAnything", download=Client.call),
    defect("submit.429-once", "IgnoresRetryAfter", asked_s=lambda *_: 0),
    defect("status.429-date", "ReadsRetryAfterAsSecondsOnly", asked_s=lambda _, asked: float(asked)),
    defect("states.ordinary", "PollsOnAfterTheEnd", wait=wait_twice),
    defect("clock.behind", "ComparesClocks", is_failure=is_old),
    defect("states.ordinary", "PollsFast", verdict="warn"),
]  # fmt: skip

if __name__ == "__main__":
    programs: list[type[Client]] = [Client, AsksForANewLink, DownloadsInParts, *DEFECTIVE]
    made = {each.__name__: each for each in programs}
    sys.exit(made[sys.argv[1]]().run())
