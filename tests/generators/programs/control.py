"""A user of the control client that openapi-python-client generates: BASE_URL, KEY."""

import json
import sys

import httpx
from generated_control import Client
from generated_control.api.control import (
    add_scenario,
    advance_clock,
    finish_task,
    list_tasks,
    reset,
    verify_requests,
)
from generated_control.models import (
    ActiveRule,
    AdvanceClockBody,
    Clock,
    Expectation,
    FinishTaskBody,
    ResetBody,
    ScenarioRule,
    Task,
    Verification,
)

base_url, key = sys.argv[1:]
client = Client(base_url=base_url.removesuffix("/api/v1"))
reset.sync(client=client, body=ResetBody(seed=7))
rule = add_scenario.sync(client=client, body=ScenarioRule(scenario="stuck", times=1))
assert isinstance(rule, ActiveRule)
accepted = httpx.post(
    f"{base_url}/generateTask/image-upscaler",
    json={"input": {"image_urls": ["https://example.com/input.jpg"]}},
    headers={"Authorization": f"Bearer {key}"},
    timeout=60,
)
task_id = accepted.json()["data"]["taskId"]
clock = advance_clock.sync(client=client, body=AdvanceClockBody(ms=60_000))
assert isinstance(clock, Clock)
ended = finish_task.sync(task_id=task_id, client=client, body=FinishTaskBody(fail_code="Timeout"))
assert isinstance(ended, Task)
found = verify_requests.sync(client=client, body=Expectation(call="submit", count=1))
assert isinstance(found, Verification)
listed = list_tasks.sync(client=client)
print(
    json.dumps(
        {"tasks": len(listed.tasks), "state": ended.state, "met": found.met, "rule": rule.scenario}
    )
)
