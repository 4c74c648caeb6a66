"""Variants of what nobody says about requests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from gauntlet.conduct import BALANCE, Conduct
from gauntlet.rules import PAGE, UNSAID, Broken, given
from gauntlet.variant import variant
from gauntlet.wire import Reply, Request

# --- what nobody says about requests --------------------------------------------------------


@variant("rules asked in another order")
class OtherOrder(Conduct):
    """Which message wins when several rules are broken is not documented."""

    refutes = ("order",)
    upholds = ("values.whitespace", "null.optional", "parameters.unknown")

    rules = (*UNSAID, *PAGE[7:], PAGE[1], PAGE[0], *PAGE[2:7])


@variant("rules asked backwards")
class Backwards(Conduct):
    """As above, within `image_urls` too."""

    refutes = ("order",)
    upholds = ("values.whitespace", "null.optional", "parameters.unknown")

    rules = (PAGE[0], *reversed((*PAGE[1:], *UNSAID)))


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


@variant("duplicate keys are refused")
class NoDuplicates(Conduct):
    def parsed(self, content: bytes) -> Any:
        def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            if len(dict(pairs)) < len(pairs):
                raise ValueError("a key stands twice")
            return dict(pairs)

        return json.loads(content, object_pairs_hook=unique)


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

    rules = (
        *PAGE,
        Broken("request_type", "request_type?", lambda body: "request_type" not in body),
        *UNSAID,
        Broken(
            "unknown",
            "unknown parameter",
            lambda body: (
                not set(body["input"]) <= {"mode", "image_urls", "resolution", "output_format"}
            ),
        ),
        Broken("null", "null is no value", lambda body: None in body["input"].values()),
        Broken(
            "url",
            "no URL",
            lambda body: not body["input"]["image_urls"][0].startswith(("http", "data:")),
        ),
        Broken("blank", "blank URL", lambda body: not body["input"]["image_urls"][0].strip()),
    )
    body_limit = 64 * 1024

    def handle(self, request: Request) -> Reply:
        wanted = request.headers.get("content-type", "").startswith("application/json")
        if request.method == "POST" and not wanted and self.authorised(request):
            return self.error(400, "JSON, please", "json")
        return super().handle(request)


def _trimmed(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


@variant("lenient where nothing is said")
class Trimming(Conduct):
    """Any request_type is polled, formats in any case, values trimmed."""

    refutes = ("output_format.case", "request_type.unknown", "values.whitespace")

    rules = (*PAGE, UNSAID[1], UNSAID[2])

    def decided(self, body: dict[str, Any]) -> Reply:
        inputs = body.get("input")
        if isinstance(inputs, dict):
            changed = {name: _trimmed(value) for name, value in inputs.items()}
            wanted = changed.get("output_format")
            if isinstance(wanted, str):
                changed["output_format"] = wanted.lower()
            body = {**body, "input": changed}
        return super().decided(body)


@variant("the first of duplicate keys counts")
class FirstKey(Conduct):
    def parsed(self, content: bytes) -> Any:
        def first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            return dict(reversed(pairs))

        return json.loads(content, object_pairs_hook=first)


@variant("lower case as ASCII has it")
class AsciiCase(Conduct):
    """The Kelvin sign is a `k` to some languages and not to others."""

    rules = tuple(
        replace(rule, when=lambda body: _not_ascii(body) or PAGE[7].when(body))
        if rule.id == "resolution"
        else rule
        for rule in Conduct.rules
    )


def _not_ascii(body: dict[str, Any]) -> bool:
    value = given(body, "resolution")
    return isinstance(value, str) and not value.isascii()


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


@variant("only what the page names")
class PageOnly(Conduct):
    """No balance endpoint: it stands on another page."""

    def handle(self, request: Request) -> Reply:
        if request.path == BALANCE and self.authorised(request):
            return self.error(403, "this key may not read the balance", "routing")
        return super().handle(request)
