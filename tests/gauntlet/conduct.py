"""How the gauntlet's server behaves: the documentation page, read by itself.

`Conduct` keeps every promise. Each method is one promise or a few, so that a variant or a mutant
is a subclass with one method bent.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import quote, unquote

from gauntlet.pictures import picture
from gauntlet.rules import PAGE, UNSAID, Broken, first
from gauntlet.wire import Reply, Request

KEY = "sk-gauntlet-5f0c2a9d"
IMAGE = "https://example.com/gauntlet/input.jpg"
FAILING_IMAGE = "https://example.com/gauntlet/no-picture.txt"
PREFIX = "/api/v1"
SUBMIT = f"{PREFIX}/generateTask/"
STATUS = f"{PREFIX}/statusTask/"
BALANCE = f"{PREFIX}/apikeys/current-balance"
MODEL = "image-upscaler"
MIB = 1 << 20


@dataclass(slots=True)
class Task:
    """An accepted task; its state follows from the time."""

    id: str
    body: dict[str, Any]
    created_s: float
    duration_s: float
    fail_code: str | None
    resolution: str
    output_format: str
    # Polls answered so far, for mutants that change their mind.
    polls: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def completed_s(self) -> float:
        return self.created_s + self.duration_s

    @property
    def callback_url(self) -> str | None:
        wanted = self.body.get("request_type") == "callback"
        return str(self.body["callback_url"]) if wanted else None


def milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


class Conduct:
    """A server that keeps the contract."""

    latency_s = 0.0
    seconds = 0.5
    start_balance = Decimal(100)
    retry_delays_s: tuple[float, ...] = (0.5, 1.0, 1.5)
    rules: tuple[Broken, ...] = PAGE + UNSAID
    body_limit = 20 * MIB
    # The assumptions that this server shows to be wrong, and those that it must not seem to.
    refutes: tuple[str, ...] = ()
    upholds: tuple[str, ...] = ()
    # Whether the kit must wait for second callbacks, to see what is special here.
    patient = False

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - the same seed gives the same run
        self.tasks: dict[str, Task] = {}
        self.balance_usd = self.start_balance
        self.calls = 0

    def now(self) -> float:
        return time.time()

    # --- the gate -------------------------------------------------------------------------

    def handle(self, request: Request) -> Reply:
        """Answer one call."""
        self.calls += 1
        path = request.path
        if path.startswith(self.files_prefix()):
            return self.file(request)
        answer = self.interruption(request)
        if answer is not None:
            return answer
        if not self.authorised(request):
            return self.error(401, "unauthorized", "auth")
        return self.routed(request)

    def routed(self, request: Request) -> Reply:
        """Answer a call whose key is good."""
        path, method = request.path, request.method
        if path.startswith(SUBMIT) and method == "POST":
            return self.submit(request, path.removeprefix(SUBMIT))
        if path.startswith(STATUS) and method == "GET":
            return self.status(request, path.removeprefix(STATUS))
        if path == BALANCE and method == "GET":
            return self.success("balance", self.balance())
        allowed = "POST" if path.startswith(SUBMIT) else "GET"
        if path == BALANCE or path.startswith((SUBMIT, STATUS)):
            refused = self.error(405, f"only {allowed}", "routing")
            return replace(refused, headers={"allow": allowed})
        return self.error(404, "no such address", "routing")

    def interruption(self, request: Request) -> Reply | None:
        """Return an answer that a busy platform may give to any call, such as 429."""
        del request
        return None

    def authorised(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {KEY}"

    def success(self, place: str, data: Any) -> Reply:
        """Return the envelope of a call that went well; ``place`` names the endpoint."""
        del place
        return Reply(200, {"code": 200, "message": "success", "data": data})

    def error(self, status: int, message: str, place: str) -> Reply:
        """Return the envelope of an error; ``place`` says where it comes from."""
        return Reply(status, self.error_body(status, message, place))

    def error_body(self, status: int, message: str, place: str) -> dict[str, Any]:
        del place
        return {"code": status, "message": message, "data": None}

    # --- submit ---------------------------------------------------------------------------

    def submit(self, request: Request, model: str) -> Reply:
        if model != MODEL:
            return self.error(404, "no such model", "model")
        if len(request.body) > self.body_limit:
            return self.error(413, "too much", "limit")
        try:
            body = self.parsed(request.body)
        except (ValueError, RecursionError):
            return self.error(400, "that is not JSON", "json")
        if not isinstance(body, dict):
            return self.error(400, "an object is wanted", "json")
        return self.decided(body)

    def parsed(self, content: bytes) -> Any:
        return json.loads(content)

    def decided(self, body: dict[str, Any]) -> Reply:
        broken = first(self.rules, body)
        if broken is not None:
            self.charge_rejected()
            return self.rejection(broken)
        if not self.covered():
            return self.error(402, "insufficient balance", "balance")
        task = self.accept(body)
        return self.success("submit", self.submitted(task))

    def covered(self) -> bool:
        return self.balance_usd >= Decimal("0.01")

    def rejection(self, broken: Broken) -> Reply:
        return self.error(broken.status, broken.message, "rules")

    def submitted(self, task: Task) -> dict[str, Any]:
        return {"taskId": task.id}

    def accept(self, body: dict[str, Any]) -> Task:
        inputs = body["input"]
        wanted = inputs.get("output_format") or self.default_format()
        task = Task(
            id=self.new_id(),
            body=body,
            created_s=self.created_s(),
            duration_s=self.duration_s(body),
            fail_code=self.verdict(str(inputs["image_urls"][0])),
            resolution=self.tier(inputs.get("resolution")),
            output_format=self.format_of(wanted),
        )
        self.tasks[task.id] = task
        self.balance_usd -= self.price(task)
        return task

    def default_format(self) -> str:
        return "jpg"

    def format_of(self, wanted: str) -> str:
        return "jpg" if wanted.lower() == "jpeg" else wanted.lower()

    def tier(self, wanted: str | None) -> str:
        return (wanted or "4k").lower()

    def verdict(self, image_url: str) -> str | None:
        """Return the failure code of a source that cannot be enlarged."""
        bad = image_url == FAILING_IMAGE or not image_url.startswith(("http", "data:image/"))
        return "ImageFormatIncorrect" if bad else None

    def new_id(self) -> str:
        return f"{self.rng.getrandbits(128):032x}"

    def created_s(self) -> float:
        return self.now()

    def duration_s(self, body: dict[str, Any]) -> float:
        del body
        return self.seconds * self.rng.uniform(0.8, 1.2)

    # --- money ----------------------------------------------------------------------------

    def price(self, task: Task) -> Decimal:
        del task
        return Decimal("0.01")

    def charge_rejected(self) -> None:
        """A rejected request costs nothing."""

    def balance(self) -> Any:
        return float(self.balance_usd)

    # --- status ---------------------------------------------------------------------------

    def status(self, request: Request, model: str) -> Reply:
        task = self.tasks.get(request.query.get("taskId", ""))
        if "taskId" not in request.query:
            return self.error(400, "which task?", "task")
        if task is None or model != MODEL:
            return self.error(404, "no such task", "task")
        task.polls += 1
        return self.success("status", self.data(task, "poll"))

    def state(self, task: Task) -> str:
        share = (self.now() - task.created_s) / task.duration_s
        if share >= 1:
            return "failed" if task.fail_code else "success"
        return "processing" if share >= self.pending_share() else "pending"

    def pending_share(self) -> float:
        return 0.3

    def data(self, task: Task, place: str) -> dict[str, Any]:
        """Return a task as a poll shows it, or a callback (``place``)."""
        del place
        return self.shown(task, self.state(task))

    def shown(self, task: Task, state: str) -> dict[str, Any]:
        data: dict[str, Any] = {"taskId": task.id, "state": state}
        if state == "success":
            data["resultJson"] = self.result_json(task)
        if state == "failed":
            data["failCode"] = task.fail_code
            data["failMsg"] = "It did not work out."
        data["createTime"] = milliseconds(task.created_s)
        if state in {"success", "failed"}:
            data["completeTime"] = self.complete_ms(task)
        if state == "success":
            data["costTime"] = self.cost_ms(task)
        return data

    def complete_ms(self, task: Task) -> int:
        return milliseconds(task.completed_s)

    def cost_ms(self, task: Task) -> int:
        return milliseconds(task.completed_s) - milliseconds(task.created_s)

    # --- results --------------------------------------------------------------------------

    def result_json(self, task: Task) -> Any:
        return json.dumps({"resultUrls": self.result_urls(task)})

    def result_urls(self, task: Task) -> list[Any]:
        return [self.result_url(task)]

    def result_url(self, task: Task) -> str:
        name = quote(task.id, safe="")
        return f"{self.origin()}{self.files_prefix()}{name}.{task.output_format}"

    def origin(self) -> str:
        return self.bound_origin

    bound_origin = ""

    def files_prefix(self) -> str:
        return "/files/"

    def file(self, request: Request) -> Reply:
        name = request.path.removeprefix(self.files_prefix()).partition(".")[0]
        task = self.tasks.get(unquote(name))
        if task is None or task.fail_code or request.method not in {"GET", "HEAD"}:
            return self.error(404, "no such file", "file")
        return self.picture_reply(task)

    def picture_reply(self, task: Task) -> Reply:
        found = picture(task.resolution, task.output_format)
        return Reply(200, raw=found.content, media_type=found.media_type)

    # --- callbacks ------------------------------------------------------------------------

    def callback_moments(self, task: Task) -> list[float]:
        """Return the times at which the final answer is sent, as Unix seconds."""
        return [task.completed_s]

    def callback_method(self) -> str:
        return "POST"

    def callback_payload(self, task: Task) -> Reply:
        """Return the body and media type that the receiver gets."""
        return self.success("callback", self.data(task, "callback"))

    def callback_retry(self, status: int | None) -> bool:
        """Say whether an attempt is repeated, given the answer's status or none."""
        return status != 200
