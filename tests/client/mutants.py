"""Broken clients: each has one defect, and names the property that describes it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from apixo_client import (
    ApiError,
    AsyncApixo,
    Pace,
    ServerError,
    Task,
    TransportError,
    _core,
    _responses,
    errors,
    images,
    models,
    webhooks,
)

Patch = Callable[..., None]


@dataclass(frozen=True)
class Mutant:
    """One defect: how it is put into the client, and the property that must find it."""

    name: str
    caught_by: str
    put: Callable[[pytest.MonkeyPatch], None]


MUTANTS: list[Mutant] = []


def mutant(caught_by: str) -> Callable[[Callable[[pytest.MonkeyPatch], None]], None]:
    def register(put: Callable[[pytest.MonkeyPatch], None]) -> None:
        MUTANTS.append(Mutant(put.__name__, caught_by, put))

    return register


def changed(patch: pytest.MonkeyPatch, owner: Any, name: str, change: Callable[..., Any]) -> None:
    """Replace a function by one that gets the original first."""
    original = getattr(owner, name)
    patch.setattr(owner, name, lambda *args, **kwargs: change(original, *args, **kwargs))


def reads_tasks_with(patch: pytest.MonkeyPatch, change: Callable[[Task], Task]) -> None:
    for module in (_core, webhooks):
        changed(patch, module, "read_task", lambda read, data, task: change(read(data, task)))


def changes_body(patch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], object]) -> None:
    def build(original: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
        body = original(*args)
        change(body)
        return body

    changed(patch, _core, "_submit_body", build)


# Submits


@mutant("client.accepted")
def submits_twice(patch: pytest.MonkeyPatch) -> None:
    async def twice(submit: Any, *args: Any, **more: Any) -> Any:
        await submit(*args, **more)
        return await submit(*args, **more)

    changed(patch, _core.BaseClient, "_submit", twice)


@mutant("client.arguments")
def sends_any_text_as_a_url(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_core, "image_url", str)


@mutant("client.refusal")
def normalises_the_tier(patch: pytest.MonkeyPatch) -> None:
    def normalise(body: dict[str, Any]) -> None:
        tier = unicodedata.normalize("NFKC", body["input"]["resolution"]).strip()
        body["input"]["resolution"] = tier

    changes_body(patch, normalise)


@mutant("client.refusal")
def replaces_the_words_of_the_service(patch: pytest.MonkeyPatch) -> None:
    def error(original: Any, response: httpx.Response, **more: Any) -> ApiError:
        made: ApiError = original(response, **{**more, "message": ""})
        return made

    changed(patch, _responses, "api_error", error)


@mutant("client.uncertain-submit")
def retries_a_submit_after_a_502(patch: pytest.MonkeyPatch) -> None:
    changed(
        patch,
        _core,
        "is_surely_refused",
        lambda original, error: original(error) or isinstance(error, ServerError),
    )


@mutant("client.uncertain-submit")
def retries_a_submit_after_a_lost_answer(patch: pytest.MonkeyPatch) -> None:
    changed(
        patch,
        _core,
        "is_surely_refused",
        lambda original, error: original(error) or isinstance(error, TransportError),
    )


# Errors and pauses


@mutant("client.unknown-task")
def retries_what_was_refused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_core, "is_transient", lambda _error: True)


@mutant("client.key")
def takes_401_for_403(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(errors._API_ERRORS, "unauthorized", errors.PermissionDeniedError)


@mutant("client.retry-after")
def ignores_retry_after(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_responses, "retry_after_s", lambda _value, _now: None)


@mutant("client.retry-after")
def reads_no_dates_in_retry_after(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        _responses, "retry_after_s", lambda value, _now: float(value) if value.isdecimal() else None
    )


@mutant("client.long-retry-after")
def waits_however_long_it_is_asked_to(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        _core.BaseClient, "_pause_after", lambda _self, error, _failures, _may: error.retry_after
    )


@mutant("client.repeats")
def polls_once_only(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_core.BaseClient, "_ask", lambda self, request, *_more: self._once(request))


@mutant("client.passing-faults")
def repeats_without_a_pause(patch: pytest.MonkeyPatch) -> None:
    changed(patch, _core.BaseClient, "_pause_after", lambda original, *args: original(*args) * 0)


@mutant("client.time-limit")
def gives_the_wait_a_limit_of_its_own(patch: pytest.MonkeyPatch) -> None:
    changed(
        patch,
        _core.BaseClient,
        "_wait",
        lambda wait, self, task, timeout, on_progress, _started=None: wait(
            self, task, timeout, on_progress
        ),
    )


@mutant("client.answers")
def trusts_every_body_to_be_json(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_responses, "parse_json", json.loads)


# Balance


@mutant("client.balance")
def rounds_the_balance(patch: pytest.MonkeyPatch) -> None:
    async def balance(original: Any, self: Any) -> Any:
        return round(await original(self), 2)

    changed(patch, _core.BaseClient, "_balance", balance)


# Tasks


@mutant("client.view")
def drops_the_time_of_the_end(patch: pytest.MonkeyPatch) -> None:
    reads_tasks_with(patch, lambda task: replace(task, complete_time=None))


@mutant("client.tolerance")
def takes_an_unknown_state_for_an_end(patch: pytest.MonkeyPatch) -> None:
    running = {"pending", "processing"}
    patch.setattr(models.Task, "is_final", property(lambda task: task.state not in running))


@mutant("client.fail-code")
def takes_a_failed_task_for_a_result(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_core, "_succeeded", lambda task, _request: replace(task, result_urls=("x",)))


@mutant("client.session")
def remembers_the_first_view_of_a_task(patch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    async def status(original: Any, self: Any, task: Any) -> Any:
        name = task if isinstance(task, str) else task.id
        if name not in seen:
            seen[name] = await original(self, task)
        return seen[name]

    changed(patch, _core.BaseClient, "_status", status)


# Waiting


@mutant("client.pace")
def polls_every_second(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pace, "recommended", classmethod(lambda cls, _tier: cls.every(1)))


@mutant("client.pace")
def does_not_wait_in_async_code(patch: pytest.MonkeyPatch) -> None:
    async def sleep(_self: AsyncApixo, _seconds: float) -> None:
        """Do not wait."""

    patch.setattr(AsyncApixo, "_sleep", sleep)


@mutant("client.wait-timeout")
def waits_for_ever(patch: pytest.MonkeyPatch) -> None:
    changed(
        patch,
        _core.BaseClient,
        "_wait",
        lambda wait, self, task, _timeout, *more: wait(self, task, None, *more),
    )


# Callbacks and files


@mutant("client.callback")
def reads_callbacks_without_their_result(patch: pytest.MonkeyPatch) -> None:
    changed(
        patch,
        webhooks,
        "read_task",
        lambda read, data, task: replace(read(data, task), result_urls=()),
    )


@mutant("client.download")
def sends_the_key_to_the_file_server(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(_core._HEADERS, "Authorization", "Bearer key")


@mutant("client.file")
def writes_files_in_place(patch: pytest.MonkeyPatch) -> None:
    def begin(original: Any, self: Any, target: Any) -> None:
        original(self, target)
        self.write = Path(target).write_bytes

    changed(patch, images.AtomicFile, "__init__", begin)


@mutant("client.file")
def keeps_what_came_short(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_responses.Body, "end", lambda _body: 1)


@mutant("client.file")
def leaves_half_files_behind(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(images.AtomicFile, "__exit__", lambda file, *_exc_info: file._file.close())
