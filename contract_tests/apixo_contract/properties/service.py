"""The target during one example: clients whose calls and pauses are recorded, and raw calls."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
from hypothesis import assume

from apixo_client import Apixo, AsyncApixo, Timing
from apixo_contract.masking import PLACEHOLDER, curl_line
from apixo_contract.text import clipped, shortened
from apixo_schemas import contract, document

if TYPE_CHECKING:
    from apixo_contract.properties.target import Target

_MOST_SHOWN = 20
# Requests and pauses of clients in one example, after which a call is taken never to end.
_MOST_ENTRIES = 3000


class OverBudgetError(BaseException):
    """A submit would cost more than is allowed. It is no `Exception`, so that no client repeats it."""


@dataclass
class Call:
    """One request of a client, with its response.

    Attributes:
        at: When it was sent, in seconds of the client's clock.
        status: None if no response came; `trouble` says why.
        content: The body as the client received it.
    """

    method: str
    url: httpx.URL
    headers: httpx.Headers
    body: bytes
    at: float
    status: int | None = None
    answer_headers: httpx.Headers = field(default_factory=httpx.Headers)
    content: bytes = b""
    trouble: str = ""

    @property
    def is_submit(self) -> bool:
        """True for a submit."""
        return self.method == "POST" and "/generateTask/" in self.url.path

    @property
    def is_poll(self) -> bool:
        """True for a poll."""
        return "/statusTask/" in self.url.path

    @property
    def sent(self) -> Any:
        """The parsed body of the request."""
        return json.loads(self.body)

    @property
    def envelope(self) -> dict[str, Any]:
        """The parsed body of the response, numbers with a point as `Decimal`; empty if it is none."""
        try:
            found = json.loads(self.content, parse_float=Decimal)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def data(self) -> Any:
        """The envelope's `data`."""
        return self.envelope.get("data")

    @property
    def is_accepted(self) -> bool:
        """True if the response says that a task was accepted."""
        return self.status == httpx.codes.OK and self.envelope.get("code") in {None, 200}

    @property
    def is_passing(self) -> bool:
        """True if the service could not answer just now: 429, 5xx, or no response."""
        return self.status is None or self.status == 429 or self.status >= 500

    @property
    def is_surely_refused(self) -> bool:
        """True if the service certainly did not accept the request: no connection, or 429."""
        refused = httpx.codes.TOO_MANY_REQUESTS
        return self.trouble == "ConnectError" or self.status == refused

    def curl(self) -> str:
        """Return a command that repeats the request, and its outcome."""
        key = {"Authorization": f"Bearer {PLACEHOLDER}"} if "authorization" in self.headers else {}
        kind = {"Content-Type": "application/json"} if self.body else {}
        body, answer = (text.decode("utf-8", "replace") for text in (self.body, self.content))
        line = curl_line(self.method, str(self.url), {**key, **kind}, shortened(body) or None)
        return f"{line}\n    -> {self.trouble or f'HTTP {self.status} {clipped(answer)}'}"


Alter = Callable[[Call, bytes], bytes]
Answer = Callable[[Call], httpx.Response | None]


@dataclass
class Attempt:
    """The outcome of a call of a client: what it returned, or the exception that it raised."""

    value: Any = None
    error: Exception | None = None


class Client:
    """A client of one kind, sync or async, that is called alike: ``client("status", task_id)``."""

    def __init__(self, service: Service, options: dict[str, Any]) -> None:
        timing = service.timing
        if service.kind == "sync":
            client = Apixo(transport=httpx.MockTransport(service.send), timing=timing, **options)
            service.closing.callback(client.close)
            self._call: Callable[..., Any] = lambda name, *args, **kwargs: getattr(client, name)(
                *args, **kwargs
            )
            return
        runner = service.closing.enter_context(asyncio.Runner())
        other = AsyncApixo(transport=httpx.MockTransport(service.send), timing=timing, **options)
        service.closing.callback(lambda: runner.run(other.aclose()))

        async def run(name: str, *args: Any, **kwargs: Any) -> Any:
            return await getattr(other, name)(*args, **kwargs)

        self._call = lambda *args, **kwargs: runner.run(run(*args, **kwargs))

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method and return its result."""
        return self._call(method, *args, **kwargs)

    def attempt(self, method: str, *args: Any, **kwargs: Any) -> Attempt:
        """Call a method and return its outcome."""
        try:
            return Attempt(value=self._call(method, *args, **kwargs))
        except Exception as error:  # noqa: BLE001 - which exception it is, is judged
            return Attempt(error=error)


class Service:
    """The target during one example.

    Attributes:
        kind: The kind of its clients, ``sync`` or ``async``.
        log: The calls of clients, and the seconds of their pauses, in their order.
        answer: Returns a response instead of the target's; None asks the target.
        alter: Changes the body of a response before a client reads it.
        emulator: The emulator in this process; None for a server elsewhere.
    """

    def __init__(self, target: Target, kind: str, closing: ExitStack) -> None:
        self.target = target
        self.kind = kind
        self.closing = closing
        self.log: list[Call | float] = []
        self.answer: Answer = lambda _call: None
        self.alter: Alter = lambda _call, content: content
        self.emulator = target.emulator
        self.image_url = target.image_url
        self._transport = target.transport()
        self._raw = httpx.Client(transport=self._transport, timeout=60)
        closing.callback(self._raw.close)
        self.timing = Timing(
            monotonic=target.now,
            wall=target.now if target.emulator else time.time,
            rng=Random(target.seed),  # noqa: S311 - jitter
            sleep=self._sleep,
            asleep=self._asleep,
        )

    # Calls of the client

    def client(self, **options: Any) -> Client:
        """Return a client of the example's kind; options are those of `Apixo`."""
        given = {"api_key": self.target.api_key, "base_url": self.target.base_url, **options}
        return Client(self, given)

    @property
    def calls(self) -> list[Call]:
        """The calls of clients so far."""
        return [entry for entry in self.log if isinstance(entry, Call)]

    @property
    def submits(self) -> list[Call]:
        """The submits of clients so far."""
        return [call for call in self.calls if call.is_submit]

    @property
    def one_call(self) -> Call:
        """The one call that a client made; the ones before it failed in passing and were repeated."""
        *before, last = self.calls
        assert all(call.is_passing for call in before), "one call was expected, found more"
        assume(not last.is_passing)
        return last

    def _sleep(self, seconds: float) -> None:
        self.log.append(seconds)
        self.target.sleep(seconds)

    async def _asleep(self, seconds: float) -> None:
        self.log.append(seconds)
        await self.target.asleep(seconds)

    # Raw calls

    def call(self, endpoint: str, *, task_id: str = "", body: Any = None, key: str = "") -> Call:
        """Return a raw call of ``submit``, ``status`` or ``balance``."""
        entry = document("model.json")["api"][endpoint]
        request = httpx.Request(
            entry["method"],
            self.target.base_url + entry["path"].replace("{model}", contract().model),
            params={"taskId": task_id} if endpoint == "status" else None,
            json=body,
            headers={"Authorization": f"Bearer {key or self.target.api_key}"},
        )
        call = self.begin(request)
        try:
            response = self._raw.send(request)
        except httpx.TransportError as error:
            call.trouble = type(error).__name__
        else:
            call.status, call.content = response.status_code, response.content
        self.target.troubles += call.is_passing
        self.settle(call)
        return call

    def submit(self, image: str = "", callback_url: str = "") -> str:
        """Submit a picture by a raw call, and return the id of its task."""
        body: dict[str, Any] = {"request_type": "async"}
        if callback_url:
            body = {"request_type": "callback", "callback_url": callback_url}
        body["input"] = {"image_urls": [image or self.image_url]}
        call = self.call("submit", body=body)
        # Neither a busy target nor an empty account says anything of the client.
        assume(not call.is_passing and call.status != httpx.codes.PAYMENT_REQUIRED)
        assert call.is_accepted, f"a task was expected, found {call.curl()}"
        task_id: str = call.data["taskId"]
        return task_id

    def task(self, scenario: str = "") -> str:
        """Return the id of a task; elsewhere than in this process it is submitted only once."""
        if self.emulator is not None:
            return self.submit(f"https://example.com/emulate/{scenario}.jpg" if scenario else "")
        image = (self.target.failing_image_url if scenario else "") or self.image_url
        known = self.target.known
        if image not in known:
            known[image] = self.submit(image)
        return known[image]

    def balance(self) -> Decimal:
        """Return the balance by a raw call, in USD; an example without it shows nothing."""
        call = self.call("balance")
        assume(call.is_accepted)
        return Decimal(call.data)

    def fetch(self, url: str) -> bytes:
        """Return the bytes behind the URL of a result, by a raw call."""
        response = self._raw.get(url, follow_redirects=True)
        assume(response.is_success)
        return response.content

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.target.sleep(seconds)

    # What the transport of both clients does

    def begin(self, request: httpx.Request) -> Call:
        """Return the record of a request that is to be sent; a submit is paid for.

        Raises:
            OverBudgetError: It would cost too much.
        """
        headers = request.headers
        call = Call(request.method, request.url, headers, request.read(), self.target.now())
        if call.is_submit and not self.target.budget.reserve():
            raise OverBudgetError
        return call

    def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request of a client, record it, and return its response, after `alter`."""
        assert len(self.log) < _MOST_ENTRIES, "a call that ends was expected"
        call = self.begin(request)
        self.log.append(call)
        content, trouble = bytearray(), list[Exception]()
        response = None
        try:
            response = self.answer(call) or self._transport.handle_request(request)
            for piece in response.iter_raw():
                content += piece
        except httpx.TransportError as error:
            call.trouble = type(error).__name__
            trouble.append(error)
        if response is None:
            self.target.troubles += 1
            self.settle(call)
            raise trouble[0]
        response.close()
        call.status, call.answer_headers = response.status_code, response.headers
        self.target.troubles += call.is_passing
        call.content = self.alter(call, bytes(content))
        self.settle(call)
        headers = response.headers.copy()
        if call.content != content:
            headers["Content-Length"] = str(len(call.content))
        stream = Pieces(call.content, *trouble)
        return httpx.Response(response.status_code, headers=headers, stream=stream)

    def settle(self, call: Call) -> None:
        """Close the reserve of a submit: it costs unless it was certainly refused."""
        if call.is_submit:
            refused = call.status is not None and 400 <= call.status < 500
            self.target.budget.settle(costs=not refused and call.trouble != "ConnectError")

    def story(self) -> str:
        """Return the calls of the example as commands, for a failure."""
        lines = [
            f"{line}  (so often: {len(list(alike))})"
            for line, alike in groupby(call.curl() for call in self.calls)
        ]
        return "\n".join([*lines[-_MOST_SHOWN:], f"seed: --apixo-seed {self.target.seed}"])


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in two pieces, and the error that ended it, if any."""

    def __init__(self, content: bytes, *trouble: Exception) -> None:
        self._content, self._trouble = content, trouble

    def __iter__(self) -> Iterator[bytes]:
        middle = len(self._content) // 2
        yield from (self._content[:middle], self._content[middle:])
        for error in self._trouble:
            raise error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece
