"""Variants of answers, of tasks, of what a poll shows, of callbacks and the balance."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from gauntlet.conduct import FAILING_IMAGE, Conduct, Task, milliseconds
from gauntlet.mutant import FAILED, RUNNING
from gauntlet.variants import variant, varied
from gauntlet.wire import Reply, Request

_PRICE = Decimal("0.01")

# --- the wire -------------------------------------------------------------------------------------

varied("slow answers", latency_s=0.15)


@variant("JSON indented, in another order, Unicode as it is, charset")
class OtherJson(Conduct):
    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        if reply.raw is not None:
            return reply
        text = json.dumps(reply.body, indent=2, ensure_ascii=False, sort_keys=True)
        media_type = "application/json; charset=utf-8"
        return replace(reply, raw=text.encode("utf-8", "surrogatepass"), media_type=media_type)


@variant("undocumented errors name the request")
class Numbered(Conduct):
    refutes = ("error.wording",)

    def error_body(self, status: int, message: str, place: str) -> dict[str, Any]:
        words = message if place == "rules" else f"{message} (request {self.calls})"
        return super().error_body(status, words, place)


@variant("gzip")
class Zipped(Conduct):
    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return reply
        headers = {**reply.headers, "content-encoding": "gzip", "vary": "accept-encoding"}
        return replace(reply, raw=gzip.compress(reply.content, 1), headers=headers)


@variant("JSON under another type")
class OtherType(Conduct):
    """No page promises the Content-Type of answers."""

    refutes = ("response.content_type",)

    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        return reply if reply.raw is not None else replace(reply, media_type="text/plain")


# --- tasks ----------------------------------------------------------------------------------------

varied("slow tasks", seconds=4.0)
# Done before the first poll: neither pending nor processing is ever seen.
varied("quick tasks", seconds=0.001)
varied("no pending", pending_share=lambda _self: 0.0)
varied("no processing", refutes=("pending.share",), pending_share=lambda _self: 1.0)
varied("a failing image succeeds", verdict=lambda _self, _url: None)
varied(
    "blank and odd image URLs succeed",
    verdict=lambda _self, url: "Unknown error" if url == FAILING_IMAGE else None,
)
# Platform fact P9: failCode is an open set.
varied(
    "other failure codes",
    verdict=lambda self, url: Conduct.verdict(self, url) and "CONTENT_VIOLATION",
)


@variant("an unknown state for a while")
class UnknownState(Conduct):
    """Platform fact P15: a public client has seen `processing_r2`."""

    seconds = 0.9

    def state(self, task: Task) -> str:
        state = super().state(task)
        late = self.now() - task.created_s > task.duration_s * 0.5
        return "processing_r2" if state == "processing" and late else state


# --- fields ---------------------------------------------------------------------------------------

# A task id is opaque (P10).
varied("numbers as ids", refutes=("task_id.form",), new_id=lambda s: str(10_000 + len(s.tasks)))
varied(
    "long ids of odd characters",
    refutes=("task_id.form",),
    new_id=lambda self: f"tasks/é+{self.rng.getrandbits(64)}=&?#% " + "x" * 200,
)


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
        return super().shown(task, state) | ({"costTime": 0} if state in FAILED else {})


@variant("extra fields everywhere")
class ExtraFields(Conduct):
    def success(self, place: str, data: Any) -> Reply:
        body = super().success(place, data).body
        body = {"requestId": "r-1", **body, "trace": {"place": [None, 1.5, "é"]}}
        if isinstance(data, dict):
            body["data"] = {"model": "image-upscaler", **data, "progress": 12, "error": None}
        return Reply(200, body, headers={"x-request-id": "1", "set-cookie": "a=b; Path=/"})

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


varied(
    "errors without data",
    refutes=("error.data",),
    error_body=lambda _self, status, message, _place: {"code": status, "message": message},
)
varied(
    "errors with an empty object",
    refutes=("error.data",),
    error_body=lambda _self, status, message, _place: {
        "code": status,
        "message": message,
        "data": {},
    },
)


@variant("errors with a detail, other wording")
class ErrorsDetailed(Conduct):
    """Platform fact P2; the wordings of errors other than the nine are not documented."""

    refutes = ("error.data", "error.wording")

    def error_body(self, status: int, message: str, place: str) -> dict[str, Any]:
        said = message if place == "rules" else f"Fehler {status}: 失败"
        return {"code": status, "message": said, "data": {"error": said}}


@variant("a clock that is a little off")
class Skewed(Conduct):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.off_ms = milliseconds(self.rng.choice((-0.4, 0.4)))

    def shown(self, task: Task, state: str) -> dict[str, Any]:
        data = super().shown(task, state)
        for name in ("createTime", "completeTime"):
            if name in data:
                data[name] += self.off_ms
        return data


# --- results --------------------------------------------------------------------------------------


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
        task = self.tasks.get(request.path.removeprefix(self.files_prefix()))
        if task is None:
            return super().file(request)
        return Reply(302, raw=b"", headers={"location": f"{request.path}.{task.output_format}"})


varied(
    "escaped slashes in resultJson",
    result_json=lambda s, t: json.dumps({"resultUrls": s.result_urls(t)}).replace("/", "\\/"),
)

# --- callbacks ------------------------------------------------------------------------------------

varied(
    "callbacks twice",
    callback_moments=lambda _self, task: [task.completed_s, task.completed_s + 0.3],
)
varied("callbacks late", callback_moments=lambda _self, task: [task.completed_s + 2])

# --- the balance ----------------------------------------------------------------------------------

varied("a poor account", start_balance=Decimal("0.02"))
varied("no money at all", start_balance=Decimal(0))


@variant("balance with four decimals")
class FourDecimals(Conduct):
    """As the documentation shows it: 74.8700."""

    start_balance = Decimal("74.87")

    def success(self, place: str, data: Any) -> Reply:
        if place != "balance":
            return super().success(place, data)
        text = f'{{"code":200,"message":"success","data":{self.balance_usd:.4f}}}'
        return Reply(200, raw=text.encode())


@variant("a balance of whole dollars")
class WholeDollars(Conduct):
    """The first balance is an integer in JSON."""

    def balance(self) -> Any:
        whole = self.balance_usd == int(self.balance_usd)
        return int(self.balance_usd) if whole else float(self.balance_usd)


@variant("a balance with the noise of binary fractions")
class NoisyBalance(Conduct):
    start_balance = Decimal("0.3")

    def balance(self) -> Any:
        value = 0.3
        for _ in range(round((self.start_balance - self.balance_usd) * 100)):
            value -= 0.01
        return value


@variant("failed tasks are paid back")
class Refunds(Conduct):
    """Whether failed tasks are charged is not documented."""

    refutes = ("failed.charged",)

    def balance(self) -> Any:
        failed = sum(self.state(task) in FAILED for task in self.tasks.values())
        return float(self.balance_usd + failed * _PRICE)


@variant("tasks are charged when they end")
class ChargedAtTheEnd(Conduct):
    def balance(self) -> Any:
        going = sum(self.state(task) in RUNNING for task in self.tasks.values())
        return float(self.balance_usd + going * _PRICE)


@variant("a balance that is a second old")
class LateBalance(Conduct):
    def balance(self) -> Any:
        new = sum(self.now() - task.created_s < 1 for task in self.tasks.values())
        return float(self.balance_usd + new * _PRICE)
