"""A run from its options to its report: drive the target, then judge what was seen.

What costs nothing comes first, so that a target which is badly broken is known before it is paid.
Then the tasks are submitted, and while they run the generated bodies are sent. Tasks that fail are
repeated at the end. Then the client is tried. Nothing is judged while the run goes on, except to
shrink a failing body, and to find out whether the client can be tried on the target.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx

from apixo_contract.beyond import seen_beyond
from apixo_contract.checks import (
    assumptions,
    auth,
    callbacks,
    client,
    flaky,
    pictures,
    results,
    status,
    submit,
    tasks,
)
from apixo_contract.observations import Exchange, Purpose, Run
from apixo_contract.options import Settings, settle
from apixo_contract.report.model import LiveEvidence, Report, Verdict, utc, with_ledger
from apixo_contract.session import Session, receiving
from apixo_contract.text import plural
from apixo_contract.view import BUSY, STOPPED, View, is_integer

# 32 years. A target may date its tasks as it likes, with more digits than a float holds.
_LONGEST_MS = 10**12


def observe(
    settings: Settings,
    *,
    transport: httpx.BaseTransport | None = None,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.time,
    tell: Callable[[str], object] = lambda _words: None,
    stopped: Callable[[Run], object] = lambda _run: None,
    with_client: bool = True,
) -> Run:
    """Return all that a target showed in a run; nothing is judged.

    Args:
        settings: What to do.
        transport: Replaces the network, for a target in this process.
        sleep: Waits so many seconds.
        clock: Returns the time in Unix seconds, by the same clock.
        tell: Gets words about what happens.
        stopped: Gets what was seen so far, and paid for, if the run is stopped by Ctrl-C or by an
            error, which is raised afterwards.
        with_client: Also tries the properties of the client.

    Raises:
        UsageError: The target refuses the key, or callbacks cannot be received.
        Unreachable: The target does not answer.
    """
    session = Session(settings, transport=transport, sleep=sleep, clock=clock)
    started = session.calls.now_ms
    try:
        with receiving(settings, clock) as session.receiver:
            _drive(session, started, tell)
        # Afterwards, because it listens at the same port.
        if with_client:
            _try_client(session, started, tell)
    except BaseException:
        # Ctrl-C among them: what was seen, and paid for, is not lost.
        session.notes[STOPPED] = "The run was stopped before its end."
        stopped(_seen(session, started))
        raise
    finally:
        session.calls.close()
    return _seen(session, started)


def check_target(settings: Settings) -> None:
    """Find out whether a target answers and accepts the key; free.

    Raises:
        UsageError: The target refuses the key.
        Unreachable: It does not answer.
    """
    session = Session(settings, transport=None, sleep=time.sleep, clock=time.time)
    try:
        auth.check_target(session)
    finally:
        session.calls.close()


def _drive(session: Session, started: int, tell: Callable[[str], object]) -> None:
    refusals, paid = submit.Refusals(session), tasks.Tasks(session)
    tell("free checks")
    auth.check_target(session)
    auth.call_with_wrong_keys(session)
    refusals.first()
    tell("submitting tasks")
    paid.pay()
    tell("unknown tasks, and bodies that break rules, while the tasks run")
    status.poll_what_is_not_there(session)
    auth.poll_with_wrong_keys(session)
    assumptions.send_probes(session, risky=False)
    refusals.generated()
    tell("waiting for the tasks")
    paid.follow()
    auth.read_foreign_balance(session)
    paid.fail()
    assumptions.send_probes(session, risky=True)
    paid.last()
    tell("results, callbacks, final answers")
    pictures.fetch_results(session)
    callbacks.await_callbacks(session)
    session.read_balance("end")
    session.poller.once_more()
    flaky.repeat_wrong(session, View(_seen(session, started)))


def _try_client(session: Session, started: int, tell: Callable[[str], object]) -> None:
    """Try the properties of the client, or note why they were not tried."""
    if not session.settings.examples:
        words = "No examples were generated: give --examples 1 or more."
    elif session.settings.in_process:
        words = "The target was called without a network, which the client needs."
    elif failed := judge(_seen(session, started)).of(Verdict.FAIL):
        words = f"The client cannot be judged by a target that breaks {failed[0].id}."
    else:
        client.try_properties(session, View(_seen(session, started)), tell)
        return
    session.notes["client"] = words


def _seen(session: Session, started: int) -> Run:
    settings = session.settings
    return Run(
        target=settings.base_url,
        seed=settings.seed,
        started_ms=started,
        ended_ms=session.calls.now_ms,
        live=settings.live,
        options={**settings.public(), "spent_usd": str(session.budget.spent_usd)},
        notes=session.notes,
        exchanges=tuple(session.calls.exchanges),
        callbacks=tuple(session.receiver.seen) if session.receiver else (),
        properties=tuple(session.properties),
    )


# --- judging ----------------------------------------------------------------------------------


def judge(run: Run, earlier: Mapping[str, LiveEvidence] | None = None) -> Report:
    """Return the report on a run, by the contract as it is now.

    Args:
        run: A run, of just now or kept.
        earlier: What earlier live runs have left in the ledger.
    """
    view = View(run)
    report = replace(
        unjudged(run),
        results=tuple(results(view)),
        measured=_measured(view),
        remarks=tuple(_remarks(view)),
        beyond=tuple(seen_beyond(view)),
    )
    return with_ledger(report, earlier)


def unjudged(run: Run) -> Report:
    """Return what a report says of a run itself, without any check."""
    options = {k: v for k, v in run.options.items() if k not in {"budget_usd", "spent_usd"}}
    return Report(
        target=run.target,
        started=utc(run.started_ms),
        duration_s=(run.ended_ms - run.started_ms) / 1000,
        seed=run.seed,
        live=run.live,
        budget_usd=Decimal(str(run.options.get("budget_usd", 0))),
        spent_usd=Decimal(str(run.options.get("spent_usd", 0))),
        results=(),
        calls=len(run.exchanges),
        notes=run.notes,
        options=options,
    )


def _measured(view: View) -> dict[str, Any]:
    """Return how long tasks took, in ms, by resolution."""
    took: dict[str, list[int]] = {}
    for task in view.tasks.values():
        if task.final is None or not task.succeeded:
            continue
        made, done = (task.final.task.get(name) for name in ("createTime", "completeTime"))
        if is_integer(made) and is_integer(done) and 0 <= done - made <= _LONGEST_MS:
            took.setdefault(str(task.submitted.value("resolution")), []).append(done - made)
    return {"latency_ms": took} if took else {}


def _remarks(view: View) -> Iterator[str]:
    """Yield what a reader must know beside the verdicts: a stop, errors that passed when repeated."""
    run = view.run
    if STOPPED in run.notes:
        yield f"{run.notes[STOPPED]} Only what it had seen by then was judged."
    busy = [call for call in run.of(Purpose.BUSY) if call.status in BUSY]
    calls = plural(len(run.exchanges), "call")
    if view.passing:
        kinds = Counter(map(_kind, view.passing))
        told = ", ".join(f"{plural(count, kind, kind)}" for kind, count in kinds.most_common())
        name = "The target is flaky" if view.is_unsteady else "Transient errors"
        yield f"{name}: of {calls}, these failed and were repeated: {told}."
    if busy:
        statuses = sorted({str(call.status) for call in busy})
        yield (
            f"The target was busy: {len(busy)} of {calls} were answered with HTTP "
            f"{' or '.join(statuses)} and repeated later."
        )


def _kind(call: Exchange) -> str:
    if call.status is None:
        return (call.trouble or "no answer").partition(":")[0]
    return f"HTTP {call.status}"


def verify(
    base_url: str | None = None,
    api_key: str | None = None,
    *,
    transport: httpx.BaseTransport | None = None,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.time,
    **options: Any,
) -> Report:
    """Return what a server keeps, breaks, confirms and refutes of the contract.

    Args:
        base_url: With or without ``/api/v1``; from ``APIXO_BASE_URL`` if it is None.
        api_key: From ``APIXO_API_KEY`` if it is None.
        transport: Replaces the network, for a target in this process.
        sleep: Waits so many seconds; with a virtual clock it moves that clock.
        clock: Returns the time in Unix seconds, by the same clock.
        options: The options of the command ``apixo-contract verify``, such as
            ``budget_usd="0.05"``, ``max_wait=60`` or ``live=True``. On this machine the image
            is the documentation's example, which emulators and stubs do not fetch.

    Raises:
        TypeError: There is no such option.
        UsageError: The run may not start so, or the target refuses the key.
        Unreachable: The target does not answer.
    """
    settings = settle(base_url, api_key, {"in_process": transport is not None, **options})
    return judge(observe(settings, transport=transport, sleep=sleep, clock=clock))
