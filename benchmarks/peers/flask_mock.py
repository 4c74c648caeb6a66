"""A Flask mock on its own server, as its quick start has it.

Run: python flask_mock.py PORT
"""

from __future__ import annotations

import json
import logging
import sys
import time
from uuid import uuid4

from flask import Flask, Response, jsonify, request
from werkzeug.serving import WSGIRequestHandler

app = Flask(__name__)
_tasks: dict[str, int] = {}


def _answer(code: int, message: str, data: object = None) -> tuple[Response, int]:
    return jsonify({"code": code, "message": message, "data": data}), code


@app.before_request
def authorize() -> tuple[Response, int] | None:
    """Require a key."""
    if not request.headers.get("Authorization", "").startswith("Bearer "):
        return _answer(401, "Missing or invalid API key.")
    return None


@app.post("/api/v1/generateTask/image-upscaler")
def submit() -> tuple[Response, int]:
    """Accept a task."""
    asked = request.get_json()
    if len(asked["input"]["image_urls"]) != 1:
        return _answer(400, "The parameter {{image_urls}} must contain exactly 1 image URL.")
    task_id = uuid4().hex
    _tasks[task_id] = time.time_ns() // 1_000_000
    return _answer(200, "success", {"taskId": task_id})


@app.get("/api/v1/statusTask/image-upscaler")
def status() -> tuple[Response, int]:
    """Answer a poll."""
    task_id = request.args.get("taskId", "")
    if task_id not in _tasks:
        return _answer(404, "Task not found.")
    data = {
        "taskId": task_id,
        "state": "success",
        "resultJson": json.dumps({"resultUrls": [f"http://127.0.0.1/files/{task_id}.jpg"]}),
        "createTime": _tasks[task_id],
        "completeTime": _tasks[task_id] + 1500,
        "costTime": 1500,
    }
    return _answer(200, "success", data)


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    WSGIRequestHandler.protocol_version = "HTTP/1.1"  # keep connections, as all others here do
    app.run(port=int(sys.argv[1]), threaded=True)
