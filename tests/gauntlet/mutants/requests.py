"""Mutants of what requests get: rules, refusals, keys, unknown tasks, modes and accepted values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gauntlet.conduct import BALANCE, FAILING_IMAGE, KEY, MODEL, STATUS, SUBMIT, Conduct, Task
from gauntlet.mutant import breaks, made
from gauntlet.rules import ABSENT, PAGE, Broken, given, only, outside
from gauntlet.wire import Reply, Request

When = Callable[[dict[str, Any]], bool]
TIERS, FORMATS = ("2k", "4k", "8k"), ("jpg", "jpeg", "png", "webp")
ROWS = {rule.id: rule for rule in PAGE}
# The parameter of a row, the check that names it, and its message as a hasty copy would have it.
PARAMETERS = {"resolution": "resolution", "format": "output_format", "mode": "mode"}
CHECKS = {
    "input": "submit.rule.input.missing",
    "mode": "submit.rule.mode.invalid",
    "missing": "submit.rule.image_urls.missing",
    "array": "submit.rule.image_urls.not_array",
    "length": "submit.rule.image_urls.length",
    "element": "submit.rule.image_urls.element_type",
    "empty": "submit.rule.image_urls.element_empty",
    "resolution": "submit.rule.resolution.invalid",
    "format": "submit.rule.output_format.invalid",
}
REWORDED = {
    "input": "The required parameter {input} is missing.",
    "mode": "Invalid mode type. Supported: image-to-image.",
    "missing": "The required parameter {{image_urls}} is missing",
    "array": "The parameter {{image_urls}} must be array type.",
    "length": "The parameter {{image_urls}} must contain exactly 1 images.",
    "element": "The parameter {{image_urls}} array elements must be String type.",
    "empty": "The parameter {{image_urls}} cannot contain an empty string.",
    "resolution": "The parameter {{resolution}} must be either '2k', '4k', or '8k'.",
    "format": 'The parameter {{output_format}} must be either "jpg", "png" or "webp".',
}


def rules_with(row: str, **changes: Any) -> tuple[Broken, ...]:
    """Return the rules of the server, one of them changed."""
    return tuple(replace(r, **changes) if r.id == row else r for r in Conduct.rules)


def refusing(name: str, when: When) -> tuple[Broken, ...]:
    """Return the rules of the server and one more."""
    return (*Conduct.rules, Broken(name, f"{name}?", when))


def _forgiving(self: Conduct, body: dict[str, Any]) -> Reply:
    """Accept what no rule refuses, even where that leaves nothing to work on."""
    if not any(rule.when(body) for rule in self.rules):
        inputs = body["input"] if isinstance(body.get("input"), dict) else {}
        urls = inputs.get("image_urls")
        urls = urls if isinstance(urls, list) else [urls]
        tier, kind = inputs.get("resolution"), inputs.get("output_format")
        mended = {
            "image_urls": [str(url) for url in urls] or [FAILING_IMAGE],
            "resolution": tier if str(tier).lower() in TIERS else None,
            "output_format": kind if str(kind) in FORMATS else None,
        }
        body = {**body, "input": mended}
    return Conduct.decided(self, body)


# --- a rule that is said otherwise, or not at all -------------------------------------------------

for _row, _check in CHECKS.items():
    made(f"rule {_row}: reworded", _check, rules=rules_with(_row, message=REWORDED[_row]))
    _others = tuple(rule for rule in Conduct.rules if rule.id != _row)
    made(f"rule {_row}: accepted", _check, rules=_others, decided=_forgiving)

# --- a rule that fewer bodies break than the page says --------------------------------------------


def unless(row: str, exempt: Callable[[Any], bool], name: str = "") -> When:
    """Return the condition of a row, false for exempt values of its parameter."""
    name = name or PARAMETERS[row]
    return lambda body: ROWS[row].when(body) and not exempt(given(body, name))


def starts(name: str, *heads: str) -> When:
    """Return the condition that a parameter begins with none of these."""

    def condition(body: dict[str, Any]) -> bool:
        value = given(body, name)
        return value is not ABSENT and not str(value).lower().startswith(heads)

    return condition


def element(*kinds: type | None) -> When:
    """Return the condition that the first image is neither a text nor of these types."""
    return only(
        lambda urls: (
            bool(urls)
            and not isinstance(urls[0], (str, *(type(k) if k is None else k for k in kinds)))
        )
    )


def no_text(value: Any) -> bool:
    return not isinstance(value, str)


_NEARLY: tuple[tuple[str, str, When], ...] = (
    ("a prefix is enough", "resolution", starts("resolution", *TIERS)),
    ("a prefix is enough", "format", starts("output_format", *FORMATS)),
    ("a prefix is enough", "mode", starts("mode", "image")),
    ("a number is enough", "resolution", unless("resolution", lambda value: value in (2, 4, 8))),
    *(("other types are not looked at", row, unless(row, no_text)) for row in PARAMETERS),
    ("three are accepted", "length", only(lambda urls: len(urls) in {0, 2})),
    ("none is accepted", "length", only(lambda urls: len(urls) > 1)),
    ("numbers are accepted", "element", element(int)),
    ("null is accepted", "element", element(None)),
    ("objects are accepted", "element", element(dict)),
    ("a bare text is wrapped", "array", unless("array", lambda v: not no_text(v), "image_urls")),
    (
        "an object is taken for one",
        "array",
        unless("array", lambda v: isinstance(v, dict), "image_urls"),
    ),
    ("two images accepted", "length", lambda body: given(body, "image_urls") == []),
    ("1k and 16k accepted", "resolution", outside("resolution", "1k", *TIERS, "16k", fold=True)),
    ("gif accepted", "format", outside("output_format", *FORMATS, "gif")),
    ("text-to-image accepted", "mode", outside("mode", "image-to-image", "text-to-image")),
)
for _name, _row, _when in _NEARLY:
    _rules = rules_with(_row, when=_when)
    made(f"rule {_row}: {_name}", CHECKS[_row], rules=_rules, decided=_forgiving)

# --- a rule that more bodies break than the page says ---------------------------------------------


def also(row: str, value: str) -> When:
    return lambda body: given(body, PARAMETERS[row]) == value or ROWS[row].when(body)


def needed(name: str, *supported: str) -> When:
    return lambda body: str(given(body, name)) not in supported


_STRICT: tuple[tuple[str, str, str, When], ...] = (
    ("mode", "needed", "submit.default.mode", needed("mode", "image-to-image")),
    (
        "resolution",
        "needed",
        "submit.default.resolution",
        needed("resolution", *TIERS, "2K", "4K", "8K"),
    ),
    ("format", "needed", "submit.default.output_format", needed("output_format", *FORMATS)),
    ("resolution", "case matters", "submit.resolution-case", outside("resolution", *TIERS)),
    *(
        ("resolution", f"no {k}", "submit.resolution-case", also("resolution", k))
        for k in ("4K", "8K")
    ),
    ("format", "no jpeg", "submit.jpeg-alias", also("format", "jpeg")),
    ("resolution", "no 2k", "submit.accepts", outside("resolution", "4k", "8k", fold=True)),
    ("resolution", "no 8k", "submit.accepts", outside("resolution", "2k", "4k", fold=True)),
    *(("format", f"no {kind}", "submit.accepts", also("format", kind)) for kind in ("png", "webp")),
)
for _row, _name, _check, _when in _STRICT:
    made(f"rule {_row}: {_name}", _check, rules=rules_with(_row, when=_when))


# --- modes ----------------------------------------------------------------------------------------


def by_callback(body: dict[str, Any]) -> bool:
    return body.get("request_type") == "callback"


def _mended(self: Conduct, body: dict[str, Any]) -> Reply:
    """Accept what no rule refuses, with defaults for values that cannot be served."""
    asked = body.get("input")
    if by_callback(body) and isinstance(asked, dict):
        known = {"resolution": TIERS, "output_format": FORMATS}
        kept = {k: v for k, v in asked.items() if k not in known or str(v).lower() in known[k]}
        if not any(rule.when(body) for rule in self.rules):
            body = {**body, "input": kept}
    return Conduct.decided(self, body)


def _async_only(rule: Broken) -> Broken:
    return replace(rule, when=lambda body: not by_callback(body) and rule.when(body))


made(
    "callback mode: values are not looked at",
    "submit.callback-mode",
    rules=tuple(_async_only(rule) if rule.id in PARAMETERS else rule for rule in Conduct.rules),
    decided=_mended,
)
made(
    "callback mode: no jpeg",
    "submit.jpeg-alias",
    rules=(
        *Conduct.rules,
        replace(
            ROWS["format"],
            when=lambda body: by_callback(body) and given(body, "output_format") == "jpeg",
        ),
    ),
)
made(
    "callback mode: an empty address",
    "submit.callback-url-required",
    rules=rules_with("callback_url", when=lambda b: by_callback(b) and "callback_url" not in b),
    callback_moments=lambda _self, task: [task.completed_s] if task.callback_url else [],
)
made(
    "rules: provider refused",
    "submit.provider",
    rules=refusing("provider", lambda b: "provider" in b),
)
made("callback: refused", "submit.accepts callback.delivered", rules=refusing("mode", by_callback))
made(
    "async: refused",
    "submit.accepts",
    rules=refusing("mode", lambda body: body.get("request_type") == "async"),
)


@breaks("callback mode without an address", "submit.callback-url-required")
class CallbackWithoutAddress(Conduct):
    rules = tuple(r for r in Conduct.rules if r.id not in {"callback_url", "callback_url_type"})

    def accept(self, body: dict[str, Any]) -> Task:
        if not isinstance(body.get("callback_url"), str):
            body = {**body, "request_type": "async"}
        return super().accept(body)


# --- refusals -------------------------------------------------------------------------------------


def refusal(status: int, **members: Any) -> Callable[[str], Reply]:
    """Return what makes an answer of a message, with some members of its envelope changed."""
    return lambda words: Reply(status, {"code": status, "message": words, "data": None, **members})


_REJECTIONS = {
    "500": ("errors.validation-status", refusal(500)),
    "422": ("errors.validation-status", refusal(422)),
    "HTTP 200, code 400": ("envelope.code errors.validation-status", refusal(200, code=400)),
    "HTTP 400, code 200": ("envelope.code", refusal(400, code=200)),
    "with a taskId": ("submit.refused-id", refusal(400, data={"taskId": "7" * 32})),
}


def _rejecting(answer: Callable[[str], Reply]) -> Any:
    return lambda _self, broken: answer(broken.message)


for _name, (_check, _answer) in _REJECTIONS.items():
    made(f"rejection: {_name}", _check, rejection=_rejecting(_answer))


@breaks("rejection: every message at once", "submit.several-rules")
class AllMessages(Conduct):
    def decided(self, body: dict[str, Any]) -> Reply:
        broken = [rule.message for rule in self.rules if rule.when(body)]
        if len(broken) > 1:
            return self.error(400, " ".join(broken), "rules")
        return super().decided(body)


def at(place: str, answer: Callable[[str], Reply]) -> Any:
    """Return the method that answers errors of one place otherwise."""

    def error(self: Conduct, status: int, message: str, where: str) -> Reply:
        return answer(message) if where == place else Conduct.error(self, status, message, where)

    return error


for _status in (401, 500, 502):
    made(f"no JSON: {_status}", "errors.invalid-body", error=at("json", refusal(_status)))


@breaks("no JSON: accepted", "errors.invalid-body")
class AnyBytes(Conduct):
    def parsed(self, content: bytes) -> Any:
        try:
            return super().parsed(content)
        except ValueError:
            return {"input": {"image_urls": [FAILING_IMAGE]}}


# --- keys -----------------------------------------------------------------------------------------

_GOOD = f"Bearer {KEY}"
_KEYS: dict[str, tuple[str, Callable[[str, Request], bool]]] = {
    "no key needed": ("auth.missing", lambda a, r: "authorization" not in r.headers or a == _GOOD),
    "any key": ("auth.invalid", lambda a, _r: a.startswith("Bearer ")),
    "status is open": ("auth.missing", lambda a, r: r.path.startswith(STATUS) or a == _GOOD),
    "submit is open": ("auth.missing", lambda a, r: r.path.startswith(SUBMIT) or a == _GOOD),
    "balance is open": ("auth.missing", lambda a, r: r.path == BALANCE or a == _GOOD),
    "a prefix": ("auth.invalid", lambda a, _r: len(a) > 9 and _GOOD.startswith(a)),
    "more letters": ("auth.invalid", lambda a, _r: a.startswith(_GOOD)),
    "any case": ("auth.invalid", lambda a, _r: a.lower() == _GOOD.lower()),
    "any scheme": ("auth.missing", lambda a, _r: a.partition(" ")[2] == KEY),
    "no scheme": ("auth.missing", lambda a, _r: a in (KEY, _GOOD)),
    "the query": ("auth.missing", lambda a, r: a == _GOOD or r.query.get("api_key") == KEY),
}


def _accepting(rule: Callable[[str, Request], bool]) -> Any:
    return lambda _self, request: rule(request.headers.get("authorization", ""), request)


for _name, (_check, _rule) in _KEYS.items():
    made(f"auth: {_name}", _check, authorised=_accepting(_rule))
for _status in (400, 403, 404, 500):
    made(
        f"auth: {_status} without a key",
        "auth.missing auth.invalid",
        error=at("auth", refusal(_status)),
    )
made(
    "auth: HTTP 200, code 401",
    "auth.missing envelope.code",
    error=at("auth", refusal(200, code=401)),
)
made(
    "auth: a bare 401",
    "envelope.shape",
    error=at("auth", lambda _message: Reply(401, {"detail": "Not authenticated"})),
)

# --- unknown tasks --------------------------------------------------------------------------------

_PENDING = {"taskId": "x", "state": "pending", "createTime": 1767965610929}
_UNKNOWN = {
    "200, data null": ("status.unknown-task", refusal(200)),
    "200, pending": ("status.unknown-task", refusal(200, data=_PENDING)),
    "HTTP 200, code 404": ("envelope.code status.unknown-task", refusal(200, code=404)),
    "HTTP 404, code 200": ("envelope.code status.unknown-task", refusal(404, code=200)),
    "400": ("status.unknown-task", refusal(400)),
    "500": ("status.unknown-task", refusal(500)),
}
for _name, (_check, _answer) in _UNKNOWN.items():
    made(f"unknown task: {_name}", _check, error=at("task", _answer))
made(
    "model: any name shows a task",
    "status.unknown-model",
    status=lambda self, request, _model: Conduct.status(self, request, MODEL),
)

# --- values that are accepted, and then served otherwise or not at all ----------------------------

made("default: png", "submit.default.output_format", default_format=lambda _self: "png")
made("formats: always jpg", "result.format", format_of=lambda _self, _wanted: "jpg")
for _name, _check, _from in (
    ("alias: jpeg becomes png", "submit.jpeg-alias", "jpeg"),
    ("formats: webp is png", "result.format", "webp"),
):
    _formats = {"jpeg": "jpg", "jpg": "jpg", "png": "png", "webp": "webp", _from: "png"}
    made(_name, _check, format_of=lambda _self, wanted, known=_formats: known[wanted])
for _tier in ("2k", "8k"):
    made(
        f"default: {_tier}",
        "submit.default.resolution",
        tier=lambda self, wanted, other=_tier: Conduct.tier(self, wanted or other),
    )
made(
    "tiers: capitals mean 4k",
    "submit.resolution-case result.tier",
    tier=lambda _self, wanted: wanted if wanted in TIERS else "4k",
)


def _failing(rule: Callable[[dict[str, Any]], bool]) -> Any:
    def accept(self: Conduct, body: dict[str, Any]) -> Task:
        task = Conduct.accept(self, body)
        task.fail_code = "Unknown error" if rule(body["input"]) else task.fail_code
        return task

    return accept


_FAILING: dict[str, tuple[str, Callable[[dict[str, Any]], bool]]] = {
    "jpeg": ("submit.jpeg-alias", lambda asked: asked.get("output_format") == "jpeg"),
    "webp": ("submit.accepts", lambda asked: asked.get("output_format") == "webp"),
    "no resolution": ("submit.default.resolution", lambda asked: "resolution" not in asked),
    "no format": ("submit.default.output_format", lambda asked: "output_format" not in asked),
    "capitals": ("submit.resolution-case", lambda asked: "K" in str(asked.get("resolution"))),
}
for _name, (_check, _fails) in _FAILING.items():
    made(f"tasks: {_name} always fails", _check, accept=_failing(_fails))
