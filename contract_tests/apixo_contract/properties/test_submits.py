"""What the client makes of any arguments, and what it raises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from apixo_client import ApiError, AuthenticationError, ImageFileError, Task
from apixo_contract.properties import expected
from apixo_contract.properties.registry import client_property
from apixo_contract.properties.service import Call, Service
from apixo_contract.properties.target import Target

URLS = [
    "https://example.com/input.jpg",
    "HTTPS://EXAMPLE.COM/ü/画像.png?x=1&y=%20#z",
    "http://[::1]:8080/x.webp",
    "ftp://example.com/x.jpg",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:image/png;base64,",
    "https://",
    "urn:x",
]
# A letter of Unicode whose lower case is "k", a wide digit, a digit of another script.
LOOKALIKES = ["4\u212a", "\uff14k", "\u0664k", "4\u200bk", " 4k", "4k\n", "jpg\u0000", "\u0458pg"]
# Numbers, bytes and containers, as a program may pass them by mistake.
WRONG = st.integers() | st.binary() | st.lists(st.text()) | st.booleans() | st.floats()
ODD_TEXTS = st.sampled_from([*LOOKALIKES, "", "16k", "gif", "JPG", "x" * 10_000]) | st.text()

tiers = st.sampled_from(["2k", "4k", "8k", "2K", "4K", "8K"])
forms = st.sampled_from(["jpg", "png", "webp", "jpeg"])
hooks = st.sampled_from(["https://example.com/hook", "http://127.0.0.1:9/x", ""]) | st.text()
urls = st.sampled_from(URLS) | st.text().map("https://example.com/{}.jpg".format)
files = st.sampled_from(["in.png", "in.JPG", "in.webp"]).map(Path)
no_pictures = (
    st.sampled_from(["in.gif", "missing.png", "in"]).map(Path)
    | st.text().map(lambda text: text.replace(":", ""))
    | WRONG
    | st.none()
)


def arguments(image: Any, option: Any) -> Any:
    """Return a strategy for the arguments of `submit`."""
    return st.fixed_dictionaries(
        {"image": image},
        optional={
            "resolution": tiers | option | st.none(),
            "output_format": forms | option | st.none(),
            "callback_url": hooks | st.none(),
        },
    )


def is_refused(given: dict[str, Any]) -> bool:
    return not expected.is_valid(expected.body(given["image"], given))


wrong = arguments(no_pictures, ODD_TEXTS | WRONG) | arguments(urls | files, WRONG).filter(
    lambda given: not all(isinstance(v, str | Path | None) for v in given.values())
)
refused = arguments(urls, ODD_TEXTS).filter(is_refused)
valid = st.fixed_dictionaries(
    {}, optional={"resolution": tiers | st.none(), "output_format": forms | st.none()}
)


def placed(image: Any, service: Service) -> Any:
    """Return a picture with local files in the target's folder, where they exist unless missing."""
    if not isinstance(image, Path):
        return image
    path = service.target.folder / image
    if image.name != "missing.png":
        path.write_bytes(b"picture")
    return path


def url_of(image: Any) -> str:
    """Return the URL that a submit of a picture has."""
    if not isinstance(image, Path):
        return str(image)
    kind = {".png": "png", ".jpg": "jpeg", ".webp": "webp"}[image.suffix.lower()]
    return f"data:image/{kind};base64,cGljdHVyZQ=="


def assert_as_raw(call: Call, raw: Call) -> None:
    """Check that a raw call is answered in the same words, unless it fails in passing."""
    assume(not raw.is_passing)
    assert raw.status == call.status
    assert raw.envelope.get("message") == call.envelope.get("message")


@client_property("client.arguments", examples=(200, 100, 25), given=wrong)
def test_wrong_arguments_are_not_sent(service: Service, given: dict[str, Any]) -> None:
    """What is no picture's URL and no text is refused by the client, and nothing is sent."""
    options = {**given, "image": placed(given["image"], service)}
    outcome = service.client().attempt("submit", **options)
    assert isinstance(outcome.error, TypeError | ImageFileError | OSError)
    assert service.calls == []


@client_property("client.refusal", submits=True, examples=(200, 60, 15), given=refused)
def test_a_refused_body_raises_the_words_of_the_target(
    service: Service, given: dict[str, Any]
) -> None:
    """A body that the target refuses is sent once, costs nothing, and raises exactly its message."""
    before = service.balance()
    outcome = service.client().attempt("submit", **given)
    call = service.one_call
    assert call.sent == expected.body(given["image"], given)
    # The target decides what it refuses; what it should refuse is judged elsewhere.
    assume(not call.is_accepted)
    expected.assert_raised(call, outcome.error)
    assert_as_raw(call, service.call("submit", body=call.sent))
    assert service.balance() == before


def needs_keys(target: Target) -> str:
    """Return why keys cannot be judged: the target accepts every key."""
    with target.example() as service:
        accepts_any = service.call("balance", key="sk-wrong-0123456789").is_accepted
    return "The target accepts every key." if accepts_any else ""


@client_property(
    "client.key",
    needs=needs_keys,
    examples=(60, 20, 5),
    letters=st.text("abcdef0123456789", min_size=8),
    method=st.integers(0, 2),
)
def test_a_wrong_key_raises_the_words_of_the_target(
    service: Service, letters: str, method: int
) -> None:
    """A key that the target refuses raises AuthenticationError with exactly its message, at once."""
    key = f"sk-wrong-{letters}"
    client = service.client(api_key=key)
    attempts = [("balance",), ("status", "task_unknown"), ("wait", "task_unknown")]
    outcome = client.attempt(*attempts[method])
    call = service.one_call
    assert type(outcome.error) is AuthenticationError
    expected.assert_raised(call, outcome.error)


@client_property(
    "client.unknown-task",
    examples=(150, 50, 10),
    task_id=st.text(min_size=1, max_size=60),
    method=st.sampled_from(["status", "wait"]),
)
def test_an_unknown_task_raises_the_words_of_the_target(
    service: Service, task_id: str, method: str
) -> None:
    """Any text can be asked for as a task's id; the target's refusal is raised, at once."""
    outcome = service.client().attempt(method, task_id)
    call = service.one_call
    assert dict(call.url.params) == {"taskId": task_id}
    assert isinstance(outcome.error, ApiError)
    expected.assert_raised(call, outcome.error)
    assert_as_raw(call, service.call("status", task_id=task_id))


@client_property(
    "client.balance",
    examples=(60, 20, 5),
    amount=st.none() | st.decimals(0, 10**9, places=4).map(str),
)
def test_the_balance_is_exact(service: Service, amount: str | None) -> None:
    """The balance is the number of the response, to the last digit; its URL has no query, such as one with the key."""
    if amount is not None:
        service.alter = lambda _call, _content: b'{"code":200,"data":%s}' % amount.encode()
    balance = service.client()("balance")
    call = service.one_call
    assert str(balance) == str(call.data)
    assert not call.url.query


@client_property(
    "client.accepted",
    tasks=1,
    examples=(100, 3, 1),
    image=urls | files,
    options=valid,
)
def test_an_accepted_submit_is_one_task_and_one_charge(
    service: Service, image: Any, options: dict[str, Any]
) -> None:
    """An accepted submit is one request that the schema accepts, one task, and one charge."""
    if service.target.kind == "live":
        image = service.target.image_url
    before = service.balance()
    outcome = service.client().attempt("submit", placed(image, service), **options)
    call = service.one_call
    assert call.sent == expected.body(url_of(image), options)
    assert expected.is_valid(call.sent)
    # Schema and target may disagree; that is judged elsewhere.
    assume(call.is_accepted)
    assert outcome.value == Task(call.data["taskId"])
    assert service.balance() == before - expected.PRICE
