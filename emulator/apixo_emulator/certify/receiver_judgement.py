"""The judgement of a receiver: of its responses, and of what its application did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from apixo_emulator.certify.delivery import Response
from apixo_emulator.certify.effects import Seen
from apixo_emulator.certify.model import Finding, Verdict
from apixo_emulator.certify.receiver_cases import Expect, ReceiverCase, Step

_OK = 200
_ACCEPTED = range(200, 400)
_REJECTED = range(400, 500)
_TOLERATED = range(200, 500)


@dataclass
class Run:
    """What is collected while one case runs.

    Attributes:
        taken_before: What the effects command printed before the case.
        taken: How many results were taken in since then, as the command says.
        statuses: The statuses of all responses.
        retried: At least one delivery was repeated.
        refused: A delivery got a legal status that is not 200, so it has no effect.
        unanswered: An ordinary delivery got an error, or no response.
        lost: The case could not be judged: the receiver was gone, or asks another API.
        died: The receiver went away during or after this case.
    """

    case: ReceiverCase
    taken_before: int = 0
    taken: int = 0
    ids: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    retried: bool = False
    refused: bool = False
    unanswered: bool = False
    lost: bool = False
    died: bool = False
    duration_s: float = 0.0

    @property
    def is_rejected(self) -> bool:
        """True if every response was a 4xx status."""
        return all(status in _REJECTED for status in self.statuses)

    def find(self, verdict: Verdict, expected: str, observed: object) -> None:
        """Add a finding."""
        self.findings.append(Finding(verdict, expected, str(observed)))


def judged_effects(
    run: Run, seen: Seen, *, has_command: bool, has_downloads: bool
) -> Iterator[Finding]:
    """Judge what the application did with the deliveries.

    Results are counted by the effects command if there is one, else by downloads if any was seen at the emulator.
    """
    for task_id, count in seen.downloads.items():
        if count > 1:
            observed = f"the result of task {task_id} was asked for {count} times"
            yield Finding(Verdict.FAIL, "one download of each result", observed)
            break
    if seen.forged:
        observed = f"it was asked for{f' {seen.forged} times' if seen.forged > 1 else ''}"
        yield Finding(Verdict.FAIL, "no download of a forged result", observed)
    wanted = None if run.refused else run.case.results
    if wanted is None:
        return
    done = "taken in" if has_command else "downloaded"
    expected = f"{_results(wanted)} {done}"
    if run.case.forged and not has_command and (seen.asked or run.is_rejected):
        if not seen.forged:
            observed = "a poll" if seen.asked else "a 4xx status"
            yield Finding(Verdict.PASS, "a poll, or a 4xx status", observed)
    elif has_command or (has_downloads and not run.case.forged):
        verdict = Verdict.PASS if run.taken == wanted else Verdict.FAIL
        observed = f"{_results(run.taken)} {done}"
        if run.taken < wanted and run.case.first_poll_fails and not run.retried:
            # The receiver has accepted the delivery: the live API does not repeat it.
            verdict, observed = (
                Verdict.WARN,
                f"status 200, the API's 503 to one poll, and {observed}",
            )
        yield Finding(verdict, expected, observed)
    elif not seen.forged:
        yield Finding(
            Verdict.SKIPPED, expected,
            "no way to count the results: give --effects COMMAND, or let the application poll and"
            " download at the certifier's emulator (--port)",
        )  # fmt: skip


def _results(number: int) -> str:
    return f"{number} result{'' if number == 1 else 's'}"


def judged_status(step: Step, response: Response) -> tuple[str, Verdict]:
    """Return what was expected of a response, and the verdict."""
    status = response.status
    match step.expect:
        case Expect.NOTHING:
            expected = "no response, or a status below 500"
            good = status is None or status in _TOLERATED
        case Expect.ACCEPTED:
            expected, good = "status 200 within 30 s", status == _OK
        case Expect.REJECTED:
            expected, good = "a 4xx status", response.closed or status in _REJECTED
        case Expect.TOLERATED:
            expected, good = "a status below 500", status in _TOLERATED
    if status is not None and status in step.legal:
        return expected, step.legal[status]
    if step.expect is Expect.REJECTED and status in _ACCEPTED:
        return expected, Verdict.WARN
    return expected, Verdict.PASS if good else Verdict.FAIL
