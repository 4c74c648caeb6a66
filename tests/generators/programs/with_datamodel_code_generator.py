"""A user of the models that datamodel-code-generator generates, with httpx: BASE_URL, KEY."""

import json
import sys
import time
from typing import Any

import httpx
from generated_models import (
    ErrorResponse,
    FailedTask,
    StatusResponse,
    SubmitRequest,
    SubmitResponse,
    SuccessfulTask,
    UpscaleInput,
)

base_url, key = sys.argv[1:]
client = httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=60)


def submit(body: dict[str, Any]) -> httpx.Response:
    return client.post("/generateTask/image-upscaler", json=body)


def finished(url: str) -> SuccessfulTask | FailedTask:
    body = SubmitRequest(input=UpscaleInput(image_urls=[url]))
    sent = body.model_dump(mode="json", exclude_none=True)
    accepted = SubmitResponse.model_validate_json(submit(sent).content)
    while True:
        answer = client.get("/statusTask/image-upscaler", params={"taskId": accepted.data.taskId})
        task = StatusResponse.model_validate_json(answer.content).data.root
        if isinstance(task, SuccessfulTask | FailedTask):
            return task
        time.sleep(0.05)


done = finished("https://example.com/input.jpg")
assert isinstance(done, SuccessfulTask)
assert isinstance(done.costTime, int)
failed = finished("https://example.com/emulate/SensitiveContent.jpg")
assert isinstance(failed, FailedTask)
refused = submit({"input": {"image_urls": [""]}})
print(
    json.dumps(
        {
            "results": len(json.loads(done.resultJson)["resultUrls"]),
            "failCode": failed.failCode,
            "refused": [
                refused.status_code,
                ErrorResponse.model_validate_json(refused.content).message,
            ],
        }
    )
)
