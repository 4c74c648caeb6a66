"""Variants of what is not documented about requests, and of a busy platform."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from gauntlet.conduct import BALANCE, Conduct
from gauntlet.mutant import RUNNING
from gauntlet.rules import PAGE, UNSAID, Broken, given
from gauntlet.variants import variant, varied
from gauntlet.wire import Reply, Request

# --- the order of the rules -----------------------------------------------------------------------

_ORDERS = {
    "rules asked in another order": (*UNSAID, *PAGE[7:], PAGE[1], PAGE[0], *PAGE[2:7]),
    # Within `image_urls` too.
    "rules asked backwards": (PAGE[0], *reversed((*PAGE[1:], *UNSAID))),
}
for _name, _rules in _ORDERS.items():
    varied(
        _name,
        rules=_rules,
        refutes=("order",),
        upholds=("values.whitespace", "null.optional", "parameters.unknown"),
    )


@variant("validation before the key")
class BodyFirst(Conduct):
    """Which of two mistakes is answered is not documented."""

    def handle(self, request: Request) -> Reply:
        if request.method == "POST" and not self.authorised(request):
            try:
                body = json.loads(request.body)
            except ValueError:
                return self.error(400, "that is not JSON", "json")
            broken = next((r for r in PAGE if isinstance(body, dict) and r.when(body)), None)
            if broken is not None:
                return self.rejection(broken)
        return super().handle(request)


# --- bodies ---------------------------------------------------------------------------------------


@variant("null is a value like others")
class NullIsAValue(Conduct):
    """Whether null means left out is not documented."""

    refutes = ("null.optional",)

    def decided(self, body: dict[str, Any]) -> Reply:
        inputs = body.get("input")
        if isinstance(inputs, dict):
            changed = {name: 0 if value is None else value for name, value in inputs.items()}
            body = {**body, "input": changed}
        return super().decided(body)


def _no_url(body: dict[str, Any]) -> bool:
    return not body["input"]["image_urls"][0].startswith(("http", "data:"))


@variant("strict where nothing is said")
class Strict(Conduct):
    """request_type wanted, unknown parameters and nulls refused, no blank URL, JSON header."""

    refutes = (
        "body.content_type",
        "image_url.not_a_url",
        "null.optional",
        "parameters.unknown",
        "request_type.missing",
    )
    known = frozenset({"mode", "image_urls", "resolution", "output_format"})
    rules = (
        *PAGE,
        Broken("request_type", "request_type?", lambda body: "request_type" not in body),
        *UNSAID,
        Broken("unknown", "unknown parameter", lambda body: not set(body["input"]) <= Strict.known),
        Broken("null", "null is no value", lambda body: None in body["input"].values()),
        Broken("url", "no URL", _no_url),
    )
    body_limit = 64 * 1024

    def handle(self, request: Request) -> Reply:
        wanted = request.headers.get("content-type", "").startswith("application/json")
        if request.method == "POST" and not wanted and self.authorised(request):
            return self.error(400, "JSON, please", "json")
        return super().handle(request)


@variant("lenient where nothing is said")
class Trimming(Conduct):
    """Any request_type is polled, formats in any case, values trimmed."""

    refutes = ("output_format.case", "request_type.unknown", "values.whitespace")
    rules = (*PAGE, *UNSAID[1:])

    def decided(self, body: dict[str, Any]) -> Reply:
        inputs = body.get("input")
        if isinstance(inputs, dict):
            changed = {n: v.strip() if isinstance(v, str) else v for n, v in inputs.items()}
            wanted = changed.get("output_format")
            if isinstance(wanted, str):
                changed["output_format"] = wanted.lower()
            body = {**body, "input": changed}
        return super().decided(body)


def _no_tier(body: dict[str, Any]) -> bool:
    value = given(body, "resolution")
    return (isinstance(value, str) and not value.isascii()) or PAGE[7].when(body)


# The Kelvin sign is a `k` to some languages and not to others.
varied(
    "lower case as ASCII has it",
    rules=tuple(replace(r, when=_no_tier) if r is PAGE[7] else r for r in Conduct.rules),
)


def _not_public(body: dict[str, Any]) -> bool:
    by_callback = body.get("request_type") == "callback"
    return by_callback and not str(body.get("callback_url")).startswith("https://")


# The page: must be a public HTTPS URL.
varied(
    "callbacks to public HTTPS only",
    refutes=("callback_url.not_https",),
    rules=(*Conduct.rules, Broken("https", "callback_url must be public", _not_public)),
)


@variant("only what the page names")
class PageOnly(Conduct):
    """No balance endpoint: it stands on another page."""

    def handle(self, request: Request) -> Reply:
        if request.path == BALANCE and self.authorised(request):
            return self.error(403, "this key may not read the balance", "routing")
        return super().handle(request)


# --- a busy platform ------------------------------------------------------------------------------


class Interrupted(Conduct):
    """Now and then a call is refused; the caller is to come back."""

    share = 0.04
    status_code = 429
    retry_after = "1"

    def interruption(self, request: Request) -> Reply | None:
        del request
        return self.busy() if self.rng.random() < self.share else None

    def busy(self) -> Reply:
        headers = {"retry-after": self.retry_after} if self.retry_after else {}
        return replace(self.error(self.status_code, "busy", "busy"), headers=headers)


varied("429 with Retry-After now and then", Interrupted)
varied("429 without Retry-After", Interrupted, refutes=("retry_after",), retry_after="")
varied("503 now and then", Interrupted, status_code=503, share=0.02)
# A transient error of a proxy; the page says to retry with backoff.
varied("502 now and then", Interrupted, status_code=502, share=0.004, retry_after="")


@variant("at most 40 calls a second")
class Throttled(Interrupted):
    """A window of one second; what is over gets 429."""

    window: tuple[int, int] = (0, 0)

    def interruption(self, request: Request) -> Reply | None:
        del request
        second, count = self.window
        now = int(self.now())
        count = count + 1 if second == now else 1
        self.window = (now, count)
        return self.busy() if count > 40 else None


@variant("at most three tasks at once")
class FewAtOnce(Interrupted):
    """The page: 429, rate limit or concurrency limit reached."""

    share = 0.0

    def decided(self, body: dict[str, Any]) -> Reply:
        running = sum(self.state(task) in RUNNING for task in self.tasks.values())
        valid = not any(rule.when(body) for rule in self.rules)
        return self.busy() if valid and running >= 3 else super().decided(body)
