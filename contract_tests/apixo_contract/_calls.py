"""The calls of a run: sent over httpx, slowed down when the target is busy, and written down."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import httpx

from apixo_contract._answers import read_content, read_head, retry_after
from apixo_contract._masking import PLACEHOLDER, Mask
from apixo_contract._observations import Exchange, Key, Purpose
from apixo_contract._settings import Settings, Unreachable
from apixo_schemas import contract, document

# Answers that say "come again": they tell nothing of the contract, and no task was started.
BUSY = frozenset({429, 503})
# Answers that may pass too, but leave open whether a submit was taken.
_BROKEN = frozenset({500, 502, 504})
_BUSY_TRIES = 8
_TRIES = 3
# Calls on end without any answer, after which the target is taken for gone.
_MOST_SILENT = 6
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_PATIENCE_S = 120.0
_TIMEOUT_S = 30.0
_TEXT_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Ask:
    """One call to be made."""

    purpose: Purpose
    method: str
    url: str
    key: Key = Key.OWN
    body: str | None = None
    content_type: str | None = "application/json"
    probe: str = ""
    task_id: str | None = None
    # Whether the call may be made again after an answer that says "come again".
    may_repeat: Callable[[Exchange], bool] = lambda _found: True


class Calls:
    """Sends calls one after the other and keeps what they showed.

    Args:
        settings: The target and the key.
        transport: Instead of the network, for a target in this process.
        sleep: Waits so many seconds.
        clock: Gives the time in Unix seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.BaseTransport | None,
        sleep: Callable[[float], object],
        clock: Callable[[], float],
    ) -> None:
        self._base = settings.base_url
        self._keys = {
            Key.OWN: settings.api_key,
            Key.WRONG: f"sk-contract-{settings.seed:08x}-no-such-key",
        }
        self._mask = Mask(settings.api_key)
        self._client = httpx.Client(
            transport=transport,
            timeout=_TIMEOUT_S,
            # A proxy of the environment has no business between this machine and itself; a
            # certificate authority of the environment has.
            trust_env=not settings.is_local,
            verify=httpx.create_ssl_context() if self._base.startswith("https:") else True,
        )
        self._sleep = sleep
        self._clock = clock
        self._number = 0
        self._answered = False
        self._silent = 0
        # What a busy target may hold the run up, in all.
        self._patience_s = _PATIENCE_S
        self.exchanges: list[Exchange] = []

    @property
    def now_ms(self) -> int:
        """Give the local time."""
        return round(self._clock() * 1000)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def endpoint(self, name: str, model: str | None = None) -> str:
        """Give the URL of an endpoint of the contract: ``submit``, ``status``, ``balance``."""
        path: str = document("model.json")["api"][name]["path"]
        return self._base + path.replace("{model}", model or contract().model)

    def submit(self, body: str, purpose: Purpose, **more: Any) -> Exchange:
        """Submit a body. The caller has counted it on the budget."""
        url = self.endpoint("submit")
        return self.send(Ask(purpose, "POST", url, body=body, **more))

    def status(self, task_id: str, purpose: Purpose, **more: Any) -> Exchange:
        """Poll a task."""
        model = more.pop("model", None)
        # A broken target may give an id that is no text, and is asked about it all the same.
        asked = {document("model.json")["api"]["status"]["query"]: task_id}
        query = urlencode(asked, errors="surrogatepass")
        url = f"{self.endpoint('status', model)}?{query}"
        return self.send(Ask(purpose, "GET", url, task_id=task_id, **more))

    def without_task_id(self) -> Ask:
        """Give a poll that names no task."""
        return Ask(Purpose.PROBE, "GET", self.endpoint("status"), probe="task_id.missing")

    def balance(
        self, probe: str, key: Key = Key.OWN, purpose: Purpose = Purpose.BALANCE
    ) -> Exchange:
        """Read the balance; ``probe`` says at which point of the run."""
        return self.send(Ask(purpose, "GET", self.endpoint("balance"), key=key, probe=probe))

    def send(self, ask: Ask) -> Exchange:
        """Make a call, again while the target is busy, and keep its last answer.

        Raises:
            Unreachable: The target has never answered, or not for several calls on end.
        """
        wait, attempt = _FIRST_WAIT_S, 1
        while self._again(ask, found := self._once(ask), attempt):
            self.exchanges.append(replace(found, purpose=Purpose.BUSY))
            self._wait(retry_after(found.answer_headers) or wait)
            wait, attempt = min(wait * 2, _LONGEST_WAIT_S), attempt + 1
        self.exchanges.append(found)
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

    def _again(self, ask: Ask, found: Exchange, attempt: int) -> bool:
        if found.status in BUSY:
            patient = attempt < _BUSY_TRIES and self._patience_s > 0
            return patient and ask.may_repeat(found)
        # A submit that broke off may have been taken: sending it again could cost twice.
        if ask.method == "POST" or attempt >= _TRIES or not self._heard(found):
            return False
        return found.status is None or found.status in _BROKEN

    def _heard(self, found: Exchange) -> bool:
        """Whether the target has ever answered: nobody waits for one that is not there."""
        return self._answered or found.status is not None

    def _once(self, ask: Ask) -> Exchange:
        request = self._client.build_request(
            ask.method, ask.url, headers=self._headers(ask), content=ask.body
        )
        sent = self.now_ms
        made = self._exchange(ask, sent)
        try:
            with closing(self._client.send(request, stream=True)) as response:
                content = read_content(response, self._clock)
        except httpx.RequestError as error:
            trouble = self._mask.text(f"{type(error).__name__}: {error}".rstrip(": "))
            return replace(made, received_ms=self.now_ms, trouble=trouble)
        # JSON between systems is UTF-8, whatever a header says.
        text = self._mask.text(content.data.decode("utf-8", errors="replace"))
        return replace(
            made,
            received_ms=self.now_ms,
            status=response.status_code,
            answer_headers=self._mask.headers(response.headers),
            text=text[:_TEXT_CHARACTERS],
            trouble=content.trouble and self._mask.text(content.trouble),
        )

    def _headers(self, ask: Ask) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if ask.key in self._keys:
            headers["Authorization"] = f"Bearer {self._keys[ask.key]}"
        if ask.body is not None and ask.content_type is not None:
            headers["Content-Type"] = ask.content_type
        return headers

    def _exchange(self, ask: Ask, sent_ms: int) -> Exchange:
        self._number += 1
        shown = self._headers(ask)
        if ask.key is Key.OWN:
            shown["Authorization"] = f"Bearer {PLACEHOLDER}"
        return Exchange(
            number=self._number,
            purpose=ask.purpose,
            method=ask.method,
            url=self._mask.text(ask.url),
            sent_ms=sent_ms,
            received_ms=sent_ms,
            key=ask.key,
            headers=self._mask.headers(shown),
            body=None if ask.body is None else self._mask.text(ask.body),
            probe=ask.probe,
            task_id=None if ask.task_id is None else self._mask.text(ask.task_id),
        )

    def forget(self, found: Exchange) -> None:
        """Take a call out of what is judged: it is made again."""
        place = self.exchanges.index(found)
        self.exchanges[place] = replace(found, purpose=Purpose.BUSY)

    def result(self, url: str, task_id: str) -> Exchange:
        """Fetch the head of a result file, without the key: the link alone must do."""
        made = self._exchange(
            Ask(Purpose.RESULT, "GET", url, key=Key.NONE, task_id=task_id), self.now_ms
        )
        try:
            with self._client.stream("GET", url, follow_redirects=True) as response:
                picture = read_head(response, self._clock) if response.is_success else None
            found = replace(
                made,
                status=response.status_code,
                answer_headers=self._mask.headers(response.headers),
                picture=picture,
            )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            found = replace(made, trouble=self._mask.text(f"{type(error).__name__}: {error}"))
        found = replace(found, received_ms=self.now_ms)
        self.exchanges.append(found)
        return found
