"""What a run sends on purpose: the paid tasks, and the bodies that put an assumption to the test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apixo_contract._bodies import Body, body, written
from apixo_contract._settings import Settings
from apixo_schemas import document

# Neither a URL nor a path: the target accepts it or refuses it, but cannot fetch it.
_NOT_A_URL = "not a url"


@dataclass(frozen=True, slots=True)
class Planned:
    """A task that the run pays for; ``name`` says which."""

    name: str
    body: Body


@dataclass(frozen=True, slots=True)
class Probe:
    """A body whose fate rests on an assumption.

    ``name`` is the assumption's id; what stands behind a slash tells several of one kind apart.
    A risky one may be accepted, and then costs a task.
    """

    name: str
    text: str
    risky: bool = False
    content_type: str | None = "application/json"


def example(image_url: str) -> Body:
    """Give the page's own example body, with another image."""
    made: Body = dict(document("submit-request.json")["examples"][0])
    return {**made, "input": {**made["input"], "image_urls": [image_url]}}


def planned(settings: Settings, callback_urls: dict[str, str]) -> Iterator[Planned]:
    """Give the tasks in the order of what they show; a small budget takes the first ones.

    Together they pay once for every supported value, in each of its spellings.

    Args:
        settings: Which images to use.
        callback_urls: Where to be called back, by the task's name; empty where it cannot be.
    """
    url = settings.image_url
    yield Planned("example", example(url))
    second = body(url, mode="image-to-image", resolution="2k", output_format="png")
    yield _by_callback("callback" if callback_urls else "2k-png", second, callback_urls)
    yield Planned(
        "8k-webp", body(url, mode="image-to-image", resolution="8k", output_format="webp")
    )
    yield Planned("minimal", body(url))
    yield Planned("2K-jpeg", body(url, resolution="2K", output_format="jpeg"))
    if settings.failing_image_url:
        failing = body(settings.failing_image_url, resolution="4K")
        yield _by_callback("failing", failing, callback_urls)
    else:
        yield _not_a_url()
    yield Planned("repeat", example(url))
    yield Planned(TOLERANT, _tolerant(url))
    if settings.failing_image_url:
        yield _not_a_url()


# A task that is taken only if several assumptions hold at once; if it is not, each is tried alone.
TOLERANT = "tolerant"
_NULLS: dict[str, Any] = {"mode": None, "output_format": None}
_UNKNOWN: dict[str, Any] = {"prompt": "a cat"}


def _tolerant(url: str) -> Body:
    made = body(url, request_type=None, resolution="8K", **_NULLS, **_UNKNOWN)
    return {"provider": "auto", "trace": {"id": 1}, **made}


def one_by_one(image_url: str) -> Iterator[Planned]:
    """Give what the tolerant task holds, each alone, what must be taken first."""
    url = image_url
    yield Planned("provider", {"provider": "auto", **body(url)})
    yield Planned("no-request-type", body(url, request_type=None))
    yield Planned("nulls", body(url, resolution=None, **_NULLS))
    yield Planned("unknown-parameters", {"trace": {"id": 1}, **body(url, **_UNKNOWN)})


def _not_a_url() -> Planned:
    return Planned("not-a-url", body(_NOT_A_URL, resolution="4K"))


def _by_callback(name: str, made: Body, callback_urls: dict[str, str]) -> Planned:
    if name not in callback_urls:
        return Planned(name, made)
    return Planned(name, {**made, "request_type": "callback", "callback_url": callback_urls[name]})


# Three assumptions at once: a target that takes this follows none of them.
LENIENT = "lenient"


def probes(image_url: str) -> Iterator[Probe]:
    """Give the bodies that cost nothing unless an assumption is wrong, the risky ones last."""
    url = image_url
    yield Probe("null.optional/image_urls", written(body(url, image_urls=None)))
    yield Probe("null.optional/input", written({"request_type": "async", "input": None}))
    broken = written(body(url, output_format="other"))
    yield Probe("body.content_type", broken, content_type=None)
    yield Probe("input.not_object/text", written({"request_type": "async", "input": url}))
    yield Probe("input.not_object/array", written({"request_type": "async", "input": [url]}))
    yield Probe("body.not_json", '{"request_type":"async","input":')
    yield Probe("body.not_object", written([body(url)]))
    loose = body(url, request_type="sync", resolution=" 4k ", output_format="PNG")
    yield Probe(LENIENT, written(loose), risky=True)
    yield Probe("output_format.case", written(body(url, output_format="PNG")), risky=True)
    yield Probe("values.whitespace", written(body(url, resolution=" 4k ")), risky=True)
    yield Probe("request_type.unknown", written(body(url, request_type="sync")), risky=True)
    by_callback = body(url, request_type="callback")
    yield Probe("callback_url.missing", written(by_callback), risky=True)
    yield Probe("callback_url.type", written({**by_callback, "callback_url": 7}), risky=True)


# What a target that takes the lenient body has shown already.
SHOWN_BY_LENIENT = frozenset({"output_format.case", "values.whitespace", "request_type.unknown"})


def duplicate_keys(image_url: str) -> Iterator[str]:
    """Give JSON texts that name a parameter twice, both times in a way that breaks its rule.

    Readers differ in which of the two they take; either way the body is refused.
    """
    head = f'{{"request_type":"async","input":{{"image_urls":[{written(image_url)}],'
    yield head + '"resolution":"3k","resolution":"16k"}}'
    yield head + '"output_format":"gif","output_format":"bmp"}}'
    yield head + '"mode":"text-to-image","mode":4}}'
