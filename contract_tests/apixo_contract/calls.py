"""The calls of a run: sent over httpx, repeated when the target is busy, and written down."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import httpx
import imagesize

from apixo_contract.masking import LONGER, OTHER_CASE, SHORTER, Mask, altered_keys
from apixo_contract.observations import Exchange, Key, Picture, Purpose
from apixo_contract.options import Settings, Unreachable
from apixo_contract.view import BUSY, TRANSIENT, is_broken
from apixo_schemas import contract, document, http_date_s, picture_format, retry_after_s

_BUSY_TRIES = 8
_TRIES = 3
# Calls without any answer in a row, after which the target is taken to be gone.
_MOST_SILENT = 6
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
# How long a busy target may delay the run in all.
_PATIENCE_S = 120.0
_TIMEOUT_S = 30.0
# Answers of the API have some hundred bytes.
MOST_BYTES = 256 * 1024
# The size of a picture stands in its head; pictures with long metadata need more.
_HEAD_BYTES = 512 * 1024
# A result that is longer is not read to its end; behind the end there may be other data.
_WHOLE_BYTES = 128 * 1024 * 1024
_TAIL_BYTES = 64 * 1024
# A stub may answer with the head of a picture only.
_STAND_IN_BYTES = 4096
# Seconds for a whole answer. The client's timeout is for each piece of it.
_MOST_S = 60.0
_PIECE = 64 * 1024
_ALTERED = {Key.LONGER: LONGER, Key.SHORTER: SHORTER, Key.OTHER_CASE: OTHER_CASE}


@dataclass(frozen=True, slots=True)
class Ask:
    """One call to be made.

    Attributes:
        may_repeat: True if a submit may be sent again after this answer. It reserves the price.
    """

    purpose: Purpose
    method: str
    url: str
    key: Key = Key.OWN
    body: str | None = None
    content_type: str | None = "application/json"
    probe: str = ""
    task_id: str | None = None
    may_repeat: Callable[[Exchange], bool] = lambda _found: True


class Calls:
    """Sends calls one after the other and keeps what they showed; see `Session`."""

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.BaseTransport | None,
        sleep: Callable[[float], object],
        clock: Callable[[], float],
    ) -> None:
        self._base = settings.base_url
        self._key = settings.api_key
        self._wrong = f"sk-contract-{settings.seed:08x}-no-such-key"
        self._mask = Mask(settings.api_key)
        self._client = httpx.Client(
            transport=transport,
            timeout=_TIMEOUT_S,
            # A proxy of the environment must not see calls within this machine. A certificate
            # authority of the environment is used in any case.
            trust_env=not settings.is_local,
            verify=httpx.create_ssl_context() if self._base.startswith("https:") else True,
            # A server may close an idle connection just when it is used again, which looks like a
            # refusal. A new connection for each call costs little on this machine.
            limits=httpx.Limits(max_keepalive_connections=0 if settings.is_local else None),
        )
        self._sleep = sleep
        self._clock = clock
        self._number = 0
        self._answered = False
        self._silent = 0
        self._patience_s = _PATIENCE_S
        # Kinds of calls that stayed broken however often they were repeated.
        self._persistent: set[tuple[Purpose, str, int | None]] = set()
        self.exchanges: list[Exchange] = []
        # What each of them asked, by its number.
        self.asked: dict[int, Ask] = {}

    @property
    def now_ms(self) -> int:
        """Return the local time."""
        return round(self._clock() * 1000)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def endpoint(self, name: str, model: str | None = None) -> str:
        """Return the URL of an endpoint of the contract: ``submit``, ``status``, ``balance``."""
        path: str = document("model.json")["api"][name]["path"]
        return self._base + path.replace("{model}", model or contract().model)

    def submit(self, body: str, purpose: Purpose, **more: Any) -> Exchange:
        """Submit a body. The caller has reserved its price."""
        return self.send(Ask(purpose, "POST", self.endpoint("submit"), body=body, **more))

    def status(self, task_id: str | None, purpose: Purpose, **more: Any) -> Exchange:
        """Poll a task; without an id the call names none."""
        url = self.endpoint("status", more.pop("model", None))
        if task_id is not None:
            # A broken target may give an id that UTF-8 cannot hold; it is asked about all the same.
            asked = {document("model.json")["api"]["status"]["query"]: task_id}
            url += f"?{urlencode(asked, errors='surrogatepass')}"
        return self.send(Ask(purpose, "GET", url, task_id=task_id, **more))

    def balance(
        self, probe: str, key: Key = Key.OWN, purpose: Purpose = Purpose.BALANCE
    ) -> Exchange:
        """Read the balance; ``probe`` says at which point of the run."""
        return self.send(Ask(purpose, "GET", self.endpoint("balance"), key=key, probe=probe))

    def send(self, ask: Ask) -> Exchange:
        """Make a call, repeat it while the target is busy or broken, and keep its last answer.

        Raises:
            Unreachable: The target has never answered, or not for several calls in a row.
        """
        wait, attempt = _FIRST_WAIT_S, 1
        while self._is_repeated(ask, found := self._once(ask), attempt):
            self.exchanges.append(replace(found, purpose=Purpose.BUSY))
            self._wait(asked_wait_s(found.answer_headers) or wait)
            wait, attempt = min(wait * 2, _LONGEST_WAIT_S), attempt + 1
        self.exchanges.append(found)
        if attempt >= _TRIES and is_broken(found):
            self._persistent.add((ask.purpose, ask.method, found.status))
        self._silent = self._silent + 1 if found.status is None else 0
        self._answered = self._answered or found.status is not None
        if self._silent >= (_MOST_SILENT if self._answered else 1):
            raise Unreachable(
                f"{self._base} does not answer ({found.trouble}). Is the target running, and is "
                "the address right?"
            )
        return found

    def _wait(self, seconds: float) -> None:
        seconds = min(seconds, _LONGEST_WAIT_S)
        self._patience_s -= seconds
        self._sleep(seconds)

    def _is_repeated(self, ask: Ask, found: Exchange, attempt: int) -> bool:
        if self._patience_s <= 0:
            return False
        if found.status in BUSY:
            return attempt < _BUSY_TRIES and ask.may_repeat(found)
        heard = self._answered or found.status is not None
        if not is_broken(found) or attempt >= _TRIES or not heard:
            return False
        known = (ask.purpose, ask.method, found.status) in self._persistent
        return not known and ask.may_repeat(found)

    def _once(self, ask: Ask) -> Exchange:
        headers, url = self._headers(ask), self._url(ask)
        sent = self.now_ms
        made = self._exchange(ask, sent)
        try:
            request = self._client.build_request(ask.method, url, headers=headers, content=ask.body)
            with closing(self._client.send(request, stream=True)) as response:
                content, trouble = _read_content(response, self._clock)
        except httpx.RequestError as error:
            words = self._mask.text(f"{type(error).__name__}: {error}".rstrip(": "))
            return replace(made, received_ms=self.now_ms, trouble=words)
        return replace(
            made,
            received_ms=self.now_ms,
            status=response.status_code,
            answer_headers=self._mask.headers(response.headers),
            # JSON between systems is UTF-8, whatever a header says.
            text=self._mask.text(content.decode("utf-8", errors="replace")),
            trouble=trouble and self._mask.text(trouble),
        )

    def _headers(self, ask: Ask) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if authorization := self._authorization(ask.key):
            headers["Authorization"] = authorization
        if ask.body is not None and ask.content_type is not None:
            headers["Content-Type"] = ask.content_type
        return headers

    def _authorization(self, key: Key) -> str | None:
        if key in _ALTERED:
            return f"Bearer {altered_keys(self._key)[_ALTERED[key]]}"
        return {
            Key.OWN: f"Bearer {self._key}",
            Key.EMPTY: "Bearer",
            Key.SCHEME: f"Basic {self._key}",
            Key.BARE: self._key,
            Key.WRONG: f"Bearer {self._wrong}",
        }.get(key)

    def _url(self, ask: Ask) -> str:
        if ask.key is not Key.QUERY:
            return ask.url
        names = ("api_key", "apikey", "key", "token", "access_token")
        query = urlencode(dict.fromkeys(names, self._key))
        return f"{ask.url}{'&' if '?' in ask.url else '?'}{query}"

    def can_alter(self, key: Key) -> bool:
        """True if the own key can be altered so: a key without letters has no other case."""
        return key not in _ALTERED or _ALTERED[key] in altered_keys(self._key)

    def _exchange(self, ask: Ask, sent_ms: int) -> Exchange:
        self._number += 1
        self.asked[self._number] = ask
        return Exchange(
            number=self._number,
            purpose=ask.purpose,
            method=ask.method,
            url=self._mask.text(self._url(ask)),
            sent_ms=sent_ms,
            received_ms=sent_ms,
            key=ask.key,
            headers=self._mask.headers(self._headers(ask)),
            body=None if ask.body is None else self._mask.text(ask.body),
            probe=ask.probe,
            task_id=None if ask.task_id is None else self._mask.text(ask.task_id),
        )

    def result(self, url: str, task_id: str, *, whole: bool = False) -> Exchange:
        """Fetch the head of a result file, or all of it, without the key: the link alone must do."""
        ask = Ask(Purpose.RESULT, "GET", url, key=Key.NONE, task_id=task_id)
        found = self._fetch(ask, whole=whole)
        if found.status in TRANSIENT:
            self.exchanges.append(replace(found, purpose=Purpose.BUSY))
            self._wait(_FIRST_WAIT_S)
            found = self._fetch(ask, whole=whole)
        self.exchanges.append(found)
        return found

    def _fetch(self, ask: Ask, *, whole: bool) -> Exchange:
        made = self._exchange(ask, self.now_ms)
        try:
            with self._client.stream("GET", ask.url, follow_redirects=True) as response:
                picture = None
                if response.is_success:
                    picture = _read_result(response, self._clock, whole=whole)
            found = replace(
                made,
                status=response.status_code,
                answer_headers=self._mask.headers(response.headers),
                picture=picture,
            )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            found = replace(made, trouble=self._mask.text(f"{type(error).__name__}: {error}"))
        return replace(found, received_ms=self.now_ms)


# --- reading answers --------------------------------------------------------------------------


def _read_content(response: httpx.Response, clock: Callable[[], float]) -> tuple[bytes, str | None]:
    """Return a body, decompressed and up to a limit, and why it is not complete.

    Raises:
        httpx.TransportError: The connection broke off.
    """
    data = b""
    try:
        for piece in _pieces(response, clock):
            data += piece
            if len(data) > MOST_BYTES:
                return data[:MOST_BYTES], f"the answer is longer than {MOST_BYTES:,} bytes"
    except TimeoutError as error:
        return data, str(error)
    except httpx.DecodingError as error:
        coding = response.headers.get("content-encoding")
        return data, f"the answer is no {coding}, as its Content-Encoding says: {error}"
    return data, None


def _read_result(response: httpx.Response, clock: Callable[[], float], *, whole: bool) -> Picture:
    """Return format and size from a picture's head, and whether it has its end if it is read as a whole.

    Raises:
        httpx.HTTPError: The connection broke off, or the picture cannot be decompressed.
        TimeoutError: It took too long.
    """
    picture, head, tail, size = None, b"", b"", 0
    for piece in _pieces(response, clock):
        size += len(piece)
        tail = (tail + piece)[-_TAIL_BYTES:]
        if picture is None:
            head += piece
            picture = read_picture(head)
        is_enough = picture is not None and not (whole and picture.format)
        if is_enough or size > (_HEAD_BYTES if picture is None else _WHOLE_BYTES):
            return picture or Picture(None, 0, 0)
    if picture is None or picture.format is None:
        return Picture(None, 0, 0)
    return replace(picture, is_whole=size < _STAND_IN_BYTES or _has_end(head, tail, size))


def _pieces(response: httpx.Response, clock: Callable[[], float]) -> Iterator[bytes]:
    until = clock() + _MOST_S
    for piece in response.iter_bytes(_PIECE):
        yield piece
        if clock() > until:
            raise TimeoutError(f"the answer had not ended after {_MOST_S:.0f} s")


def asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `Retry-After`; a date is compared with the answer's own `Date`."""
    now = http_date_s(headers.get("date", ""))
    return retry_after_s(headers.get("retry-after", ""), math.nan if now is None else now)


# --- pictures ---------------------------------------------------------------------------------

# By these the format is recognised.
_SIGNATURE_BYTES = 12


def read_picture(head: bytes) -> Picture | None:
    """Return a picture's format and size from its first bytes; None if more bytes are needed.

    Bytes that are no JPG, PNG or WebP give a picture without format.
    """
    if len(head) < _SIGNATURE_BYTES:
        return None
    name = picture_format(head)
    if name is None:
        return Picture(None, 0, 0)
    width, height = imagesize.get(BytesIO(head))
    return Picture(name, width, height) if width > 0 else None


def _has_end(head: bytes, tail: bytes, size: int) -> bool:
    """True if a picture ends as its format does."""
    if head.startswith(b"RIFF"):
        return int.from_bytes(head[4:8], "little") + 8 <= size
    return (b"IEND" if head.startswith(b"\x89") else b"\xff\xd9") in tail
