"""Requests built and answers read. Pure: nothing is sent, waited for or looked up here."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx

from apixo_client._config import check_host
from apixo_client._contract import endpoint, terms
from apixo_client._errors import InvalidResponseError
from apixo_client._failures import api_error
from apixo_client._models import Task, TaskState
from apixo_client._retry import parse_retry_after

if TYPE_CHECKING:
    from apixo_client._config import Settings

_USER_AGENT = "apixo-client"
# Of an HTTP status, which the envelope's code repeats.
_DIGITS = 3
# Of an amount of money, before or after the point.
_MOST_DIGITS = 100


def submit_request(
    settings: Settings,
    image_url: str,
    *,
    resolution: str,
    output_format: str,
    callback_url: str | None,
) -> httpx.Request:
    """Build a submit; with a callback URL it asks for delivery there."""
    defaults = terms().defaults
    body: dict[str, Any] = {"request_type": defaults["request_type"]}
    if callback_url is not None:
        body = {"request_type": "callback", "callback_url": callback_url}
    body["input"] = {
        "mode": defaults["mode"],
        "image_urls": [image_url],
        "resolution": resolution,
        "output_format": output_format,
    }
    return _request(settings, "submit", body=body)


def status_request(settings: Settings, task_id: str) -> httpx.Request:
    """Build a poll."""
    return _request(settings, "status", argument=task_id)


def balance_request(settings: Settings) -> httpx.Request:
    """Build a question for the balance."""
    return _request(settings, "balance")


def _request(
    settings: Settings, name: str, *, argument: str | None = None, body: Any = None
) -> httpx.Request:
    call = endpoint(name)
    return httpx.Request(
        call.method,
        settings.base_url + call.path,
        params={call.query: argument} if call.query else None,
        json=body,
        headers={
            "Authorization": f"Bearer {settings.api_key}",
            "Accept": "application/json",
            "User-Agent": _USER_AGENT,
        },
    )


def download_request(url: str) -> httpx.Request:
    """Build the download of a result. It goes to another host, so it carries no key.

    Raises:
        httpx.InvalidURL: It is no URL.
    """
    # Unencoded, so that what arrives can be held against Content-Length.
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT}
    target = httpx.URL(url)
    check_host(target)
    return httpx.Request("GET", target, headers=headers)


def read_data(response: httpx.Response, *, secret: str, now: float) -> Any:
    """Open the envelope and give its ``data``, None if it holds none.

    An HTTP status from 400 decides over the envelope's ``code`` (platform fact P1 says that they
    agree); below, a ``code`` other than 200 is an error too. ``secret`` is blotted out of texts.

    Raises:
        ApiError: The service answered with an error.
        InvalidResponseError: The answer is no envelope.
    """
    body = parse_json(response.content)
    envelope = body if isinstance(body, dict) else {}
    code = _code(envelope.get("code"))
    if response.is_success and code in {None, httpx.codes.OK} and envelope:
        return envelope.get("data")
    if response.is_success and code in {None, httpx.codes.OK}:
        raise InvalidResponseError(
            f"The service answered {response.status_code} with a body that is no JSON envelope; "
            f"check that {response.request.url.host} is the API. It begins: "
            f"{_blot(_excerpt(response), secret)!r}",
            request=response.request,
            status=response.status_code,
        )
    raise api_error(
        response,
        code=code,
        message=_blot(_message(envelope), secret),
        retry_after=parse_retry_after(response.headers.get("Retry-After"), now),
    )


def _message(envelope: dict[str, Any]) -> str:
    data = envelope.get("data")
    detail = text(data.get("error")) if isinstance(data, dict) else None
    parts = [text(envelope.get("message")), detail]
    return " - ".join(dict.fromkeys(part for part in parts if part))


def _excerpt(response: httpx.Response) -> str:
    return response.content[:80].decode("utf-8", "replace")


def _blot(message: str, secret: str) -> str:
    # A service may quote the key that it refuses. Only whole words: a key may be called "test".
    return re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", message)


def read_submitted(data: Any, response: httpx.Response, *, resolution: str) -> Task:
    """Read the answer to a submit.

    Raises:
        InvalidResponseError: It names no task.
    """
    task_id = text(data.get("taskId")) if isinstance(data, dict) else None
    if not task_id:
        raise _unexpected(response, "The submit was accepted, but the answer names no task")
    return Task(task_id, resolution=resolution)


def read_task(data: Any, task: Task) -> Task:
    """Read the answer to a poll for ``task``. What is missing or odd is left out, never fatal."""
    fields = data if isinstance(data, dict) else {}
    state = _state(text(fields.get("state")) or "")
    return Task(
        task.id,
        state=state,
        result_urls=_result_urls(fields) if state == TaskState.SUCCESS else (),
        fail_code=text(fields.get("failCode")),
        fail_message=text(fields.get("failMsg")),
        create_time=_integer(fields.get("createTime")),
        complete_time=_integer(fields.get("completeTime")),
        cost_time=_integer(fields.get("costTime")),
        resolution=task.resolution,
    )


def _state(name: str) -> TaskState | str:
    try:
        return TaskState(name.lower())
    except ValueError:
        return name


def _result_urls(fields: dict[str, Any]) -> tuple[str, ...]:
    # Documented as a JSON text; clients have met the object itself (platform fact P16a).
    result = fields.get("resultJson")
    if isinstance(result, str):
        result = parse_json(result)
    urls = result.get("resultUrls") if isinstance(result, dict) else None
    return tuple(filter(None, map(text, urls))) if isinstance(urls, list) else ()


def read_balance(data: Any, response: httpx.Response) -> Decimal:
    """Read the answer to a question for the balance, in USD.

    Raises:
        InvalidResponseError: It holds no number.
    """
    if isinstance(data, int | Decimal) and not isinstance(data, bool):
        balance = Decimal(data)
        # A few characters of JSON can stand for a number that fills the memory once written out.
        if abs(balance.adjusted()) <= _MOST_DIGITS:
            return balance
    raise _unexpected(response, "The answer holds no balance")


def _unexpected(response: httpx.Response, what: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"{what}. It is not as documented.",
        request=response.request,
        status=response.status_code,
        code=int(httpx.codes.OK),
    )


def parse_json(content: bytes | str) -> Any:
    """Parse JSON, fractions as `Decimal`; None for what is no JSON. Never raises."""
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_refuse)
    # Not JSON, not UTF-8, a number beyond all limits, or nested too deeply.
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def text(value: Any) -> str | None:
    """Give a text that can be printed and sent, or None for what is no text."""
    if not isinstance(value, str):
        return None
    # JSON can hold halves of surrogate pairs, which no encoding takes.
    return value.encode("utf-8", "replace").decode("utf-8")


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _code(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) == _DIGITS:
        return int(value)
    return _integer(value)
