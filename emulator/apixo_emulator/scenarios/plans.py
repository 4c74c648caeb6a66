"""The plan of a rule as it is written down, and the effects that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from apixo_emulator.domain.effects import CallbackEffects, Duration, Effects, Fault, Quirk
from apixo_emulator.domain.latency import LONGEST_MS
from apixo_emulator.domain.problems import DocumentError, Problem, found
from apixo_emulator.domain.wire import WireFault
from apixo_emulator.scenarios.vocabulary import poll_faults, submit_faults
from apixo_schemas import contract

# The code of a failure that says no other: the page's own example.
_DEFAULT_CODE = "Unknown error"


def plan_of(document: Mapping[str, Any]) -> Effects:
    """Read a plan that satisfies the schema.

    Raises:
        DocumentError: Its parts do not go together.
    """
    outcome = _outcome(document)
    status = document.get("status", {})
    return Effects(
        "plan",
        failure=_failure(document) if outcome == "failed" else None,
        succeed=outcome == "success",
        duration=_duration(document),
        stuck=outcome == "stuck",
        submit_fault=_submit_fault(document),
        status_fault=_with_retry_after(poll_faults()[status["fault"]], status) if status else None,
        status_fault_times=_whole(status.get("times")),
        callback=_callback(document.get("callback", {})),
        quirks=frozenset(map(Quirk, document.get("answers", ()))),
    )


def _whole(value: float | None) -> int | None:
    """Give an integer as one: to JSON Schema, 2.0 is an integer too."""
    return None if value is None else int(value)


def _outcome(document: Mapping[str, Any]) -> str | None:
    outcome: str | None = document.get("outcome")
    for key in ("fail_code", "fail_msg"):
        if key in document and outcome not in {None, "failed"}:
            message = f'expected outcome = "failed" beside it, found {found(outcome)}.'
            raise DocumentError([Problem((key,), message)])
    if outcome is None and ("fail_code" in document or "fail_msg" in document):
        return "failed"
    return outcome


def _failure(document: Mapping[str, Any]) -> tuple[str, str]:
    code: str = document.get("fail_code", _DEFAULT_CODE)
    known = contract().failures.get(code)
    message: str | None = document.get("fail_msg", known.message if known else None)
    if message is None:
        expected = f"expected fail_msg beside it, as {found(code)} is none of the documented codes"
        raise DocumentError(
            [Problem(("fail_code",), f"{expected}: {', '.join(contract().failures)}.")]
        )
    return code, message


def _duration(document: Mapping[str, Any]) -> Duration | None:
    pending_ms = _whole(document.get("pending_ms"))
    processing_ms = _whole(document.get("processing_ms"))
    taken = document.get("duration")
    if processing_ms is not None and taken is not None:
        message = "expected either duration or processing_ms, found both."
        raise DocumentError([Problem(("duration",), message)])
    if processing_ms is not None:
        taken = processing_ms + (pending_ms or 0)
        if taken > LONGEST_MS:
            message = f"expected at most {LONGEST_MS} with pending_ms, found {taken}."
            raise DocumentError([Problem(("processing_ms",), message)])
        return Duration(total_ms=taken, pending_ms=pending_ms or 0)
    if isinstance(taken, Mapping):
        median_ms, sigma = float(taken["median_ms"]), float(taken["sigma"])
        return Duration(median_ms=median_ms, sigma=sigma, pending_ms=pending_ms)
    if taken is None and pending_ms is None:
        return None
    return Duration(total_ms=_whole(taken), pending_ms=pending_ms)


def _submit_fault(document: Mapping[str, Any]) -> Fault | None:
    http = document.get("http")
    wire = WireFault(document["wire"]) if "wire" in document else None
    if http is None:
        return None if wire is None else Fault(wire=wire)
    return replace(
        _with_retry_after(submit_faults()[f"http-{int(http['status'])}"], http), wire=wire
    )


def _with_retry_after(fault: Fault, document: Mapping[str, Any]) -> Fault:
    if "retry_after_s" not in document:
        return fault
    return replace(fault, retry_after_s=int(document["retry_after_s"]))


def _callback(document: Mapping[str, Any]) -> CallbackEffects:
    return CallbackEffects(
        lost=document.get("lost", False),
        copies=int(document.get("copies", 1)),
        late_ms=int(document.get("late_ms", 0)),
        malformed=document.get("malformed", False),
        poll_lag_ms=int(document.get("before_done_ms", 0)),
    )


def plan_to_json(effects: Effects) -> dict[str, Any]:
    """Write the plan that stands for effects; `plan_of` reads it back to the same ones."""
    document: dict[str, Any] = {
        **_written_duration(effects.duration),
        **_written_outcome(effects),
        **_written_submit_fault(effects.submit_fault),
        "callback": _written_callback(effects.callback),
        "answers": sorted(effects.quirks),
        "status": _written_status(effects),
    }
    asked = {key: value for key, value in document.items() if value not in ({}, [])}
    # One that asks for the ordinary alone is a plan, too; an empty one could not be read back.
    return asked or {"callback": {"copies": effects.callback.copies}}


def _written_duration(duration: Duration | None) -> dict[str, Any]:
    if duration is None:
        return {}
    given = duration.to_json()
    taken = {key: given.pop(key) for key in ("median_ms", "sigma") if key in given}
    if "total_ms" in given:
        given["duration"] = given.pop("total_ms")
    return {**given, "duration": taken} if taken else given


def _written_outcome(effects: Effects) -> dict[str, Any]:
    if effects.failure is not None:
        code, message = effects.failure
        return {"outcome": "failed", "fail_code": code, "fail_msg": message}
    if effects.succeed:
        return {"outcome": "success"}
    return {"outcome": "stuck"} if effects.stuck else {}


def _written_submit_fault(fault: Fault | None) -> dict[str, Any]:
    if fault is None:
        return {}
    document: dict[str, Any] = {} if fault.wire is None else {"wire": fault.wire.value}
    if fault.error is not None:
        http: dict[str, Any] = {"status": contract().errors[fault.error].status}
        document["http"] = http | _written_retry_after(fault)
    return document


def _written_retry_after(fault: Fault) -> dict[str, Any]:
    return {} if fault.retry_after_s is None else {"retry_after_s": fault.retry_after_s}


def _written_callback(callback: CallbackEffects) -> dict[str, Any]:
    document = callback.to_json()
    if "poll_lag_ms" in document:
        document["before_done_ms"] = document.pop("poll_lag_ms")
    return document


def _written_status(effects: Effects) -> dict[str, Any]:
    fault = effects.status_fault
    if fault is None:
        return {}
    kind = (fault.error, fault.wire)
    names = (name for name, known in poll_faults().items() if (known.error, known.wire) == kind)
    document: dict[str, Any] = {"fault": next(names)}
    if effects.status_fault_times is not None:
        document["times"] = effects.status_fault_times
    return document | _written_retry_after(fault)
