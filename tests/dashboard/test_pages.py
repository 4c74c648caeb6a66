"""Every page in both themes and sizes: accessible, within the window, and deaf to hostile texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from dashboard.desk import Desk

pytestmark = pytest.mark.slow

HOSTILE = '"\'><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
PAGES = [
    "",
    "ui/tasks/{callback}",
    "ui/requests",
    "ui/requests/3",
    "ui/callbacks",
    "inbox",
    "ui/scenarios",
    "ui/clock",
]


@pytest.fixture
def filled(desk: Desk) -> tuple[Desk, dict[str, str]]:
    """An emulator that has something to show on every page."""
    rule = {"scenario": "slow-3+callback-lost", "match": {"resolution": "8k"}, "times": 2}
    desk.steer("scenarios", **rule)
    task = desk.submit("https://example.com/emulate/SensitiveContent.jpg")
    hook = desk.page("inbox?status=500")
    callback = desk.submit(request_type="callback", callback_url=hook)
    desk.api.post("/api/v1/generateTask/image-upscaler", json={"request_type": "async"})
    desk.steer("clock/advance", ms=2000)
    return desk, {"task": task, "callback": callback}


def settled(page: Page) -> None:
    """Wait until nothing more is drawn: pictures have come, the stream is open."""
    expect(page.locator("#live")).to_contain_text("Live")
    expect(page.get_by_text("Looking at them…")).to_have_count(0)


@pytest.mark.parametrize(("theme", "size"), [("light", (1280, 860)), ("dark", (390, 844))])
def test_no_page_breaks_a_rule_of_accessibility(
    filled: tuple[Desk, dict[str, str]],
    contexts: Callable[..., BrowserContext],
    axe: str,
    theme: str,
    size: tuple[int, int],
) -> None:
    desk, ids = filled
    width, height = size
    window = {"width": width, "height": height}
    page = contexts(color_scheme=theme, viewport=window, reduced_motion="reduce").new_page()
    found: dict[str, Any] = {}
    for path in PAGES:
        page.goto(desk.page(path.format(**ids)))
        settled(page)
        page.evaluate(axe)
        report = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        broken = [
            (rule["id"], [node["target"] for node in rule["nodes"]])
            for rule in report["violations"]
        ]
        wider = page.evaluate("document.documentElement.scrollWidth") - width
        if broken or wider > 0:
            found[path] = (broken, wider)
    assert found == {}


def test_whatever_a_task_carries_stays_text(desk: Desk, page: Page) -> None:
    url = f"https://example.com/{HOSTILE}"
    task_id = desk.submit(
        url, request_type="callback", callback_url=desk.page(f"inbox?q={HOSTILE}")
    )
    desk.api.post(
        "/api/v1/generateTask/image-upscaler",
        content=json.dumps({"input": {"image_urls": [url], "resolution": HOSTILE}}),
        headers={"X-Request-Id": HOSTILE, "User-Agent": HOSTILE},
    )
    desk.api.get("/api/v1/statusTask/image-upscaler", params={"taskId": HOSTILE})
    desk.api.post(desk.page("inbox"), json={"data": {"taskId": HOSTILE, "state": HOSTILE}})
    desk.steer("scenarios", name=HOSTILE, scenario="stuck", match={"image_url": HOSTILE})
    desk.steer(f"tasks/{task_id}/finish", failCode=HOSTILE, failMsg=HOSTILE)
    places = {
        "": HOSTILE,
        f"ui/tasks/{task_id}": HOSTILE,
        "ui/requests": None,
        "ui/requests/2": HOSTILE,
        "ui/callbacks": None,
        "inbox": None,
        "ui/scenarios": HOSTILE,
        "?text=" + "%3Cimg src=x onerror=window.hacked=1%3E": None,
    }
    for path, shown in places.items():
        page.goto(desk.page(path))
        settled(page)
        if shown:
            assert HOSTILE in page.locator("main").inner_text()
        assert page.locator("img[src=x]").count() == 0
        assert page.evaluate("window.hacked") is None
    page.goto(desk.page("ui/scenarios"))
    page.get_by_label("Scenario", exact=True).fill("slow-<img src=x onerror=window.hacked=1>")
    assert page.evaluate("window.hacked") is None


def test_a_button_pressed_by_another_site_does_nothing(
    desk: Desk, contexts: Callable[..., BrowserContext], expected: list[str]
) -> None:
    expected.append("status of 403")
    context = contexts()
    action = desk.page("ui/clock/rate")
    form = f'<form method="post" action="{action}"><input name="rate" value="0"><button>go</button></form>'
    context.route(
        "http://evil.example/", lambda route: route.fulfill(body=form, content_type="text/html")
    )
    page = context.new_page()
    page.goto("http://evil.example/")
    with page.expect_response(action) as answered:
        page.get_by_role("button").click()
    assert answered.value.status == 403
    assert desk.api.get(desk.page("clock")).json()["frozen"] is False


def test_a_button_that_the_emulator_cannot_serve_says_so(
    desk: Desk, page: Page, expected: list[str]
) -> None:
    expected.append("status of 500")
    page.route("**/ui/clock/advance", lambda route: route.fulfill(status=500, body="{}"))
    page.goto(desk.page())
    page.get_by_role("button", name="+10 s").click()
    expect(page.get_by_role("status")).to_contain_text("The emulator answers 500")
