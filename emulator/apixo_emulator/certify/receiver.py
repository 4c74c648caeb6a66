"""Certification of a receiver: the deliveries of each case, and the judgement of what the receiver did."""

from __future__ import annotations

import asyncio
import shlex
import statistics
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import Any

from apixo_emulator.certify.delivery import RESPONSE_S, Delivery, Response, connect, send
from apixo_emulator.certify.emulator import OwnEmulator
from apixo_emulator.certify.model import Finding, NothingToJudgeError, Result, Verdict
from apixo_emulator.certify.receiver_cases import (
    FORGED,
    FORGED_TASK,
    ORIGIN,
    Expect,
    ReceiverCase,
    Step,
)

KEY = "sk-certify-receiver"
_OK = 200
# A missing effect is waited for as long as this after the last call: longer than the recommended pace of polls.
_EFFECT_S = 12.0
# A further effect is waited for as long as this; an application that works in a queue needs some time.
_SETTLE_S = 0.75
_LOOK_S = 0.05
# An effects command may be slow to start.
_COUNT_S = 0.2
_ATTEMPT_S = RESPONSE_S + 5
_REJECTED = range(400, 500)
_TOLERATED = range(200, 500)

Progress = Callable[[Result], None]


@dataclass
class _Run:
    """What is collected while one case runs; ``since`` counts the calls that were seen before it."""

    case: ReceiverCase
    taken_before: int
    since: int = 0
    ids: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)

    def find(self, verdict: Verdict, expected: str, observed: object) -> None:
        self.findings.append(Finding(verdict, expected, str(observed)))


@dataclass(frozen=True)
class _Seen:
    """What the application did in a case: results taken in, downloads by task, polls, downloads of forged results."""

    taken: int
    downloads: Counter[str]
    polls: int
    forged: int


@dataclass
class ReceiverCertifier:
    """Runs cases against one receiver.

    Attributes:
        url: The receiver's address.
        emulator: Holds the tasks; the receiver may poll them with any key.
        effects: Command that prints how many results the application has taken in; None if there is none.
        wait_idle: Returns when the application has nothing left to do. Without it, the certifier waits until the
            application has made no call for some time.
        slow_s: A response that takes longer is a warning.
    """

    url: str
    emulator: OwnEmulator
    effects: str | None = None
    wait_idle: Callable[[], object] | None = None
    slow_s: float = 5.0
    _seconds: list[float] = field(default_factory=list)
    # The calls at the emulator since the start, which all cases look at.
    _calls: list[dict[str, Any]] = field(default_factory=list)
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _looked: float = 0.0
    # True once a download was seen: then downloads tell which results are taken in.
    _downloads: bool = False

    async def run(
        self, cases: Sequence[ReceiverCase], jobs: int, progress: Progress
    ) -> list[Result]:
        """Run the cases, deliveries of ``jobs`` of them at a time; cases that would disturb others run alone.

        Raises:
            NothingToJudgeError: The receiver cannot be reached, or the effects cannot be counted.
        """
        await self._check_reachable()
        limit = asyncio.Semaphore(jobs)

        async def one(case: ReceiverCase) -> Result:
            result = await self._judged(case, limit)
            progress(result)
            return result

        # The first case tells whether downloads can be observed. A command counts for all cases together.
        alone = [
            case for case in cases if case is cases[0] or case.alone or self.effects is not None
        ]
        together = [case for case in cases if case not in alone]
        results = {alone[0].id: await one(alone[0])}
        for result in await asyncio.gather(*map(one, together)):
            results[result.id] = result
        for case in alone[1:]:
            results[case.id] = await one(case)
        return [results[case.id] for case in cases]

    def figures(self) -> dict[str, str]:
        """Return the response times of the whole run."""
        if not self._seconds:
            return {}
        median = statistics.median(self._seconds)
        return {
            "response p50": f"{median:.3f} s",
            "response maximum": f"{max(self._seconds):.3f} s",
        }

    async def _check_reachable(self) -> None:
        try:
            _, writer = await connect(self.url)
        except OSError as error:
            reason = str(error) or "no connection within 5 s"
            raise NothingToJudgeError(
                f"the receiver {self.url} cannot be reached: {reason}"
            ) from None
        writer.close()

    async def _judged(self, case: ReceiverCase, limit: asyncio.Semaphore) -> Result:
        began = perf_counter()
        async with limit:
            taken = await self._count() if self.effects is not None else 0
            run = _Run(case, taken)
            await self._prepare(run)
            await self._look()
            run.since = len(self._calls)
            for number, step in enumerate(case.steps):
                if step.advance_s and number:
                    # The application downloads a result before its link expires.
                    await self._settled(run)
                await self._step(run, step)
        self._judge_effects(run, await self._settled(run))
        for name, task_id in run.ids.items():
            if name not in run.bodies:  # delivered by the emulator, which sends what a poll returns
                response = await asyncio.to_thread(self.emulator.poll, KEY, task_id)
                run.evidence.append(Delivery(self.url, response.content).as_curl())
        return Result(
            case.id, case.title, case.matters, case.advice, run.findings, run.evidence,
            perf_counter() - began,
        )  # fmt: skip

    async def _prepare(self, run: _Run) -> None:
        """Submit the tasks that this process delivers, and keep the bodies of their callbacks."""
        if any(step.by_emulator for step in run.case.steps):
            return
        for name, scenario in run.case.tasks.items():
            run.ids[name] = await self._submit(f"{scenario}+callback-lost".lstrip("+"))
        for name, task_id in run.ids.items():
            response = await asyncio.to_thread(self.emulator.poll, KEY, task_id)
            run.bodies[name] = response.content
            if not run.case.all_tasks:
                # Drawn now, so that the application's own download takes no time.
                await asyncio.to_thread(self.emulator.fetch_results, response)

    async def _submit(self, scenario: str) -> str:
        picture = f"emulate/{scenario}/certify.jpg" if scenario else "certify.jpg"
        body = {
            "request_type": "callback",
            "callback_url": self.url,
            "input": {"image_urls": [f"https://example.com/{picture}"], "resolution": "2k"},
        }
        return await asyncio.to_thread(self.emulator.submit, KEY, **body)

    async def _control(self, method: str, path: str, body: Any = None) -> Any:
        return await asyncio.to_thread(self.emulator.control, method, path, KEY, body)

    # Deliveries

    async def _step(self, run: _Run, step: Step) -> None:
        if step.advance_s:
            await self._control("POST", "/clock/advance", {"ms": step.advance_s * 1000})
        if step.by_emulator:
            run.ids[step.task] = await self._submit(run.case.tasks[step.task])
            self._judge_responses(run, step, [await self._attempt(run.ids[step.task])])
            return
        names = list(run.case.tasks) if run.case.all_tasks else [step.task] * step.times
        deliveries = [self._delivery(step, run.bodies[name]) for name in names]
        run.evidence.append(deliveries[0].as_curl())
        if step.together or run.case.all_tasks:
            responses = await asyncio.gather(*map(send, deliveries))
        else:
            responses = [await send(delivery) for delivery in deliveries]
        self._judge_responses(run, step, responses)

    def _delivery(self, step: Step, body: bytes) -> Delivery:
        if step.edit is not None:
            body = step.edit(body).replace(ORIGIN.encode(), self.emulator.origin.encode())
        return Delivery(
            self.url, body, step.method, step.content_type,
            step.headers, step.transmission,
        )  # fmt: skip

    async def _attempt(self, task_id: str) -> Response:
        """Wait for the emulator's first attempt and return how it ended."""
        deadline = monotonic() + _ATTEMPT_S
        while monotonic() < deadline:
            attempts = (await self._control("GET", f"/deliveries/{task_id}"))["attempts"]
            if attempts:
                seconds = attempts[0]["durationMs"] / 1000
                return Response(attempts[0]["status"], seconds, attempts[0]["error"] or "")
            await asyncio.sleep(_LOOK_S)
        return Response(None, _ATTEMPT_S, f"the emulator made no attempt within {_ATTEMPT_S:g} s")

    def _judge_responses(self, run: _Run, step: Step, responses: Sequence[Response]) -> None:
        self._seconds += [each.seconds for each in responses if each.status is not None]
        judged = [(*_judged_status(step, response), response) for response in responses]
        # One finding for all: the worst response.
        expected, verdict, response = max(judged, key=lambda each: each[1].badness)
        run.find(verdict, expected, response)
        slowest = max(responses, key=lambda each: each.seconds)
        if verdict is Verdict.PASS and slowest.seconds > self.slow_s:
            run.find(
                Verdict.WARN, f"a response within {self.slow_s:g} s", f"{slowest.seconds:.1f} s"
            )

    # Effects

    def _judge_effects(self, run: _Run, seen: _Seen) -> None:
        """Judge what the application did with the deliveries."""
        wanted = run.case.results
        self._downloads = self._downloads or bool(seen.downloads)
        for task_id, count in seen.downloads.items():
            if count > 1:
                observed = f"{count} downloads of the result of task {task_id}"
                run.find(Verdict.FAIL, "one download of each result", observed)
                break
        if seen.forged:
            run.find(Verdict.FAIL, "no download of a forged result", f"{seen.forged} downloads")
        if wanted is None:
            return
        if run.case.forged and self.effects is None and not seen.forged and seen.polls:
            run.find(Verdict.PASS, "a question to the status endpoint", f"{seen.polls} polls")
        elif self.effects is not None or (self._downloads and not run.case.forged):
            verdict = Verdict.PASS if seen.taken == wanted else Verdict.FAIL
            run.find(verdict, _results(wanted), _results(seen.taken))
        elif not seen.forged:
            run.find(
                Verdict.SKIPPED, _results(wanted),
                "no way to count the results: give --effects COMMAND, or let the application poll and"
                " download at the certifier's emulator (--port)",
            )  # fmt: skip

    async def _settled(self, run: _Run) -> _Seen:
        """Return what the application did for the case, once it does nothing more.

        An application works through its queue: as long as it calls the emulator at all, what is missing may still
        come.
        """
        if self.wait_idle is not None:
            await asyncio.to_thread(self.wait_idle)
            return await self._seen(run)
        seen, calls, changed = await self._seen(run), len(self._calls), monotonic()
        while True:
            is_counted = self.effects is not None or self._downloads or run.case.id == "success"
            is_missing = is_counted and seen.taken < (run.case.results or 0)
            if monotonic() - changed >= (_EFFECT_S if is_missing else _SETTLE_S):
                return seen
            await asyncio.sleep(_LOOK_S if self.effects is None else _COUNT_S)
            now = await self._seen(run)
            if now != seen or (is_missing and len(self._calls) != calls):
                changed = monotonic()
            seen, calls = now, len(self._calls)

    async def _look(self) -> None:
        """Read the calls that were made at the emulator since the last look."""
        asked = monotonic()
        async with self._looking:
            if self._looked > asked:  # for another case, while this one waited
                return
            self._looked = monotonic()
            last = self._calls[-1]["number"] if self._calls else 0
            self._calls += await asyncio.to_thread(self.emulator.calls, KEY, last)

    async def _seen(self, run: _Run) -> _Seen:
        await self._look()
        # Other cases may run at the same time: only calls about this case's tasks count for it.
        own = {*run.ids.values(), *((FORGED, FORGED_TASK) if run.case.forged else ())}
        calls = [call for call in self._calls[run.since :] if call["taskId"] in own]
        files = [call for call in calls if call["endpoint"] == "file"]
        downloads = Counter(
            call["taskId"]
            for call in files
            if call["taskId"] != FORGED and call["response"]["status"] == _OK
        )
        taken = len(downloads)
        if self.effects is not None:
            taken = await self._count() - run.taken_before
        polls = sum(call["endpoint"] == "status" for call in calls)
        return _Seen(taken, downloads, polls, sum(call["taskId"] == FORGED for call in files))

    async def _count(self) -> int:
        """Run the effects command and return the number that it prints.

        Raises:
            NothingToJudgeError: It fails, or prints something else.
        """
        words = shlex.split(self.effects or "")
        try:
            done = await asyncio.to_thread(
                subprocess.run,
                words,
                capture_output=True,
                text=True,
                timeout=RESPONSE_S,
                check=False,
            )
            return int(done.stdout.strip().splitlines()[-1])
        except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
            raise NothingToJudgeError(
                f"--effects: expected a command that prints a number, found {self.effects!r}: {error}"
            ) from None


def _judged_status(step: Step, response: Response) -> tuple[str, Verdict]:
    """Return what was expected of a response, and the verdict."""
    status = response.status
    match step.expect:
        case Expect.NOTHING:
            good = status is None or status in _TOLERATED
            return "no response, or a status below 500", Verdict.PASS if good else Verdict.FAIL
        case Expect.ACCEPTED:
            return "status 200 within 30 s", Verdict.PASS if status == _OK else Verdict.FAIL
        case Expect.REJECTED if status is not None and status < _REJECTED.start:
            return "a 4xx status", Verdict.WARN
        case Expect.REJECTED:
            closed = status is None and "closed" in response.problem
            good = closed or status in _REJECTED
            return "a 4xx status", Verdict.PASS if good else Verdict.FAIL
        case _:
            good = status is not None and status in _TOLERATED
            return "a status below 500", Verdict.PASS if good else Verdict.FAIL


def _results(count: int) -> str:
    return f"{count} results taken in" if count != 1 else "1 result taken in"
