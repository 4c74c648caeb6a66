"""Variants of the wire, of tasks, of what a poll shows."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Any
from uuid import UUID

from gauntlet.conduct import FAILING_IMAGE, Conduct, Task, milliseconds
from gauntlet.variant import variant
from gauntlet.wire import Reply, Request, Style, encode

# --- the wire -----------------------------------------------------------------------------


@variant("chunked")
class Chunked(Conduct):
    style = Style(chunk=7)


@variant("lower-case headers, Unicode as it is")
class LowerCase(Conduct):
    style = Style(header_case="lower", ascii_only=False)


@variant("HTTP/1.0, upper-case headers")
class Old(Conduct):
    style = Style(version="HTTP/1.0", header_case="upper", keep_alive=False)


@variant("no keep-alive, charset, JSON indented and in reverse order")
class Reversed(Conduct):
    style = Style(keep_alive=False, charset="utf-8", indent=2, reverse_keys=True)


@variant("slow answers")
class SlowAnswers(Conduct):
    style = Style(latency_s=0.15, sort_keys=True)


@variant("gzip")
class Zipped(Conduct):
    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return reply
        content = encode(reply.body, self.style) if reply.raw is None else reply.raw
        headers = {**reply.headers, "content-encoding": "gzip", "vary": "accept-encoding"}
        return replace(reply, raw=gzip.compress(content, 1), headers=headers)


@variant("JSON under another type")
class OtherType(Conduct):
    """No page promises the Content-Type of answers."""

    refutes = ("response.content_type",)

    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        return reply if reply.raw is not None else replace(reply, media_type="text/plain")


@variant("connections that end without a word")
class Hasty(Conduct):
    """Now and then a kept connection is closed after the answer, which does not say so."""

    style = Style(ends_after=5)


# --- tasks --------------------------------------------------------------------------------


@variant("slow tasks")
class SlowTasks(Conduct):
    seconds = 4.0


@variant("quick tasks")
class QuickTasks(Conduct):
    """Done before the first poll: neither pending nor processing is ever seen."""

    seconds = 0.001


@variant("no pending")
class NoPending(Conduct):
    def pending_share(self) -> float:
        return 0.0


@variant("no processing")
class NoProcessing(Conduct):
    refutes = ("pending.share",)

    def pending_share(self) -> float:
        return 1.0


@variant("an unknown state for a while")
class UnknownState(Conduct):
    """Platform fact P15: a public client has seen `processing_r2`."""

    seconds = 0.9

    def state(self, task: Task) -> str:
        state = super().state(task)
        late = self.now() - task.created_s > task.duration_s * 0.5
        return "processing_r2" if state == "processing" and late else state


@variant("other failure codes")
class OtherFailures(Conduct):
    """Platform fact P9: failCode is an open set."""

    def verdict(self, image_url: str) -> str | None:
        return "CONTENT_VIOLATION" if super().verdict(image_url) else None


@variant("blank and odd image URLs succeed")
class Lenient(Conduct):
    def verdict(self, image_url: str) -> str | None:
        return "Unknown error" if image_url == FAILING_IMAGE else None


@variant("a failing image succeeds")
class NeverFails(Conduct):
    def verdict(self, image_url: str) -> str | None:
        del image_url
        return None


# --- fields -------------------------------------------------------------------------------


@variant("UUIDs, no costTime")
class Uuids(Conduct):
    refutes = ("task_id.form",)

    def new_id(self) -> str:
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    def shown(self, task: Task, state: str) -> dict[str, Any]:
        data = super().shown(task, state)
        data.pop("costTime", None)
        return data


@variant("ids as in the docs, costTime smaller and on failures too")
class DocsIds(Conduct):
    """costTime is the upstream's inference time: less than what passed in all."""

    refutes = ("task_id.form", "cost_time")

    def new_id(self) -> str:
        return f"task_{self.rng.randrange(10**8):08d}"

    def cost_ms(self, task: Task) -> int:
        return int(super().cost_ms(task) * 0.6)

    def shown(self, task: Task, state: str) -> dict[str, Any]:
        data = super().shown(task, state)
        if state == "failed":
            data["costTime"] = 0
        return data


@variant("numbers as ids")
class NumberIds(Conduct):
    refutes = ("task_id.form",)

    def new_id(self) -> str:
        return str(10_000 + len(self.tasks))


@variant("extra fields everywhere")
class ExtraFields(Conduct):
    def success(self, place: str, data: Any) -> Reply:
        reply = super().success(place, data)
        body = {"requestId": "r-1", **reply.body, "trace": {"place": [None, 1.5, "é"]}}
        if isinstance(body["data"], dict):
            body["data"] = {
                "model": "image-upscaler",
                **body["data"],
                "progress": 12,
                "error": None,
            }
        return replace(reply, body=body, headers={"x-request-id": "1", "set-cookie": "a=b; Path=/"})

    def error_body(self, status: int, message: str, place: str) -> dict[str, Any]:
        return {**super().error_body(status, message, place), "timestamp": 1, "path": place}

    def result_json(self, task: Task) -> Any:
        return json.dumps({"width": 1, "resultUrls": self.result_urls(task), "meta": {}})


@variant("null for what is not there yet")
class Nulls(Conduct):
    """A field that is null carries nothing; serializers often write it so."""

    def shown(self, task: Task, state: str) -> dict[str, Any]:
        names = ("resultJson", "failCode", "failMsg", "completeTime", "costTime")
        return dict.fromkeys(names) | super().shown(task, state)


@variant("errors without data")
class ErrorsBare(Conduct):
    refutes = ("error.data",)

    def error_body(self, status: int, message: str, place: str) -> dict[str, Any]:
        body = super().error_body(status, message, place)
        return {name: value for name, value in body.items() if name != "data"}


@variant("errors with an empty object")
class ErrorsEmpty(Conduct):
    refutes = ("error.data",)

    def error_body(self, status: int, message: str, place: str) -> dict[str, Any]:
        return {**super().error_body(status, message, place), "data": {}}


@variant("errors with a detail, other wording")
class ErrorsDetailed(Conduct):
    """Platform fact P2; the wordings of errors other than the nine are not documented."""

    refutes = ("error.data", "error.wording")

    def error_body(self, status: int, message: str, place: str) -> dict[str, Any]:
        said = message if place == "rules" else f"Fehler {status}: 失败"
        return {"code": status, "message": said, "data": {"error": said}}


@variant("a clock that is a little off")
class Skewed(Conduct):
    off_s = 0.4

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.off_s = self.rng.choice((-0.4, 0.4))

    def shown(self, task: Task, state: str) -> dict[str, Any]:
        data = super().shown(task, state)
        for name in ("createTime", "completeTime"):
            if name in data:
                data[name] += milliseconds(self.off_s)
        return data


@variant("long ids of odd characters")
class OddIds(Conduct):
    """A task id is opaque (P10)."""

    refutes = ("task_id.form",)

    def new_id(self) -> str:
        return f"tasks/é+{self.rng.getrandbits(64)}=&?#% " + "x" * 200


# --- results ------------------------------------------------------------------------------


@variant("results elsewhere, signed, without a type")
class ResultsElsewhere(Conduct):
    def files_prefix(self) -> str:
        return "/temp/2026/"

    def result_url(self, task: Task) -> str:
        return super().result_url(task) + "?Expires=1767965652&Signature=a%2Bb%3D"

    def picture_reply(self, task: Task) -> Reply:
        return replace(super().picture_reply(task), media_type="application/octet-stream")


@variant("results behind a redirect, without extension")
class ResultsRedirected(Conduct):
    def result_url(self, task: Task) -> str:
        return super().result_url(task).rpartition(".")[0]

    def file(self, request: Request) -> Reply:
        if "." in request.path:
            return super().file(request)
        task = self.tasks.get(request.path.removeprefix(self.files_prefix()))
        if task is None:
            return self.error(404, "no such file", "file")
        return Reply(302, raw=b"", headers={"location": f"{request.path}.{task.output_format}"})


@variant("escaped slashes in resultJson")
class EscapedSlashes(Conduct):
    def result_json(self, task: Task) -> Any:
        return json.dumps({"resultUrls": self.result_urls(task)}).replace("/", "\\/")
