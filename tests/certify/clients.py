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


class RepeatsABrokenSubmit(Client):
    case = "submit.reset"

    def may_submit_again(self, reply: Reply) -> bool:
        return reply.status == 0 or super().may_submit_again(reply)


class RepeatsAnUnreadableSubmit(Client):
    case = "submit.invalid-json"

    def may_submit_again(self, reply: Reply) -> bool:
        return reply.status == 200 or super().may_submit_again(reply)


class RepeatsASubmitAfter502(Client):
    case = "submit.502-once"

    def may_submit_again(self, reply: Reply) -> bool:
        return reply.status in _REPEATED


class RepeatsASubmitAfterAGateway(RepeatsASubmitAfter502):
    case = "submit.html-502"


class SubmitsAgainAfterAFailure(Client):
    case = "failed.Timeout"

    def run(self) -> int:
        return super().run() and super().run()


class SubmitsTwiceToBeSure(Client):
    case = "states.ordinary"

    def submit(self) -> str:
        super().submit()
        return super().submit()


class GivesUpAtTheFirstError(Client):
    case = "status.502-once"

    def may_poll_again(self, reply: Reply) -> bool:
        return reply.status == 200


class GivesUpAtABrokenConnection(GivesUpAtTheFirstError):
    case = "status.reset-once"


class GivesUpAtInvalidJson(Client):
    case = "status.invalid-json-once"

    def read(self, reply: Reply) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(reply.body)["data"]
        return data


class NeedsDataInEveryPoll(GivesUpAtInvalidJson):
    case = "states.no-data"

    def read(self, reply: Reply) -> dict[str, Any]:
        return {**super().read(reply)}


class NeedsDataAndPollsLate(NeedsDataInEveryPoll):
    """Its first poll comes when an ordinary task has ended."""

    def submit(self) -> str:
        task_id = super().submit()
        time.sleep(2.5)
        return task_id


class FailsOnUnknownStates(Client):
    case = "states.unknown"

    def is_failure(self, data: dict[str, Any]) -> bool:
        return bool(data) and data["state"] not in {"pending", "processing", "success"}


class TakesUnknownStatesForSuccess(Client):
    case = "states.unknown"

    def is_success(self, data: dict[str, Any]) -> bool:
        return bool(data) and data["state"] not in {"pending", "processing", "failed"}


class KnowsItsFields(Client):
    case = "states.more-fields"

    def is_failure(self, data: dict[str, Any]) -> bool:
        known = {
            "taskId",
            "state",
            "resultJson",
            "failCode",
            "failMsg",
            "createTime",
            "completeTime",
            "costTime",
        }
        return bool(set(data) - known) or super().is_failure(data)


class NeedsACostTime(Client):
    case = "states.no-cost-time"

    def is_success(self, data: dict[str, Any]) -> bool:
        return super().is_success(data) and data["costTime"] > 0


class NeedsToSeeProcessing(Client):
    case = "states.immediate"
    seen = False

    def is_success(self, data: dict[str, Any]) -> bool:
        self.seen = self.seen or data.get("state") in {"pending", "processing"}
        return self.seen and super().is_success(data)


class WaitsForEver(Client):
    case = "stuck"
    timeout_s = 5.0

    def check_patience(self, _reply: Reply) -> None:
        """Have all the patience in the world."""


class PollsAnUnknownTaskForEver(WaitsForEver):
    case = "status.404-always"

    def may_poll_again(self, reply: Reply) -> bool:
        return reply.status == 404 or super().may_poll_again(reply)


class SubmitsForEver(WaitsForEver):
    case = "submit.429-always"


class KnowsFiveCodes(WaitsForEver):
    case = "failed.unknown"

    def is_failure(self, data: dict[str, Any]) -> bool:
        return super().is_failure(data) and data["failCode"] != "NSFW"


class ReportsSuccessOfAFailure(Client):
    case = "failed.SensitiveContent"

    def run(self) -> int:
        return super().run() and 0


class ReportsSuccessWithoutADownload(Client):
    case = "states.ordinary"

    def download(self, url: str) -> None:
        sys.stdout.write(f"{url}\n")


class LooksAtTheResultOnly(Client):
    case = "states.immediate"

    def download(self, url: str) -> None:
        self.call(url, method="HEAD")


class DownloadsAPart(Client):
    case = "states.immediate"

    def download(self, url: str) -> None:
        self.call(url, Range="bytes=0-9")


class ReportsFailureOfASuccess(Client):
    case = "states.ordinary"

    def run(self) -> int:
        return super().run() or 1


class IgnoresRetryAfter(Client):
    case = "submit.429-once"

    def asked_s(self, _asked: str) -> float:
        return 0


class ReadsRetryAfterAsSecondsOnly(Client):
    case = "status.429-date"

    def asked_s(self, asked: str) -> float:
        return float(asked)


class PollsOnAfterTheEnd(Client):
    case = "states.ordinary"

    def wait(self, task_id: str) -> dict[str, Any]:
        return super().wait(task_id) and super().wait(task_id)


class SavesAnything(Client):
    case = "result.html"

    def download(self, url: str) -> None:
        self.call(url)


class ComparesClocks(Client):
    case = "clock.behind"

    def is_failure(self, data: dict[str, Any]) -> bool:
        old = time.time() - data.get("createTime", time.time() * 1000) / 1000 > 60
        return old or super().is_failure(data)


class PollsFast(Client):
    case = "states.ordinary"
    verdict = "warn"


DEFECTIVE: list[type[Client]] = [
    RepeatsABrokenSubmit, RepeatsAnUnreadableSubmit, RepeatsASubmitAfter502,
    RepeatsASubmitAfterAGateway, SubmitsAgainAfterAFailure,
    SubmitsTwiceToBeSure, GivesUpAtTheFirstError, GivesUpAtABrokenConnection,
    GivesUpAtInvalidJson, NeedsDataInEveryPoll, NeedsDataAndPollsLate, FailsOnUnknownStates, TakesUnknownStatesForSuccess,
    KnowsItsFields, NeedsACostTime, NeedsToSeeProcessing, WaitsForEver, PollsAnUnknownTaskForEver,
    SubmitsForEver, KnowsFiveCodes, ReportsSuccessOfAFailure,
    ReportsSuccessWithoutADownload, LooksAtTheResultOnly, DownloadsAPart, ReportsFailureOfASuccess,
    IgnoresRetryAfter,
    ReadsRetryAfterAsSecondsOnly, PollsOnAfterTheEnd, SavesAnything, ComparesClocks, PollsFast,
]  # fmt: skip

if __name__ == "__main__":
    programs: list[type[Client]] = [Client, AsksForANewLink, DownloadsInParts, *DEFECTIVE]
    made = {each.__name__: each for each in programs}
    sys.exit(made[sys.argv[1]]().run())
