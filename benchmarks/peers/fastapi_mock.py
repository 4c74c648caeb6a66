"""What users write today: a FastAPI mock with models, the key in a dependency, tasks in a dict."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, Field


class Input(BaseModel):
    """The parameters of an upscaling."""

    mode: Literal["image-to-image"] = "image-to-image"
    image_urls: Annotated[list[str], Field(min_length=1, max_length=1)]
    resolution: Literal["2k", "4k", "8k"] = "4k"
    output_format: Literal["jpg", "jpeg", "png", "webp"] = "jpg"


class Submit(BaseModel):
    """The body of a submit."""

    request_type: Literal["async", "callback"] = "async"
    callback_url: str | None = None
    input: Input


class Envelope(BaseModel):
    """Every answer."""

    code: int = 200
    message: str = "success"
    data: dict[str, Any]


async def key(authorization: Annotated[str, Header()] = "") -> str:
    """Read the key."""
    if not authorization.startswith("Bearer "):
        raise HTTPException(401, "Missing or invalid API key.")
    return authorization.removeprefix("Bearer ")


Key = Annotated[str, Depends(key)]
app = FastAPI()
_tasks: dict[str, tuple[Submit, int]] = {}


@app.post("/api/v1/generateTask/image-upscaler")
async def submit(asked: Submit, _key: Key) -> Envelope:
    """Accept a task."""
    task_id = uuid4().hex
    _tasks[task_id] = (asked, time.time_ns() // 1_000_000)
    return Envelope(data={"taskId": task_id})


@app.get("/api/v1/statusTask/image-upscaler")
async def status(taskId: str, _key: Key) -> Envelope:  # noqa: N803 - the API's name
    """Answer a poll."""
    if taskId not in _tasks:
        raise HTTPException(404, "Task not found.")
    created = _tasks[taskId][1]
    return Envelope(
        data={
            "taskId": taskId,
            "state": "success",
            "resultJson": json.dumps({"resultUrls": [f"http://127.0.0.1/files/{taskId}.jpg"]}),
            "createTime": created,
            "completeTime": created + 1500,
            "costTime": 1500,
        }
    )
