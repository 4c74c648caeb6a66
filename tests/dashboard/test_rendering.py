"""What the dashboard answers, without a browser: bounds, escaping, filters, worlds, errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from support.harness import Harness, body, make_harness
from support.process import running

from apixo_emulator.app import application
from apixo_emulator.pictures import PictureStore
from apixo_emulator.runtime import Runtime

HOSTILE = "\"'><script>alert(1)</script><b onclick=x>"
PAGES = ["", "ui/requests", "ui/callbacks", "inbox", "ui/scenarios", "ui/clock"]


@dataclass
class Site:
    """The dashboard of an emulator in process, called as a browser on this machine calls it."""

    harness: Harness
    app: Starlette

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._call(method, path, options))

    async def _call(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 50_000))
        base_url = "http://127.0.0.1:8787/_emulator/"
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
            return await client.request(method, path, **options)

    def get(self, path: str = "", **options: Any) -> httpx.Response:
        return self.call("GET", path, **options)

    def press(self, path: str, **form: str) -> httpx.Response:
        headers = {"Origin": "http://127.0.0.1:8787"}
        if not form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self.call("POST", path, data=form, headers=headers)


def notice_of(answer: httpx.Response) -> str:
    return str(json.loads(answer.headers["hx-trigger"])["notice"]["text"])


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., Site]:
    def make(**options: Any) -> Site:
        harness = make_harness(**options)
        return Site(
            harness,
            application(Runtime.around(harness.emulator, PictureStore(tmp_path / "pictures"))),
        )

    return make


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


class Inline(HTMLParser):
    """Collects what a Content-Security-Policy without 'unsafe-inline' would forbid."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if (tag == "script" and "src" not in names) or tag == "style":
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]


def inline(text: str) -> list[str]:
    parser = Inline()
    parser.feed(text)
    return parser.found


@pytest.mark.parametrize("path", PAGES)
def test_every_page_allows_nothing_inline_and_nothing_from_elsewhere(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 200
    policy = dict(
        part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert inline(answer.text) == []
    assert "//" not in answer.text.replace("http://127.0.0.1", "").replace(
        "https://example.com", ""
    ).replace("http://www.w3.org", "")


def test_hostile_texts_are_escaped_wherever_they_stand(site: Site) -> None:
    url = f"https://example.com/{HOSTILE}"
    payload = {
        **body(image_urls=[url]),
        "request_type": "callback",
        "callback_url": f"http://127.0.0.1:9/{HOSTILE}",
    }
    task_id = site.harness.submitted(payload)
    site.harness.operator.finish(task_id, fail_code=HOSTILE, fail_msg=HOSTILE)
    site.harness.operator.add_scenario({"name": HOSTILE, "scenario": "stuck"})
    site.harness.extra = [(b"x-request-id", HOSTILE.encode())]
    site.harness.status(HOSTILE)
    paths = [
        *PAGES,
        f"ui/tasks/{task_id}",
        f"ui/tasks/{task_id}/pictures",
        "ui/requests/1",
        "ui/requests/2",
    ]
    for path in [*paths, f"?text={HOSTILE}", f"ui/requests?text={HOSTILE}"]:
        answer = site.get(path)
        assert answer.status_code == 200, path
        assert inline(answer.text) == [], path
        assert HOSTILE not in answer.text, path


def test_tasks_are_filtered_by_state_key_and_text(site: Site) -> None:
    done = site.harness.submitted()
    site.harness.clock.advance(2000)
    stuck = site.harness.submitted(body(image_urls=["https://x.example/emulate/stuck.jpg"]))
    other = site.harness.submitted(key="sk-other-0123456789abcd")

    def listed(query: str) -> set[str]:
        text = site.get(query).text
        return {task for task in (done, stuck, other) if f'id="t-{task}"' in text}

    account = site.harness.operator.task(other)["account"]
    assert listed("") == {done, stuck, other}
    assert listed("?state=success") == {done}
    assert listed("?text=STUCK") == {stuck}
    assert listed(f"?key={account}") == {other}
    assert listed(f"?key={account}&text=stuck") == set()


def test_tasks_come_in_pages(site: Site) -> None:
    tasks = [
        site.harness.submitted(body(image_urls=[f"https://x.example/{n}.jpg"])) for n in range(60)
    ]
    first = site.get().text
    assert [task for task in tasks if f'id="t-{task}"' in first] == tasks[10:]
    before = site.harness.operator.tasks(limit=50)[-1]["number"]
    assert f"/_emulator/?before={before}" in first
    second = site.get(f"?before={before}").text
    assert [task for task in tasks if f'id="t-{task}"' in second] == tasks[:10]


def test_calls_are_filtered_and_come_in_pages(site: Site) -> None:
    for _ in range(55):
        site.harness.balance()
    site.harness.submit({"request_type": "async"})

    def listed(query: str) -> list[int]:
        text = site.get(f"ui/requests{query}").text
        return [number for number in range(1, 57) if f'id="r-{number}"' in text]

    assert listed("") == list(range(7, 57))
    assert listed("?before=7") == list(range(1, 7))
    assert listed("?kind=rejected") == [56]
    assert listed("?kind=submit&text=generatetask") == [56]
    assert listed("?text=nothing-has-this") == []


def test_a_rejected_call_names_its_rule(site: Site) -> None:
    site.harness.submit(body(resolution="16k"))
    assert "Broken rule: Invalid <code>resolution</code>" in site.get("ui/requests").text
    page = site.get("ui/requests/1").text
    assert "resolution.invalid" in page
    assert "documented, Image Upscaler page, Request validation: A table lists nine" in page


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("ui/tasks/unknown", 404, "no task"),
        ("ui/requests/7", 404, "keeps the latest only"),
        ("ui/requests/x", 404, "keeps the latest only"),
        ("?world=unknown", 404, "no world"),
        ("?state=lost", 400, "expected one of pending"),
        ("?before=x", 400, "expected a whole number"),
        (f"?before={'9' * 40}", 400, "expected a whole number"),
        ("ui/callbacks?offset=-1", 400, "expected a whole number"),
        (f"ui/requests/{'9' * 40}", 404, "keeps the latest only"),
        ("ui/requests?kind=x", 400, "expected one of submit"),
    ],
)
def test_what_is_not_there_is_a_page_that_says_so(
    site: Site, path: str, status: int, words: str
) -> None:
    answer = site.get(path)
    assert answer.status_code == status
    assert words in answer.text
    assert "<title>" in answer.text


def test_buttons_say_what_they_did_and_what_was_wrong(site: Site) -> None:
    site.harness.operator.set_clock(frozen=True)
    task_id = site.harness.submitted()
    done = site.press(f"ui/tasks/{task_id}/finish", code="Timeout")
    assert (done.status_code, notice_of(done)) == (204, "The task has failed with Timeout.")
    again = site.press(f"ui/tasks/{task_id}/finish")
    assert again.status_code == 409
    assert "has ended" in notice_of(again)
    assert site.press("ui/tasks/unknown/finish").status_code == 404
    assert site.press(f"ui/tasks/{task_id}/redeliver").status_code == 404
    unknown = site.press("ui/scenarios/add", scenario="SensitivContent")
    assert unknown.status_code == 400
    assert "SensitiveContent" in notice_of(unknown)
    assert site.press("ui/clock/rate", rate="-1").status_code == 400
    assert site.press("ui/accounts/top-up", key="k", amount="much").status_code == 400


def test_a_rule_is_added_from_the_forms_fields(site: Site) -> None:
    fields = {"times": "2", "image_url": "*/people/*", "resolution": "8k", "key": ""}
    added = site.press("ui/scenarios/add", scenario="slow-<seconds>", amount="7.5", **fields)
    assert notice_of(added) == "slow-7.5 for the next 2 tasks."
    [rule] = site.harness.operator.scenarios()
    assert rule["match"] == {"image_url": "*/people/*", "resolution": "8k"}
    assert rule["times"] == 2
    site.press("ui/scenarios/clear")
    assert site.harness.operator.scenarios() == []


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"host": "evil.example"}, {"origin": "null"}],
)
def test_no_button_and_no_page_is_for_another_site(site: Site, headers: dict[str, str]) -> None:
    pressed = site.call("POST", "ui/clock/rate", data={"rate": "0"}, headers=headers)
    assert pressed.status_code == 403
    assert site.harness.operator.clock()["frozen"] is False
    for path in [*PAGES, "ui/live", "ui/tasks/x/source"]:
        assert site.get(path, headers=headers).status_code == 403, path


def test_the_inbox_takes_callbacks_by_any_name_but_no_web_pages(site: Site) -> None:
    task = {"code": 200, "data": {"taskId": "abc", "state": "success"}}
    taken = site.call("POST", "inbox", json=task, headers={"host": "emulator:8787"})
    assert taken.status_code == 200
    assert site.call("POST", "inbox?status=503", json=task).status_code == 503
    assert site.call("POST", "inbox?status=99", json=task).status_code == 400
    for header in ({"origin": "http://127.0.0.1:8787"}, {"sec-fetch-site": "cross-site"}):
        assert site.call("POST", "inbox", json=task, headers=header).status_code == 403
    assert "2 received" in site.get("inbox").text


def test_the_inbox_shows_no_key(site: Site) -> None:
    caller = {"authorization": "Bearer a-plain-key"}
    site.call("POST", "inbox", json={"seen": "a-plain-key, sk-live-0123456789"}, headers=caller)
    assert site.get("ui/inbox/1").text == '{"seen":"…key, sk-…"}'


def test_the_inbox_is_bounded(site: Site) -> None:
    for _ in range(201):
        site.call("POST", "inbox", content=b"x")
    assert "200 received, the latest 50 are shown" in site.get("inbox").text
    assert site.call("POST", "inbox", content=bytes(21 * 2**20)).status_code == 413
    long = site.call("POST", "inbox", content=b"y" * 100_000)
    assert long.status_code == 200
    assert 2_000 < site.get("inbox").text.count("y") < 3_000


def test_worlds_are_apart_and_kept_in_every_link(make_site: Callable[..., Site]) -> None:
    site = make_site(per_key=True)
    mine = site.harness.submitted(key="sk-first-0123456789abcd")
    site.harness.submitted(key="sk-second-0123456789abcd")
    world = site.harness.emulator.store.task(mine).world  # type: ignore[union-attr]
    page = site.get(f"?world={world}")
    assert page.text.count('<tr id="t-') == 1
    assert f"/_emulator/ui/tasks/{mine}?world={world}" in page.text
    assert f"/_emulator/ui/requests?world={world}" in page.text
    assert f"/_emulator/ui/live?world={world}" in page.text
    assert site.get(f"ui/tasks/{mine}").status_code == 404


def test_scripts_and_styles_are_sent_for_ever_under_a_name_of_their_content(site: Site) -> None:
    page = site.get().text
    path = page.split('src="/_emulator/')[1].split('"')[0]
    answer = site.get(path)
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert site.get("static/x/unknown.js").status_code == 404
    assert site.get("static/x/..%2fapp.py").status_code == 404


def test_a_source_is_shown_as_a_picture_or_not_at_all(site: Site, rocket: Path) -> None:
    import base64

    inlined = "data:image/jpeg;base64," + base64.b64encode(rocket.read_bytes()).decode()
    task_id = site.harness.submitted(body(image_urls=[inlined]))
    source = site.get(f"ui/tasks/{task_id}/source")
    assert source.content == rocket.read_bytes()
    assert source.headers["content-type"] == "image/jpeg"
    assert "sandbox" in source.headers["content-security-policy"]
    assert "data:image/webp;base64," in site.get(f"ui/tasks/{task_id}/pictures").text
    absent = site.harness.submitted()
    assert site.get(f"ui/tasks/{absent}/source").status_code == 404
    assert site.get(f"ui/tasks/{absent}/other").status_code == 404


@pytest.mark.slow
def test_several_processes_have_one_inbox(tmp_path: Path) -> None:
    with running("--data", "data", "--workers", "2", cwd=tmp_path) as server:
        url = f"{server.origin}/_emulator/inbox"
        for _ in range(8):  # a connection each: they are spread over the processes
            assert httpx.post(url, json={"data": {"taskId": "a", "state": "success"}}).is_success
        assert ["8 received" in httpx.get(url).text for _ in range(8)] == [True] * 8
        form = {"Origin": server.origin, "Content-Type": "application/x-www-form-urlencoded"}
        httpx.post(f"{server.origin}/_emulator/ui/inbox/clear", headers=form).raise_for_status()
        assert ["Nothing was received" in httpx.get(url).text for _ in range(8)] == [True] * 8


def test_a_large_body_keeps_its_page_small_and_can_be_downloaded(site: Site) -> None:
    sent = "[" + "1," * 30_000 + "1]"
    site.call("POST", "inbox", content=sent)
    assert len(site.get("inbox").text) < 100_000
    found = site.get("ui/inbox/1")
    assert (found.text, found.headers["content-type"]) == (sent, "application/octet-stream")
    assert found.headers["content-disposition"] == 'attachment; filename="callback-1.txt"'
    assert site.get("ui/inbox/2").status_code == 404
