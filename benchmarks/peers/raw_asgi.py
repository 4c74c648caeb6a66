"""The limit: an ASGI callable that reads the body and sends bytes that were made before."""

from __future__ import annotations

from typing import Any

TASK_ID = "0123456789abcdef0123456789abcdef"
STATUS = (
    b'{"code":200,"message":"success","data":{"taskId":"%b","state":"success",'
    b'"resultJson":"{\\"resultUrls\\":[\\"http://127.0.0.1:8787/files/%b.jpg\\"]}",'
    b'"createTime":1767965610929,"completeTime":1767965652317,"costTime":41388}}'
    % (TASK_ID.encode(), TASK_ID.encode())
)
SUBMITTED = b'{"code":200,"message":"success","data":{"taskId":"%b"}}' % TASK_ID.encode()


def _headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]


_ANSWERS = {"GET": (STATUS, _headers(STATUS)), "POST": (SUBMITTED, _headers(SUBMITTED))}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer whatever is asked."""
    body, headers = _ANSWERS[scope["method"]]
    if scope["method"] == "POST":
        while (await receive())["more_body"]:
            pass
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
