"""The dashboard in a real browser, used as a developer uses it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from support.process import running

from dashboard.desk import Desk, desk_of

pytestmark = pytest.mark.slow


def row_of(task_id: str) -> str:
    return f"#t-{task_id}"


def test_a_submitted_task_appears_by_itself_and_reaches_success(desk: Desk, page: Page) -> None:
    page.goto(desk.page())
    expect(page.get_by_role("heading", name="No tasks yet")).to_be_visible()
    task_id = desk.submit()
    row = page.locator(row_of(task_id))
    expect(row.locator("[data-role=state]")).to_have_text("processing")
    expect(row.locator("[data-role=state]")).to_have_text("success")
    assert desk.status(task_id)["state"] == "success"


def test_the_next_task_fails_as_the_page_was_told(desk: Desk, page: Page) -> None:
    page.goto(desk.page("ui/scenarios"))
    page.get_by_role("button", name="SensitiveContent", exact=True).click()
    rules = page.get_by_role("table", name=re.compile("Active rules"))
    expect(rules).to_contain_text("0 of 1")
    task_id = desk.submit()
    expect(rules).to_contain_text("1 of 1")
    page.goto(desk.page(f"ui/tasks/{task_id}"))
    expect(page.locator(".head [data-role=state]")).to_have_text("failed")
    answer = desk.status(task_id)
    assert answer["failCode"] == "SensitiveContent"
    expect(page.locator("#answer-body")).to_contain_text('"failCode": "SensitiveContent"')
    page.goto(desk.page("ui/scenarios"))
    page.get_by_role("button", name=re.compile("Remove rule")).click()
    expect(page.get_by_text("None: every task goes its ordinary way.")).to_be_visible()


def test_a_callback_reaches_the_inbox_again(desk: Desk, page: Page) -> None:
    task_id = desk.submit(request_type="callback", callback_url=desk.page("inbox"))
    page.goto(desk.page("ui/callbacks"))
    row = page.locator(f"#d-{task_id}")
    expect(row).to_contain_text("delivered")
    assert row.locator(".rest .cut").evaluate("cell => cell.scrollWidth <= cell.clientWidth")
    row.get_by_role("button", name=re.compile("Redeliver")).click()
    expect(page.get_by_role("status")).to_contain_text("The callback is sent again.")
    page.goto(desk.page("inbox"))
    expect(page.get_by_text("2 received")).to_be_visible()
    page.locator("details.received").first.locator("summary").click()
    expect(page.locator("#received-2")).to_contain_text(f'"taskId": "{task_id}"')


def test_a_task_is_shown_with_its_source_and_its_result(
    desk: Desk, page: Page, rocket: Path
) -> None:
    source = "data:image/jpeg;base64," + b64encode(rocket.read_bytes()).decode()
    page.goto(desk.page(f"ui/tasks/{desk.submit(source, resolution='2k')}"))
    expect(page.locator(".head [data-role=state]")).to_have_text("success")
    pictures = page.locator(".pictures figure")
    expect(pictures.first).to_contain_text(re.compile("640 . 427"))
    expect(pictures.last).to_contain_text(re.compile("2048 . 1366"))
    for picture in (pictures.first, pictures.last):
        shown = picture.locator("img")
        expect(shown).to_have_js_property("complete", value=True)
        assert shown.evaluate("image => image.naturalWidth") > 0
    with page.expect_download() as download:
        pictures.last.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes().startswith(b"\xff\xd8\xff")


def test_calls_appear_by_themselves_until_they_are_paused(desk: Desk, page: Page) -> None:
    page.goto(desk.page("ui/requests"))
    expect(page.get_by_role("heading", name="No calls yet")).to_be_visible()
    desk.api.get("/api/v1/apikeys/current-balance")
    expect(page.locator("#r-1")).to_be_visible()
    page.get_by_role("button", name="Live").click()
    expect(page.get_by_role("button", name="Paused")).to_be_visible()
    desk.api.get("/api/v1/apikeys/current-balance")
    page.reload()
    expect(page.locator("#r-2")).to_be_visible()


def test_the_clock_is_frozen_moved_and_sped_up(desk: Desk, page: Page) -> None:
    page.goto(desk.page("ui/clock"))
    header = page.get_by_role("group", name="The emulator's clock")
    header.get_by_role("button", name="Freeze").click()
    expect(header).to_contain_text("frozen")
    before = desk.api.get(desk.page("clock")).json()["now"]
    page.get_by_role("button", name="+1 h").click()
    expect(page.get_by_role("status")).to_contain_text("moved on by 1 h")
    assert desk.api.get(desk.page("clock")).json()["now"] == before + 3_600_000
    page.get_by_role("button", name=re.compile("^.60$")).click()
    expect(header).to_contain_text(re.compile("[^0-9:]60"))
    assert desk.api.get(desk.page("clock")).json()["rate"] == 60


def test_a_key_is_topped_up_and_everything_reset(desk: Desk, page: Page) -> None:
    desk.submit()
    page.goto(desk.page("ui/clock"))
    keys = page.get_by_role("table", name=re.compile("Keys"))
    expect(keys).to_contain_text("99.9900 USD")
    keys.get_by_role("textbox").fill("5")
    keys.get_by_role("button", name="Top up").click()
    expect(keys).to_contain_text("104.9900 USD")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Reset").click()
    expect(page.get_by_text("No key was used yet")).to_be_visible()
    page.goto(desk.page())
    expect(page.get_by_role("heading", name="No tasks yet")).to_be_visible()


def test_a_call_is_copied_as_curl(desk: Desk, contexts: Callable[..., BrowserContext]) -> None:
    task_id = desk.submit("https://example.com/copied.jpg")
    page = contexts(permissions=["clipboard-read", "clipboard-write"]).new_page()
    page.goto(desk.page(f"ui/tasks/{task_id}"))
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_role("status")).to_contain_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl ")
    assert "https://example.com/copied.jpg" in copied


def test_the_keyboard_skips_to_the_content(desk: Desk, page: Page) -> None:
    page.goto(desk.page())
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_what_is_typed_and_opened_outlives_a_live_update(desk: Desk, page: Page) -> None:
    desk.submit()
    page.goto(desk.page("ui/clock"))
    amount = page.get_by_role("table", name=re.compile("Keys")).get_by_role("textbox")
    amount.fill("7.5")
    desk.submit("https://example.com/second.jpg")
    expect(page.get_by_role("table", name=re.compile("Keys"))).to_contain_text("99.9800 USD")
    expect(amount).to_have_value("7.5")
    expect(amount).to_be_focused()
    desk.submit(request_type="callback", callback_url=desk.page("inbox"))
    page.goto(desk.page("inbox"))
    received = page.locator("details.received")
    received.locator("summary").click()
    desk.submit(
        "https://example.com/3.jpg", request_type="callback", callback_url=desk.page("inbox")
    )
    expect(received).to_have_count(2)
    expect(page.locator("#i-1")).to_have_attribute("open", "")


def test_a_page_outlives_a_restart_of_the_emulator(
    contexts: Callable[..., BrowserContext], expected: list[str], tmp_path: Path
) -> None:
    expected += ["net::ERR", "htmx:error", "Failed to fetch"]
    page = contexts().new_page()
    with (
        running("--data", "data", "--latency", "0", cwd=tmp_path) as server,
        desk_of(server) as desk,
    ):
        page.goto(desk.page())
        expect(page.locator("#live")).to_contain_text("Live")
        port = server.origin.rpartition(":")[2]
    expect(page.locator("#live")).to_contain_text("Offline")
    again = ("--data", "data", "--latency", "0", "--port", port)
    with running(*again, cwd=tmp_path) as server, desk_of(server) as desk:
        task_id = desk.submit()
        expect(page.locator(f"#t-{task_id}")).to_be_visible(timeout=20_000)
        expect(page.locator("#live")).to_contain_text("Live")
