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
from urllib.parse import urlsplit

from apixo_emulator.certify.delivery import RESPONSE_S, Delivery, Response, send
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
_SLOW_S = 5.0
_OK = 200
_EFFECT_S = 5.0
# How long a second effect is waited for after the first; a receiver that works in a queue needs some time.
_SETTLE_S = 1.2
_LOOK_S = 0.05
_ATTEMPT_S = RESPONSE_S + 5
_MOST_EVIDENCE = 4
_REJECTED = range(400, 500)
_TOLERATED = range(200, 500)
_PICTURE = "https://example.com/certify.jpg"

Progress = Callable[[Result], None]


@dataclass
class _Run:
    """What is collected while one case runs."""

    case: ReceiverCase
    ids: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)

    def find(self, verdict: Verdict, expected: str, observed: str) -> None:
        self.findings.append(Finding(verdict, expected, observed))


@dataclass(frozen=True)
class _Seen:
    """What the application did at the emulator: downloads by task, polls, downloads of forged results."""

    downloads: Counter[str] = field(default_factory=Counter)
    polls: int = 0
    forged: int = 0


@dataclass
class ReceiverCertifier:
    """Runs cases against one receiver.

    Attributes:
        url: The receiver's address.
        emulator: Holds the tasks; the receiver may poll them with any key.
        effects: Command that prints how many results the application has taken in; None if there is none.
    """

    url: str
    emulator: OwnEmulator
    effects: str | None = None
    _seconds: list[float] = field(default_factory=list)
    # True once a download was seen: then downloads tell which results are taken in.
    _downloads: bool = False

    async def run(
        self, cases: Sequence[ReceiverCase], jobs: int, progress: Progress
    ) -> list[Result]:
        """Run the cases, those that share the clock or the effects one after another.

        Raises:
            NothingToJudgeError: The receiver cannot be reached, or the effects cannot be counted.
        """
        await self._check_reachable()
        if self.effects is not None:
            await self._count()
        alone = 1 if self.effects is not None else jobs
        limit = asyncio.Semaphore(alone)

        async def one(case: ReceiverCase) -> Result:
            async with limit:
                result = await self._judged(case)
            progress(result)
            return result

        # The first case tells whether downloads can be observed.
        first = [await one(cases[0])]
        together = [case for case in cases[1:] if not case.alone]
        found = first + list(await asyncio.gather(*map(one, together)))
        for case in cases[1:]:
            if case.alone:
                found.append(await one(case))
        order = [case.id for case in cases]
        return sorted(found, key=lambda result: order.index(result.id))

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
        url = urlsplit(self.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(url.hostname, port), _SLOW_S)
        except (OSError, TimeoutError) as error:
            raise NothingToJudgeError(
                f"the receiver {self.url} cannot be reached: {error or 'no connection in 5 s'}"
            ) from None
        writer.close()

    async def _judged(self, case: ReceiverCase) -> Result:
        began = perf_counter()
        run = _Run(case)
        await self._prepare(run)
        since = await self._last_number()
        before = await self._count() if self.effects is not None else 0
        for step in case.steps:
            if step.advance_s and step is not case.steps[0]:
                # The application downloads a result before its link expires.
                await self._settled(run, since, before)
            await self._step(run, step)
        await self._judge_effects(run, since, before)
        return Result(
            case.id, case.title, case.matters, case.advice, run.findings, run.evidence,
            perf_counter() - began,
        )  # fmt: skip

    async def _prepare(self, run: _Run) -> None:
        """Submit the tasks that this process delivers, and keep the bodies of their callbacks."""
        if any(step.by_emulator for step in run.case.steps):
            return
        for name, scenario in run.case.tasks.items():
            task_id = await self._submit(
                f"{scenario}+callback-lost" if scenario else "callback-lost"
            )
            run.ids[name] = task_id
        for name, task_id in run.ids.items():
            response = await asyncio.to_thread(self.emulator.poll, KEY, task_id)
            run.bodies[name] = response.content
            if not run.case.all_tasks:
                # Drawn now, so that the application's own download takes no time.
                await asyncio.to_thread(self.emulator.fetch_results, response)

    async def _submit(self, scenario: str) -> str:
        source = (
            _PICTURE.replace("certify.jpg", f"emulate/{scenario}/certify.jpg")
            if scenario
            else _PICTURE
        )
        body = {
            "request_type": "callback",
            "callback_url": self.url,
            "input": {"image_urls": [source], "resolution": "2k"},
        }
        return await asyncio.to_thread(self.emulator.submit, KEY, **body)

    async def _control(self, method: str, path: str, body: Any = None) -> Any:
        return await asyncio.to_thread(self.emulator.control, method, path, KEY, body)

    async def _last_number(self) -> int:
        calls = (await self._control("GET", "/requests?limit=1"))["requests"]
        return int(calls[-1]["number"]) if calls else 0

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
        if len(run.evidence) < _MOST_EVIDENCE:
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
        expected, verdict, response = max(judged, key=lambda each: list(Verdict).index(each[1]))
        run.find(verdict, expected, str(response))
        slowest = max(responses, key=lambda each: each.seconds)
        if verdict is Verdict.PASS and slowest.seconds > _SLOW_S:
            run.find(Verdict.WARN, f"a response within {_SLOW_S:g} s", f"{slowest.seconds:.1f} s")

    # Effects

    async def _judge_effects(self, run: _Run, since: int, before: int) -> None:
        """Judge what the application did with the deliveries."""
        wanted = run.case.results
        seen = await self._settled(run, since, before)
        self._downloads = self._downloads or bool(seen.downloads)
        twice = [task_id for task_id, count in seen.downloads.items() if count > 1]
        if twice:
            run.find(
                Verdict.FAIL, "one download of each result",
                f"{seen.downloads[twice[0]]} downloads of the result of task {twice[0]}",
            )  # fmt: skip
        if seen.forged:
            run.find(Verdict.FAIL, "no download of a forged result", f"{seen.forged} downloads")
        if wanted is None:
            return
        if self.effects is not None:
            self._judge_count(run, await self._count() - before, wanted)
        elif run.case.forged and not seen.forged and seen.polls:
            run.find(Verdict.PASS, "a question to the status endpoint", f"{seen.polls} polls")
        elif self._downloads and not run.case.forged:
            self._judge_count(run, len(seen.downloads), wanted)
        elif not seen.forged:
            run.find(
                Verdict.SKIPPED, _results(wanted),
                "no way to count the results: give --effects COMMAND, or let the application poll and"
                " download at the certifier's emulator (--port)",
            )  # fmt: skip

    def _judge_count(self, run: _Run, taken: int, wanted: int) -> None:
        verdict = Verdict.PASS if taken == wanted else Verdict.FAIL
        run.find(verdict, _results(wanted), _results(taken))

    async def _settled(self, run: _Run, since: int, before: int) -> _Seen:
        """Return what the application did for the case, once it does nothing more.

        An application works through its queue: as long as it calls the emulator at all, what is missing may still
        come.
        """
        wanted = run.case.results or 0
        last, own_change, any_change = (-1, _Seen()), monotonic(), monotonic()
        calls = -1
        while True:
            seen, total = await self._observed(run, since)
            taken = (
                await self._count() - before if self.effects is not None else len(seen.downloads)
            )
            now = monotonic()
            if (taken, seen) != last:
                last, own_change = (taken, seen), now
            if total != calls:
                calls, any_change = total, now
            waits = self._observes(run.case) and taken < wanted
            if now - (any_change if waits else own_change) >= (_EFFECT_S if waits else _SETTLE_S):
                return seen
            await asyncio.sleep(_LOOK_S)

    def _observes(self, case: ReceiverCase) -> bool:
        """True if results of the case can be counted, or are looked for the first time."""
        return self.effects is not None or self._downloads or case.id == "success"

    async def _observed(self, run: _Run, since: int) -> tuple[_Seen, int]:
        """Return what the application did for the case, and how many calls there were in all."""
        calls = await asyncio.to_thread(self.emulator.calls, KEY, since)
        own = {*run.ids.values(), FORGED_TASK} if run.case.forged else set(run.ids.values())
        files = [call for call in calls if call["endpoint"] == "file"]
        seen = _Seen(
            downloads=Counter(
                call["taskId"]
                for call in files
                if call["taskId"] in own and call["response"]["status"] == _OK
            ),
            # Other cases may run at the same time: only polls of this case's tasks count for it.
            polls=sum(call["endpoint"] == "status" and call["taskId"] in own for call in calls),
            forged=sum(call["taskId"] == FORGED for call in files) if run.case.forged else 0,
        )
        return seen, len(calls)

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
