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

    Args:
        settings: Which images to use.
        callback_urls: Where to be called back, by the task's name; empty where it cannot be.
    """
    url = settings.image_url
    yield Planned("example", example(url))
    second = {"mode": "image-to-image", "resolution": "2k", "output_format": "png"}
    yield _by_callback(
        "callback" if callback_urls else "2k-png", body(url, **second), callback_urls
    )
    yield Planned(
        "8k-webp", body(url, mode="image-to-image", resolution="8k", output_format="webp")
    )
    yield Planned("minimal", body(url))
    yield Planned("2K-jpeg", body(url, resolution="2K", output_format="jpeg"))
    if settings.failing_image_url:
        yield _by_callback("failing", body(settings.failing_image_url), callback_urls)
    else:
        yield _not_a_url()
    yield Planned("repeat", example(url))
    # Together with the tasks above, every supported value has been paid for once.
    yield Planned("no-request-type", body(url, request_type=None, resolution="8K"))
    yield Planned("provider", {"provider": "auto", **body(url, resolution="4K")})
    if settings.failing_image_url:
        yield _not_a_url()


def _not_a_url() -> Planned:
    return Planned("not-a-url", body(_NOT_A_URL))


def _by_callback(name: str, made: Body, callback_urls: dict[str, str]) -> Planned:
    if name not in callback_urls:
        return Planned(name, made)
    return Planned(name, {**made, "request_type": "callback", "callback_url": callback_urls[name]})


# Breaks the last documented rule: what comes before it in the order is passed on the way.
_LAST: dict[str, Any] = {"output_format": "other"}


def probes(image_url: str) -> Iterator[Probe]:
    """Give the bodies that cost nothing unless an assumption is wrong, the risky ones last."""
    url = image_url
    nulls = {
        "mode": body(url, mode=None, **_LAST),
        "resolution": body(url, resolution=None, **_LAST),
    }
    nulls["image_urls"] = body(url, image_urls=None)
    nulls["input"] = {"request_type": "async", "input": None}
    for name, made in nulls.items():
        yield Probe(f"null.optional/{name}", written(made))
    yield Probe("values.whitespace", written(body(url, resolution=" 4k ", **_LAST)))
    yield Probe("parameters.unknown/input", written(body(url, prompt="a cat", **_LAST)))
    yield Probe("parameters.unknown/top", written({"trace": {"id": 1}, **body(url, **_LAST)}))
    yield Probe("body.content_type", written(body(url, **_LAST)), content_type=None)
    yield Probe("input.not_object/text", written({"request_type": "async", "input": url}))
    yield Probe("input.not_object/array", written({"request_type": "async", "input": [url]}))
    yield Probe("body.not_json", '{"request_type":"async","input":')
    yield Probe("body.not_object", written([body(url)]))
    yield Probe("output_format.case", written(body(url, output_format="PNG")), risky=True)
    yield Probe("request_type.unknown", written(body(url, request_type="sync")), risky=True)
    by_callback = body(url, request_type="callback")
    yield Probe("callback_url.missing", written(by_callback), risky=True)
    yield Probe("callback_url.type", written({**by_callback, "callback_url": 7}), risky=True)


def duplicate_keys(image_url: str) -> Iterator[str]:
    """Give JSON texts that name a parameter twice, both times in a way that breaks its rule.

    Readers differ in which of the two they take; either way the body is refused.
    """
    head = f'{{"request_type":"async","input":{{"image_urls":[{written(image_url)}],'
    yield head + '"resolution":"3k","resolution":"16k"}}'
    yield head + '"output_format":"gif","output_format":"bmp"}}'
    yield head + '"mode":"text-to-image","mode":4}}'
