"""From a target to a report: settle what is asked, drive, judge."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx

from apixo_client import ConfigurationError, resolve_settings
from apixo_contract._catalogue import catalogue
from apixo_contract._drive import drive
from apixo_contract._judges import Outcome, Sighting, judge_run
from apixo_contract._ledger import Evidence, with_ledger
from apixo_contract._measuring import measure
from apixo_contract._observations import Run
from apixo_contract._option_values import SEEDS, usd
from apixo_contract._report import CheckResult, Example, Report, utc
from apixo_contract._settings import DEFAULT_BUDGET, EXAMPLE_IMAGE, Settings, UsageError, check
from apixo_contract._showing import show

# How the client names what is given, and how the kit's messages do.
_OPTIONS = {
    "pass api_key=… to the client": "give --api-key",
    "api_key=…": "--api-key",
    "base_url=…": "--base-url",
}


def settle(
    base_url: str | None,
    api_key: str | None,
    *,
    image_url: str | None = None,
    budget_usd: Decimal | float | str = DEFAULT_BUDGET,
    in_process: bool = False,
    **options: Any,
) -> Settings:
    """Make settings of what a user gave, and check that the run may start.

    Args:
        base_url: With or without ``/api/v1``; from ``APIXO_BASE_URL`` if it is None, else the live
            API.
        api_key: From ``APIXO_API_KEY`` if it is None.
        image_url: None takes the documentation's example on this machine.
        budget_usd: What the run may cost at most.
        in_process: The target is called without a network.
        options: Other fields of `Settings`.

    Raises:
        UsageError: Something is missing or cannot be used.
    """
    try:
        found = resolve_settings(api_key, base_url)
    except ConfigurationError as error:
        raise UsageError(_as_options(str(error))) from None
    settings = Settings(
        base_url=found.base_url,
        api_key=found.api_key,
        image_url=image_url or EXAMPLE_IMAGE,
        budget_usd=usd(budget_usd),
        in_process=in_process,
        **options,
    )
    check(settings, image_given=bool(image_url))
    return settings


def _as_options(words: str) -> str:
    """Give the client's words with the kit's names."""
    for name, option in _OPTIONS.items():
        words = words.replace(name, option)
    return words


def observe(
    settings: Settings,
    *,
    transport: httpx.BaseTransport | None = None,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.time,
    tell: Callable[[str], object] = lambda _words: None,
    stopped: Callable[[Run], object] = lambda _run: None,
) -> Run:
    """Make a run against a target and give all that it showed; nothing is judged.

    Args:
        settings: What to do.
        transport: Instead of the network, for a target in this process.
        sleep: Waits so many seconds.
        clock: Gives the time in Unix seconds, by the same clock.
        tell: Is told in words what happens.
        stopped: Is given what was seen so far, and paid for, where the run is stopped by Ctrl-C or
            by an error, which goes on afterwards. To judge it would be unfair: much is missing.

    Raises:
        UsageError: The target refuses the key, or callbacks cannot be received.
        Unreachable: The target does not answer.
    """
    return drive(
        settings, transport=transport, sleep=sleep, clock=clock, tell=tell, stopped=stopped
    )


def judge(run: Run, earlier: Mapping[str, Evidence] | None = None) -> Report:
    """Judge what a run saw, by the contract as it is now.

    Args:
        run: A run, of just now or kept.
        earlier: What live runs before this one have left.
    """
    results = tuple(_result(outcome) for outcome in judge_run(run))
    report = replace(unjudged(run), results=results, measured=measure(run))
    return with_ledger(report, earlier)


def unjudged(run: Run) -> Report:
    """Give what a report says of a run itself, without any check."""
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


def _result(outcome: Outcome) -> CheckResult:
    info = catalogue()[outcome.check_id]
    return CheckResult(
        id=info.id,
        title=info.title,
        grade=info.grade,
        source=info.source,
        verdict=outcome.verdict,
        evidence=outcome.evidence,
        observed=outcome.observed,
        examples=tuple(_example(sighting) for sighting in outcome.sightings),
        calls=outcome.seen,
    )


def _example(sighting: Sighting) -> Example:
    call = show(sighting.call)
    title = f"{call.method} {call.url}"
    return Example(title, sighting.expected, sighting.observed, (call,))


def verify(
    base_url: str | None = None,
    api_key: str | None = None,
    *,
    transport: httpx.BaseTransport | None = None,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.time,
    image_url: str | None = None,
    failing_image_url: str | None = None,
    budget_usd: Decimal | float | str = DEFAULT_BUDGET,
    max_wait: float | None = None,
    poll_interval: float | None = None,
    callback_host: str | None = None,
    callback_url: str | None = None,
    callback_port: int = 0,
    seed: int | None = None,
    examples: int = 12,
    live: bool = False,
    tell: Callable[[str], object] = lambda _words: None,
    stopped: Callable[[Run], object] = lambda _run: None,
) -> Report:
    """Hold a server to the contract, and say what it keeps, breaks, confirms and refutes.

    Args:
        base_url: With or without ``/api/v1``; from ``APIXO_BASE_URL`` if it is None.
        api_key: From ``APIXO_API_KEY`` if it is None.
        transport: Instead of the network, for a target in this process.
        sleep: Waits so many seconds; with a virtual clock it moves that clock.
        clock: Gives the time in Unix seconds, by the same clock.
        image_url: A picture that the target can fetch and enlarge. On this machine the
            documentation's example is taken, which emulators and stubs do not fetch.
        failing_image_url: A source that makes a task fail.
        budget_usd: What the run may cost at most; every submit is counted before it is sent.
        max_wait: How long to wait for a task, in seconds; 45 or more also waits for the second try
            of a callback.
        poll_interval: Between two polls of a task, in seconds.
        callback_host: Name or address of this machine as the target reaches it.
        callback_url: A public URL that leads to ``callback_port`` of this machine.
        callback_port: 0 takes a free one.
        seed: The same seed sends the same bodies.
        examples: Generated bodies for each rule broken alone; sets of rules get fewer each.
        live: Allows a target that is not on this machine, where tasks cost real money.
        tell: Is told in words what happens.
        stopped: Is given what was seen so far, where the run is stopped by Ctrl-C or by an error.

    Raises:
        UsageError: The run may not start so, or the target refuses the key.
        Unreachable: The target does not answer.
    """
    settings = settle(
        base_url,
        api_key,
        image_url=image_url,
        in_process=transport is not None,
        failing_image_url=failing_image_url,
        budget_usd=budget_usd,
        max_wait_s=max_wait,
        poll_interval_s=poll_interval,
        callback_host=callback_host,
        callback_url=callback_url,
        callback_port=callback_port,
        seed=secrets.randbelow(SEEDS) if seed is None else seed,
        examples=examples,
        live=live,
    )
    run = observe(
        settings, transport=transport, sleep=sleep, clock=clock, tell=tell, stopped=stopped
    )
    return judge(run)
