"""Mutants of callback mode, keys, accepted values, and billing of single tasks."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from gauntlet.conduct import KEY, Conduct, Task
from gauntlet.mutant import breaks, made
from gauntlet.rules import PAGE, UNSAID, Broken, given
from gauntlet.wire import Reply

# --- callback mode --------------------------------------------------------------------------


def _is_callback(body: dict[str, Any]) -> bool:
    return body.get("request_type") == "callback"


def _async_only(rule: Broken) -> Broken:
    return replace(rule, when=lambda body: not _is_callback(body) and rule.when(body))


_LAX = ("mode", "resolution", "format")


def _mended(self: Conduct, body: dict[str, Any]) -> Reply:
    """Accept what no rule refuses, with defaults for values that cannot be served."""
    asked = body.get("input")
    if _is_callback(body) and isinstance(asked, dict):
        known = {"resolution": {"2k", "4k", "8k"}, "output_format": {"jpg", "png", "webp", "jpeg"}}
        kept = {k: v for k, v in asked.items() if k not in known or str(v).lower() in known[k]}
        if not any(rule.when(body) for rule in self.rules):
            body = {**body, "input": kept}
    return Conduct.decided(self, body)


made(
    "callback mode: values are not looked at",
    "Invalid `mode`, `resolution`, `output_format` (in both modes)",
    "submit.callback-mode",
    rules=(*(_async_only(rule) if rule.id in _LAX else rule for rule in PAGE), *UNSAID),
    decided=_mended,
)
made(
    "callback mode: no jpeg",
    "`jpeg` is accepted as an input alias for `jpg`",
    "submit.jpeg-alias",
    rules=(
        *PAGE,
        *UNSAID,
        replace(
            next(rule for rule in PAGE if rule.id == "format"),
            when=lambda body: _is_callback(body) and given(body, "output_format") == "jpeg",
        ),
    ),
)
made(
    "callback mode: an empty address",
    "Required when `request_type` is `callback`",
    "submit.callback-url-required",
    rules=tuple(
        replace(rule, when=lambda body: _is_callback(body) and "callback_url" not in body)
        if rule.id == "callback_url"
        else rule
        for rule in Conduct.rules
    ),
    callback_moments=lambda _self, task: [task.completed_s] if task.callback_url else [],
)


# --- refusals -------------------------------------------------------------------------------


@breaks("rejection: 422", "`400` Invalid request body", "errors.validation-status")
class Rejected422(Conduct):
    def rejection(self, broken: Broken) -> Reply:
        return self.error(422, broken.message, "rules")


# --- keys -----------------------------------------------------------------------------------


def _accepts(rule: Any) -> Any:
    return lambda _self, request: rule(request.headers.get("authorization", ""), request)


for _name, _check, _rule in (
    ("a prefix", "auth.invalid", lambda a, _r: len(a) > 9 and f"Bearer {KEY}".startswith(a)),
    ("more letters", "auth.invalid", lambda a, _r: a.startswith(f"Bearer {KEY}")),
    ("any case", "auth.invalid", lambda a, _r: a.lower() == f"bearer {KEY}".lower()),
    ("any scheme", "auth.missing", lambda a, _r: a.partition(" ")[2] == KEY),
    ("no scheme", "auth.missing", lambda a, _r: a in (KEY, f"Bearer {KEY}")),
    (
        "the query",
        "auth.missing",
        lambda a, r: a == f"Bearer {KEY}" or r.query.get("api_key") == KEY,
    ),
):
    made(f"auth: {_name}", "`401` Missing or invalid API key", _check, authorised=_accepts(_rule))

# --- values that are accepted and then fail ---------------------------------------------------


def _fails(rule: Any) -> Any:
    def accept(self: Conduct, body: dict[str, Any]) -> Task:
        task = Conduct.accept(self, body)
        if rule(body["input"]):
            task.fail_code = "Unknown error"
        return task

    return accept


for _name, _check, _value in (
    ("jpeg", "submit.jpeg-alias", lambda i: i.get("output_format") == "jpeg"),
    ("webp", "submit.accepts", lambda i: i.get("output_format") == "webp"),
    ("no resolution", "submit.default.resolution", lambda i: "resolution" not in i),
    ("no format", "submit.default.output_format", lambda i: "output_format" not in i),
    ("capitals", "submit.resolution-case", lambda i: "K" in str(i.get("resolution"))),
):
    made(
        f"tasks: {_name} always fails",
        "Completed: `success`, for every supported value",
        _check,
        accept=_fails(_value),
    )

# --- money and callbacks ----------------------------------------------------------------------


@breaks("price: a repeated body is free", "billed per submitted image", "balance.price")
class FreeRepetition(Conduct):
    def price(self, task: Task) -> Decimal:
        seen = [other for other in self.tasks.values() if other.body == task.body]
        return Decimal(0) if len(seen) > 1 else super().price(task)


made(
    "balance: rounded to tenths",
    "data is the remaining USD balance (P3)",
    "balance.price",
    balance=lambda self: float(round(self.balance_usd, 1)),
)


@breaks("callback: another path", "The address that the task named", "callback.delivered")
class OtherPath(Conduct):
    def accept(self, body: dict[str, Any]) -> Task:
        task = super().accept(body)
        if task.callback_url:
            host = "/".join(task.callback_url.split("/")[:3])
            task.body = {**body, "callback_url": f"{host}/webhooks/apixo"}
        return task


@breaks("callback: no query", "The address that the task named", "callback.delivered")
class NoQuery(Conduct):
    def accept(self, body: dict[str, Any]) -> Task:
        task = super().accept(body)
        if task.callback_url:
            task.body = {**body, "callback_url": task.callback_url.partition("?")[0]}
        return task
