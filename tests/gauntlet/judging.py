"""One run of the kit against one server of the gauntlet."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from gauntlet.conduct import FAILING_IMAGE, IMAGE, KEY, Conduct
from gauntlet.server import serving

from apixo_contract import Report, Unreachable, UsageError, Verdict, verify


@dataclass(frozen=True, slots=True)
class Finding:
    """What the kit said: its exit code, the checks that failed, the assumptions refuted."""

    code: int
    failed: dict[str, str] = field(default_factory=dict)
    refuted: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    # Why there was no report.
    trouble: str = ""


# The kit looks for a second callback only where it may wait so long.
_PATIENCE_S = 45.0


def judged(conduct: type[Conduct], seed: int) -> Finding:
    """Let the kit look at a server that behaves so."""
    started = time.monotonic()
    with serving(conduct(seed)) as base_url:
        try:
            report = verify(
                base_url,
                KEY,
                image_url=IMAGE,
                failing_image_url=FAILING_IMAGE,
                callback_host="127.0.0.1",
                max_wait=_PATIENCE_S if conduct.patient else None,
                seed=seed,
            )
        except (UsageError, Unreachable) as error:
            code = 2 if isinstance(error, UsageError) else 3
            return Finding(code, seconds=time.monotonic() - started, trouble=str(error))
    return Finding(
        report.exit_code,
        _evidence(report, Verdict.FAIL),
        _evidence(report, Verdict.REFUTED),
        _evidence(report, Verdict.SKIPPED),
        time.monotonic() - started,
    )


def _evidence(report: Report, verdict: Verdict) -> dict[str, str]:
    return {found.id: found.evidence for found in report.results if found.verdict is verdict}
