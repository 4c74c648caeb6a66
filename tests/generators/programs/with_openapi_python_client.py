"""A user of the client that openapi-python-client generates: BASE_URL, KEY."""

import json
import sys
import time

from generated_attrs import AuthenticatedClient
from generated_attrs.api.tasks import status, submit
from generated_attrs.models import (
    ErrorResponse,
    FailedTask,
    StatusResponse,
    SubmitRequest,
    SubmitResponse,
    SuccessfulTask,
    UpscaleInput,
)

base_url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=base_url, token=key)


def finished(url: str) -> SuccessfulTask | FailedTask:
    accepted = submit.sync(client=client, body=SubmitRequest(input_=UpscaleInput([url])))
    assert isinstance(accepted, SubmitResponse)
    while True:
        answer = status.sync(client=client, task_id=accepted.data.task_id)
        assert isinstance(answer, StatusResponse)
        if isinstance(answer.data, SuccessfulTask | FailedTask):
            return answer.data
        time.sleep(0.05)


done = finished("https://example.com/input.jpg")
assert isinstance(done, SuccessfulTask)
assert isinstance(done.cost_time, int)
failed = finished("https://example.com/emulate/SensitiveContent.jpg")
assert isinstance(failed, FailedTask)
refused = submit.sync_detailed(client=client, body=SubmitRequest(input_=UpscaleInput([""])))
assert isinstance(refused.parsed, ErrorResponse)
print(
    json.dumps(
        {
            "results": len(json.loads(done.result_json)["resultUrls"]),
            "failCode": failed.fail_code,
            "refused": [refused.status_code, refused.parsed.message],
        }
    )
)
