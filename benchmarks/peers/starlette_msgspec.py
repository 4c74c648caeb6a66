"""A fast mock by hand: Starlette, msgspec, a dict for the tasks, ids from the random source."""

from __future__ import annotations

import time
from typing import Annotated, Literal
from uuid import uuid4

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Input(msgspec.Struct):
    """The parameters of an upscaling."""

    image_urls: Annotated[list[str], msgspec.Meta(min_length=1, max_length=1)]
    mode: Literal["image-to-image"] = "image-to-image"
    resolution: Literal["2k", "4k", "8k"] = "4k"
    output_format: Literal["jpg", "jpeg", "png", "webp"] = "jpg"


class Submit(msgspec.Struct):
    """The body of a submit."""

    input: Input
    request_type: Literal["async", "callback"] = "async"
    callback_url: str | None = None


_decoder = msgspec.json.Decoder(Submit)
_encoder = msgspec.json.Encoder()
_tasks: dict[str, tuple[Submit, int]] = {}


def _answer(code: int, message: str, data: object = None) -> Response:
    body = _encoder.encode({"code": code, "message": message, "data": data})
    return Response(body, code, media_type="application/json")


def _refused(request: Request) -> bool:
    return not request.headers.get("authorization", "").startswith("Bearer ")


async def status(request: Request) -> Response:
    """Answer a poll."""
    if _refused(request):
        return _answer(401, "Missing or invalid API key.")
    task_id = request.query_params.get("taskId", "")
    found = _tasks.get(task_id)
    if found is None:
        return _answer(404, "Task not found.")
    created = found[1]
    result = _encoder.encode({"resultUrls": [f"http://127.0.0.1/files/{task_id}.jpg"]}).decode()
    return _answer(
        200,
        "success",
        {
            "taskId": task_id,
            "state": "success",
            "resultJson": result,
            "createTime": created,
            "completeTime": created + 1500,
            "costTime": 1500,
        },
    )


async def submit(request: Request) -> Response:
    """Take a task."""
    if _refused(request):
        return _answer(401, "Missing or invalid API key.")
    try:
        asked = _decoder.decode(await request.body())
    except msgspec.DecodeError as error:
        return _answer(400, str(error))
    task_id = uuid4().hex
    _tasks[task_id] = (asked, time.time_ns() // 1_000_000)
    return _answer(200, "success", {"taskId": task_id})


app = Starlette(
    routes=[
        Route("/api/v1/statusTask/image-upscaler", status),
        Route("/api/v1/generateTask/image-upscaler", submit, methods=["POST"]),
    ]
)
