"""A user of the client that openapi-generator generates for Python: BASE_URL, KEY."""

import json
import sys
import time

from generated_pydantic import (
    ApiClient,
    ApiException,
    Configuration,
    ErrorResponse,
    FailedTask,
    SubmitRequest,
    SuccessfulTask,
    TasksApi,
    UpscaleInput,
)

base_url, key = sys.argv[1:]
api = TasksApi(ApiClient(Configuration(host=base_url, access_token=key)))


def finished(url: str) -> SuccessfulTask | FailedTask:
    accepted = api.submit(SubmitRequest(input=UpscaleInput(image_urls=[url])))
    while True:
        task = api.status(task_id=accepted.data.task_id).data.actual_instance
        if isinstance(task, SuccessfulTask | FailedTask):
            return task
        time.sleep(0.05)


done = finished("https://example.com/input.jpg")
assert isinstance(done, SuccessfulTask)
assert isinstance(done.cost_time, int)
failed = finished("https://example.com/emulate/SensitiveContent.jpg")
assert isinstance(failed, FailedTask)

# The model itself refuses such a body: it is sent without validation.
body = SubmitRequest.model_construct(input=UpscaleInput.model_construct(image_urls=[""]))
refused: list[object] = []
try:
    api.submit(body)
except ApiException as error:
    if isinstance(error.data, ErrorResponse):
        refused = [error.status, error.data.message]
print(
    json.dumps(
        {
            "results": len(json.loads(done.result_json)["resultUrls"]),
            "failCode": failed.fail_code,
            "refused": refused,
        }
    )
)
