"""Mutants of the table of request validation, and of what is accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gauntlet.conduct import FAILING_IMAGE, Conduct, Task
from gauntlet.mutant import breaks, made
from gauntlet.rules import ABSENT, PAGE, UNSAID, Broken, given, only, outside
from gauntlet.wire import Reply

# Each row of the table said a little otherwise, as a hasty copy would have it.
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
ROW_CHECK = {
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


def _with_row(row: str, change: Broken | None) -> tuple[Broken, ...]:
    changed = (change if rule.id == row else rule for rule in PAGE + UNSAID)
    return tuple(rule for rule in changed if rule is not None)


def _forgiving(self: Conduct, body: dict[str, Any]) -> Reply:
    """Accept what no rule refuses, even where that leaves nothing to work on."""
    if not any(rule.when(body) for rule in self.rules):
        inputs = body["input"] if isinstance(body.get("input"), dict) else {}
        urls = inputs.get("image_urls")
        urls = urls if isinstance(urls, list) else [urls]
        urls = [str(url) for url in urls] or [FAILING_IMAGE]
        tier, kind = inputs.get("resolution"), inputs.get("output_format")
        known = str(tier).lower() in {"2k", "4k", "8k"}
        mended = {
            "image_urls": urls,
            "resolution": tier if known else None,
            "output_format": kind if str(kind) in {"jpg", "png", "webp", "jpeg"} else None,
        }
        body = {**body, "input": mended}
    return Conduct.decided(self, body)


for _rule in PAGE:
    made(
        f"rule {_rule.id}: reworded",
        f"Returns `{_rule.message}`",
        ROW_CHECK[_rule.id],
        rules=_with_row(_rule.id, replace(_rule, message=REWORDED[_rule.id])),
    )
    made(
        f"rule {_rule.id}: accepted",
        f"Returns `{_rule.message}`",
        ROW_CHECK[_rule.id],
        rules=_with_row(_rule.id, None),
        decided=_forgiving,
    )


def _row(row: str) -> Broken:
    return next(rule for rule in PAGE if rule.id == row)


made(
    "rule length: two images accepted",
    "Must contain exactly 1 non-empty public image URL",
    ROW_CHECK["length"],
    rules=_with_row(
        "length", replace(_row("length"), when=lambda body: given(body, "image_urls") == [])
    ),
)
made(
    "rule resolution: 1k and 16k accepted",
    "Supported values: `2k`, `4k`, `8k`",
    ROW_CHECK["resolution"],
    rules=_with_row(
        "resolution",
        replace(
            _row("resolution"), when=outside("resolution", "1k", "2k", "4k", "8k", "16k", fold=True)
        ),
    ),
    tier=lambda _self, wanted: str(wanted).lower() if str(wanted)[0] in "248" else "4k",
)
made(
    "rule format: gif accepted",
    "Supported values: `jpg`, `png`, `webp`",
    ROW_CHECK["format"],
    rules=_with_row(
        "format",
        replace(_row("format"), when=outside("output_format", "jpg", "jpeg", "png", "webp", "gif")),
    ),
    format_of=lambda _self, wanted: "jpg" if wanted in {"jpeg", "gif"} else wanted,
)
made(
    "rule mode: text-to-image accepted",
    "The only supported value is `image-to-image`",
    ROW_CHECK["mode"],
    rules=_with_row(
        "mode", replace(_row("mode"), when=outside("mode", "image-to-image", "text-to-image"))
    ),
)
made(
    "rule mode: needed",
    "If omitted, the backend defaults to `image-to-image`",
    "submit.default.mode",
    rules=_with_row(
        "mode", replace(_row("mode"), when=lambda b: given(b, "mode") != "image-to-image")
    ),
)
made(
    "rule resolution: needed",
    "resolution, default 4k",
    "submit.default.resolution",
    rules=_with_row(
        "resolution",
        replace(
            _row("resolution"),
            when=lambda b: str(given(b, "resolution")).lower() not in {"2k", "4k", "8k"},
        ),
    ),
)
made(
    "rule format: needed",
    "output_format, default jpg",
    "submit.default.output_format",
    rules=_with_row(
        "format",
        replace(
            _row("format"),
            when=lambda b: str(given(b, "output_format")) not in {"jpg", "png", "webp", "jpeg"},
        ),
    ),
)
made(
    "rule resolution: case matters",
    "Values are case-insensitive and normalized to lowercase",
    "submit.resolution-case",
    rules=_with_row(
        "resolution", replace(_row("resolution"), when=outside("resolution", "2k", "4k", "8k"))
    ),
)
made(
    "rule format: no jpeg",
    "`jpeg` is accepted as an input alias for `jpg`",
    "submit.jpeg-alias",
    rules=_with_row(
        "format", replace(_row("format"), when=outside("output_format", "jpg", "png", "webp"))
    ),
)
for _tier in ("2k", "8k"):
    made(
        f"rule resolution: no {_tier}",
        "Supported values: `2k`, `4k`, `8k`",
        "submit.accepts",
        rules=_with_row(
            "resolution",
            replace(
                _row("resolution"),
                when=outside("resolution", *{"2k", "4k", "8k"} - {_tier}, fold=True),
            ),
        ),
    )
for _format in ("png", "webp"):
    made(
        f"rule format: no {_format}",
        "Supported values: `jpg`, `png`, `webp`",
        "submit.accepts",
        rules=_with_row(
            "format",
            replace(
                _row("format"),
                when=outside("output_format", *{"jpg", "jpeg", "png", "webp"} - {_format}),
            ),
        ),
    )


@breaks(
    "callback mode without an address",
    "Required when `request_type` is `callback`",
    "submit.callback-url-required",
)
class CallbackWithoutAddress(Conduct):
    rules = tuple(r for r in Conduct.rules if r.id not in {"callback_url", "callback_url_type"})

    def accept(self, body: dict[str, Any]) -> Task:
        if not isinstance(body.get("callback_url"), str):
            body = {**body, "request_type": "async"}
        return super().accept(body)


made(
    "rules: provider refused",
    "A top-level `provider` must be accepted (P7)",
    "submit.provider",
    rules=(*PAGE, *UNSAID, Broken("provider", "provider?", lambda body: "provider" in body)),
)

# --- rules that are nearly right ------------------------------------------------------------


def _starts(name: str, *heads: str) -> Callable[[dict[str, Any]], bool]:
    def condition(body: dict[str, Any]) -> bool:
        value = given(body, name)
        return value is not ABSENT and not str(value).lower().startswith(heads)

    return condition


def _nearly(name: str, row: str, when: Callable[[dict[str, Any]], bool]) -> None:
    """Add a mutant whose rule is broken by fewer bodies than the page says."""
    rule = _row(row)
    changed = _with_row(row, replace(rule, when=when))
    made(
        f"rule {row}: {name}",
        f"{rule.message} (any other value)",
        ROW_CHECK[row],
        rules=changed,
        decided=_forgiving,
    )


_nearly("a prefix is enough", "resolution", _starts("resolution", "2k", "4k", "8k"))
_nearly("a prefix is enough", "format", _starts("output_format", "jpg", "jpeg", "png", "webp"))
_nearly("a prefix is enough", "mode", _starts("mode", "image"))
_nearly(
    "a number is enough",
    "resolution",
    lambda body: _row("resolution").when(body) and given(body, "resolution") not in (2, 4, 8),
)
_nearly(
    "other types are not looked at",
    "resolution",
    lambda body: _row("resolution").when(body) and isinstance(given(body, "resolution"), str),
)
_nearly(
    "other types are not looked at",
    "format",
    lambda body: _row("format").when(body) and isinstance(given(body, "output_format"), str),
)
_nearly(
    "other types are not looked at",
    "mode",
    lambda body: _row("mode").when(body) and isinstance(given(body, "mode"), str),
)
_nearly("three are accepted", "length", only(lambda urls: len(urls) in {0, 2}))
_nearly("none is accepted", "length", only(lambda urls: len(urls) > 1))
_nearly(
    "numbers are accepted",
    "element",
    only(lambda urls: bool(urls) and not isinstance(urls[0], str | int)),
)
_nearly(
    "null is accepted",
    "element",
    only(lambda urls: bool(urls) and not isinstance(urls[0], str | None)),
)
_nearly(
    "objects are accepted",
    "element",
    only(lambda urls: bool(urls) and not isinstance(urls[0], str | dict)),
)
_nearly(
    "a bare text is wrapped",
    "array",
    lambda body: _row("array").when(body) and not isinstance(given(body, "image_urls"), str),
)
_nearly(
    "an object is taken for one",
    "array",
    lambda body: _row("array").when(body) and not isinstance(given(body, "image_urls"), dict),
)


def _refusing(tier: str) -> Callable[[dict[str, Any]], bool]:
    return lambda body: given(body, "resolution") == tier or _row("resolution").when(body)


for _capitals in ("4K", "8K"):
    made(
        f"rule resolution: no {_capitals}",
        "Values are case-insensitive and normalized to lowercase",
        "submit.resolution-case",
        rules=_with_row("resolution", replace(_row("resolution"), when=_refusing(_capitals))),
    )
