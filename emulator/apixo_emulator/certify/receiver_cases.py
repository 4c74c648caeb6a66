"""The cases of `certify-receiver`, as data: what is delivered, and what a correct receiver does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from apixo_emulator.certify.delivery import Transmission
from apixo_emulator.certify.model import Verdict
from apixo_schemas import contract

# Stands for the emulator's address in an edited body.
ORIGIN = "http://certifier.invalid"
_DAY_S = 24 * 3600
_HOUR_S = 3600
_LARGE_BYTES = 20 * 1024 * 1024
_NESTING = 10_000
_MANY = tuple(str(number) for number in range(50))
# A race is lost now and then only.
_PAIRS = _MANY[:5]

Edit = Callable[[bytes], bytes]


class Expect(Enum):
    """Which responses are correct."""

    # 200: the live API repeats a callback after any other status.
    ACCEPTED = auto()
    # 4xx: the body is no callback. A closed connection is as clear an answer.
    REJECTED = auto()
    # Any status below 500: the callback is legal but unusual, or the rules leave it open.
    TOLERATED = auto()
    # No response is needed, as the request is incomplete.
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """Deliveries of callbacks.

    Attributes:
        tasks: The task of each delivery.
        edit: Changes the body; without it the body is the one that the API sends.
        together: Send them at the same time.
        advance_s: Move the emulator's clock by so many seconds before.
        by_emulator: The emulator makes the one delivery when the task ends.
        retried: A response other than 200 is legal at first. The delivery is then repeated, as the live API does.
        legal: Statuses that are correct as well, or are worth a warning.
    """

    tasks: tuple[str, ...] = ("a",)
    expect: Expect = Expect.ACCEPTED
    edit: Edit | None = None
    method: str = "POST"
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    transmission: Transmission = Transmission.PLAIN
    together: bool = False
    advance_s: int = 0
    by_emulator: bool = False
    retried: bool = False
    legal: Mapping[int, Verdict] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceiverCase:
    """One case.

    Attributes:
        tasks: The scenario of each task, by its name in the steps; "" for an ordinary success.
        results: How many results the application takes in, None if it is not judged.
        forged: The deliveries say what the API does not say.
        first_poll_fails: The API answers the first poll of the task with an error.
    """

    id: str
    title: str
    matters: str
    advice: str
    steps: tuple[Step, ...] = (Step(),)
    tasks: Mapping[str, str] = field(default_factory=lambda: {"a": ""})
    results: int | None = 1
    forged: bool = False
    first_poll_fails: bool = False

    @property
    def alone(self) -> bool:
        """True if the case would disturb others: it moves the shared clock, or loads the receiver."""
        return any(step.advance_s or step.tasks == _MANY for step in self.steps)


_TWO = {"a": "", "b": ""}
_ONCE = (
    "Keep the ids of the tasks that were taken in, with a unique constraint, and take in a task in the"
    " same transaction that inserts its id."
)
_QUICK = "Respond with 200 as soon as the body is stored, and do the work afterwards."
_PARSE = (
    "Parse the body within a handler for errors, and respond with 400 to what is no callback;"
    " `apixo_client.parse_callback` raises one exception for all of it."
)
_ASK = (
    "The live API signs nothing. Ask the status endpoint about the task before its outcome takes"
    " effect, or put a secret into the callback URL and compare it."
)
_OPEN = "Read the fields that you need and ignore the others; treat unknown values as such."


def _envelope(change: Callable[[dict[str, Any]], object]) -> Edit:
    def edit(body: bytes) -> bytes:
        document = json.loads(body)
        change(document)
        return json.dumps(document, separators=(",", ":")).encode()

    return edit


def _data(**fields: Any) -> Edit:
    return _envelope(lambda document: document["data"].update(fields))


def _without(name: str) -> Edit:
    return _envelope(lambda document: document["data"].pop(name))


def _more(document: dict[str, Any]) -> None:
    document.update(requestId="r-1", version=2)
    document["data"].update(progress=100, model={"id": contract().model}, tags=["a", None])


def _escaped(body: bytes) -> bytes:
    """Return the same JSON with spaces, line breaks and escaped characters."""
    text = json.dumps(json.loads(body), indent=2)
    return text.replace("taskId", "task\\u0049d").replace("success", "succes\\u0073").encode()


def unknown_task(task_id: str) -> str:
    """Return the id of a task that only forged deliveries of another one mention."""
    return "f" * 16 + task_id[16:]


def forged_result(task_id: str) -> str:
    """Return the name of a task's result that only forged deliveries mention."""
    return f"forged-{task_id}"


def _success_of_stranger(body: bytes) -> bytes:
    """Return a success with a result that the API never made; its link leads to the certifier."""
    document = json.loads(body)
    data = document["data"]
    data.pop("failCode", None)
    data.pop("failMsg", None)
    urls = json.dumps({"resultUrls": [f"{ORIGIN}/files/{forged_result(data['taskId'])}.jpg"]})
    data.update(state="success", resultJson=urls, costTime=1000)
    return json.dumps(document).encode()


def _success_of_unknown(body: bytes) -> bytes:
    task_id = json.loads(body)["data"]["taskId"]
    return _success_of_stranger(_data(taskId=unknown_task(task_id))(body))


def _nested(_: bytes) -> bytes:
    return b'{"code":200,"data":' + b"[" * _NESTING + b"]" * _NESTING + b"}"


def _large(body: bytes) -> bytes:
    return body[:-1] + b',"padding":"' + b"x" * (_LARGE_BYTES - len(body)) + b'"'


def _simple() -> Iterable[ReceiverCase]:
    yield ReceiverCase(
        "success", "A successful task is taken in", "It is what the receiver is for.",
        f"Check that the URL leads to the receiver. {_QUICK}", (Step(by_emulator=True),),
    )  # fmt: skip
    for failure in contract().failures.values():
        yield ReceiverCase(
            f"failed.{failure.scenario}", f"A task that failed with `{failure.code}` is acknowledged",
            "A failure that is not acknowledged is sent three more times.", _QUICK,
            tasks={"a": failure.scenario}, results=0,
        )  # fmt: skip


def _repeated() -> Iterable[ReceiverCase]:
    together = tuple(Step((name, name), together=True) for name in _PAIRS)
    for name, title, steps, tasks in (
        ("twice", "The same callback twice", (Step(("a", "a")),), "a"),
        ("together", f"The same callback twice at the same time, for {len(_PAIRS)} tasks", together, _PAIRS),
        ("ten", "The same callback ten times", (Step(("a",) * 10),), "a"),
        ("day", "The same callback again after a day", (Step(), Step(advance_s=_DAY_S)), "a"),
        ("expired", "The same callback again after its result link has expired",
         (Step(), Step(advance_s=_DAY_S + 2 * _HOUR_S)), "a"),
    ):  # fmt: skip
        yield ReceiverCase(
            f"duplicate.{name}", title,
            "The API delivers at least once. What is taken in twice is shipped, stored or billed twice.",
            _ONCE, steps, dict.fromkeys(tasks, ""), len(tasks),
        )  # fmt: skip
    chance = "A retry is the only chance to get the result after an error of the receiver."
    yield ReceiverCase(
        "retry.error", "A retry after an error of the receiver: the API answers its first poll with 503",
        chance, "Keep a task as taken in only after its result is stored. Repeat a poll that fails, or respond with"
        " 500, so that the delivery is repeated.",
        (Step(by_emulator=True, retried=True),), {"a": "status-http-503-once"}, first_poll_fails=True,
    )  # fmt: skip
    yield ReceiverCase(
        "retry.unreadable", "A retry after a delivery that the receiver could not read", chance, _PARSE,
        (Step(expect=Expect.TOLERATED, edit=lambda body: body[:-9]), Step()),
    )  # fmt: skip
    yield ReceiverCase(
        "retry.timeout", "A retry after a delivery whose response the API did not wait for",
        "The receiver may have taken in the first delivery although the API counts it as failed.", _ONCE,
        (Step(expect=Expect.NOTHING, transmission=Transmission.ABANDONED), Step()),
    )  # fmt: skip


def _orders() -> Iterable[ReceiverCase]:
    yield ReceiverCase(
        "interleaved", "Two tasks whose deliveries are interleaved and repeated",
        "Tasks that run at the same time end in any order.", _ONCE, (Step(("a", "b", "a", "b")),), _TWO, 2,
    )  # fmt: skip
    yield ReceiverCase(
        "fifty", f"{len(_MANY)} deliveries at the same time",
        "A batch ends together. A receiver that works within the response runs out of time.", _QUICK,
        (Step(_MANY, together=True),), dict.fromkeys(_MANY, ""), len(_MANY),
    )  # fmt: skip
    yield ReceiverCase(
        "early.submit", "A delivery that arrives as soon as the task is accepted",
        "A quick task ends before the application has stored the id that the submit returned.",
        "Store a callback whose task is not known yet, or respond with an error so that it is repeated.",
        (Step(by_emulator=True, retried=True),), {"a": "slow-0"},
    )  # fmt: skip
    yield ReceiverCase(
        "early.processing", "A delivery while polls still say `processing`",
        "The API's parts do not change at the same instant.",
        "If you ask the status endpoint and it still says `processing`, ask again later, or respond with 503 so"
        " that the delivery is repeated. Do not drop the callback.",
        (Step(by_emulator=True, retried=True),), {"a": "callback-before-done"},
    )  # fmt: skip
    yield ReceiverCase(
        "late.hour", "A delivery one hour late", "A queue of the vendor may stand still for a while.",
        "Keep tasks open until their callback arrives or a poll shows their end.", (Step(advance_s=_HOUR_S),),
    )  # fmt: skip


def _forged() -> Iterable[ReceiverCase]:
    for name, title, edit, scenario in (
        ("unknown", "A success of a task that was never submitted has no effect", _success_of_unknown, ""),
        ("outcome", "A success of a task that has failed has no effect", _success_of_stranger, "SensitiveContent"),
    ):  # fmt: skip
        yield ReceiverCase(
            f"forged.{name}", title, "Callbacks are not signed: everyone who knows the URL can send one.",
            _ASK, (Step(expect=Expect.TOLERATED, edit=edit),), {"a": scenario}, results=0, forged=True,
        )  # fmt: skip


def _contents() -> Iterable[ReceiverCase]:
    matters = "Live responses have had states, codes and fields that the page does not list."
    no_data = _envelope(lambda document: document.update(data=None))
    for name, title, edit, expect in (
        ("unknown-state", "A state that is not documented", _data(state="processing_r2"), Expect.TOLERATED),
        ("more-fields", "Fields that are not documented", _envelope(_more), Expect.ACCEPTED),
        ("no-cost-time", "A success without `costTime`", _without("costTime"), Expect.ACCEPTED),
        ("escaped", "The same JSON with spaces and escapes", _escaped, Expect.ACCEPTED),
        ("no-data", "`data` is null", no_data, Expect.TOLERATED),
        ("no-state", "`state` is missing", _without("state"), Expect.TOLERATED),
        ("no-urls", "`resultUrls` is empty", _data(resultJson='{"resultUrls":[]}'), Expect.TOLERATED),
        ("bad-result", "`resultJson` is no JSON", _data(resultJson='{"resultUrls":['), Expect.TOLERATED),
        ("result-object", "`resultJson` is an object", _data(resultJson={"resultUrls": []}), Expect.TOLERATED),
    ):  # fmt: skip
        # The unusual delivery first, then the ordinary one, which must still be taken in.
        steps = (Step(expect=expect, edit=edit), Step())
        yield ReceiverCase(f"content.{name}", title, matters, _OPEN, steps)
    yield ReceiverCase(
        "content.unknown-code", "A failure code that is not documented", matters, _OPEN,
        (Step(edit=_data(failCode="NSFW", failMsg="Not allowed.")),), {"a": "Timeout"}, results=0,
    )  # fmt: skip


def _malformed() -> Iterable[ReceiverCase]:
    rejected, tolerated = Expect.REJECTED, Expect.TOLERATED
    cut = Step(expect=Expect.NOTHING, transmission=Transmission.TRUNCATED)
    twice = (("Content-Type", "application/json"), ("X-Trace", "1"), ("X-Trace", "2"))
    # RFC 9110, 15.6.2: the server has no such method. Python's `http.server` responds so.
    known = {501: Verdict.PASS}
    cases = {
        "half": ("Half of the JSON", Step(expect=rejected, edit=lambda body: body[: len(body) // 2])),
        "cut": ("A body that ends before its length", cut),
        "text": ("A body that is no JSON", Step(expect=rejected, edit=lambda _: b"state=success&taskId=1")),
        "empty": ("An empty body", Step(expect=rejected, edit=lambda _: b"")),
        "array": ("A JSON array", Step(expect=rejected, edit=lambda _: b"[]")),
        "large": ("A body of 20 MiB", Step(expect=rejected, edit=_large)),
        "nested": ("JSON of 10,000 levels", Step(expect=rejected, edit=_nested)),
        "utf8": ("Invalid UTF-8", Step(expect=rejected, edit=lambda body: body.replace(b"success", b"succ\xff\xfess"))),
        "type": ("A wrong content type", Step(expect=tolerated, content_type="text/plain")),
        "twice-headers": ("Headers that are sent twice", Step(expect=tolerated, headers=twice)),
        "get": ("GET instead of POST", Step(expect=rejected, edit=lambda _: b"", method="GET", legal=known)),
        "head": ("HEAD instead of POST", Step(expect=rejected, edit=lambda _: b"", method="HEAD", legal=known)),
        "put": ("PUT instead of POST", Step(expect=rejected, method="PUT", legal=known)),
    }  # fmt: skip
    for name, (title, step) in cases.items():
        # The valid delivery right after it is of another task, so that it cannot be a duplicate.
        yield ReceiverCase(
            f"malformed.{name}", title,
            "A receiver on the internet gets broken and hostile requests, and must outlive them.",
            _PARSE if step.method == "POST" else "Respond with 405 to every method but POST.",
            (step, Step(("b",))), _TWO, results=None,
        )  # fmt: skip


def _transports() -> Iterable[ReceiverCase]:
    for transmission, title in {
        Transmission.CHUNKED: "A chunked body",
        Transmission.BYTE_BY_BYTE: "A body that arrives one byte at a time",
        Transmission.EXPECT_CONTINUE: "A request with `Expect: 100-continue`",
        Transmission.HTTP_1_0: "A request by HTTP/1.0",
    }.items():
        # RFC 9110, 15.5.12: a server may demand a length.
        legal = {411: Verdict.WARN} if transmission is Transmission.CHUNKED else {}
        yield ReceiverCase(
            f"transport.{transmission.name.lower().replace('_', '-')}", title,
            "The vendor's servers and proxies may send in any way that HTTP allows.",
            "Use an HTTP server that implements RFC 9112, and read the body to its end.",
            (Step(transmission=transmission, legal=legal),),
        )  # fmt: skip


def receiver_cases() -> list[ReceiverCase]:
    """Return all cases; those that run alone come last."""
    groups = (_simple, _repeated, _orders, _forged, _contents, _malformed, _transports)
    return sorted((case for group in groups for case in group()), key=lambda case: case.alone)
