"""Certification of a receiver: the deliveries of each case, and the judgement of what the receiver did."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from time import monotonic, perf_counter
from urllib.parse import urlsplit

from apixo_emulator.certify.delivery import (
    RESPONSE_S,
    Delivery,
    Response,
    connection_error,
    in_words,
    send,
)
from apixo_emulator.certify.effects import Effects, Seen
from apixo_emulator.certify.emulator import OwnEmulator
from apixo_emulator.certify.model import Finding, NothingToJudgeError, Progress, Result, Verdict
from apixo_emulator.certify.receiver_cases import ORIGIN, Expect, ReceiverCase, Step
from apixo_emulator.certify.receiver_judgement import (
    Run,
    judged_effects,
    judged_status,
)

_OK = 200
# A missing effect is waited for as long as this after the last call: longer than the recommended pace of polls.
_EFFECT_S = 12.0
# A further effect is waited for at least as long as this.
_SETTLE_S = 0.75
# An application that never stops calling is not waited for longer than this.
_LONGEST_S = 180.0
_LOOK_S = 0.05
# An effects command may be slow to start.
_COUNT_S = 0.2
_ATTEMPT_S = RESPONSE_S + 5
# The live API repeats a callback up to three times (platform fact P5), after longer pauses.
_RETRIES = 3
_RETRY_PAUSE_S = 1.0
_RUNNING = "a receiver that keeps running"
_KEEP_RUNNING = (
    "An error in one request must not end the process: handle it within the request, and look for the"
    " exception in the receiver's log. `--jobs 1` delivers one case at a time."
)


@dataclass
class ReceiverCertifier:
    """Runs cases against one receiver.

    Attributes:
        url: The receiver's address.
        emulator: Holds the tasks; the receiver may poll them with any key.
        command: Prints how many results the application has taken in; None if there is none.
        wait_idle: Returns when the application has nothing left to do. Without it, the certifier waits until the
            application has made no call for some time.
        slow_s: A response that takes longer is a warning.
        ca: A certificate authority (PEM) that is trusted, too.
    """

    url: str
    emulator: OwnEmulator
    command: str | None = None
    wait_idle: Callable[[], object] | None = None
    slow_s: float = 5.0
    ca: Path | None = None
    _seconds: list[float] = field(default_factory=list)
    # True once a download was seen: then downloads show which results are taken in.
    _downloads: bool = False
    # The longest time without an effect after which one followed.
    _longest_s: float = 0.0
    # The runs in their order. The first shows whether downloads can be observed.
    _runs: list[Run] = field(default_factory=list)
    # Lost deliveries are repeated one at a time.
    _repeating: asyncio.Lock = field(default_factory=asyncio.Lock)
    # The run that got the last response.
    _responded: Run | None = None
    _gone: bool = False
    # The application answers nothing, or takes in nothing, and asks another API than the certifier's.
    _elsewhere: bool = False

    def __post_init__(self) -> None:
        self._world = self.emulator.world("sk-certify-receiver")
        self._effects = Effects(self._world, self.command)

    async def run(
        self, cases: Sequence[ReceiverCase], jobs: int, progress: Progress
    ) -> list[Result]:
        """Run the cases, deliveries of ``jobs`` of them at a time; cases that would disturb others run alone.

        What the application did is judged when a case ends, and once more when all have ended: a late effect may turn
        a verdict. Then ``progress`` gets the changed result as well.

        Raises:
            NothingToJudgeError: The receiver cannot be reached, or the effects cannot be counted.
        """
        error = await connection_error(self.url, self.ca)
        if error is not None:
            raise NothingToJudgeError(
                f"the receiver {self.url} cannot be reached: {in_words(self.url, error)}"
            )
        limit = asyncio.Semaphore(jobs)
        early: dict[str, Result] = {}

        async def one(run: Run) -> None:
            await self._deliver(run, limit)
            early[run.case.id] = self._result(run)
            progress(early[run.case.id])

        # A command counts for all cases together.
        self._runs = [Run(case) for case in cases]
        first, *others = self._runs
        alone = [run for run in others if run.case.alone or self.command is not None]
        await one(first)
        self._elsewhere = self._is_elsewhere(first)
        await asyncio.gather(*(one(run) for run in others if run not in alone))
        for run in alone:
            await one(run)
        await self._look_again()
        results = [self._result(run) for run in self._runs]
        for result in results:
            if result.verdict is not early[result.id].verdict:
                progress(result)
        return results

    async def _look_again(self) -> None:
        """Read what the application did since the cases ended, and find the case that ended the receiver."""
        await self._effects.look()
        if self.command is not None:
            # What came before the next case belongs to this one.
            after = [*(run.taken_before for run in self._runs[1:]), await self._effects.count()]
            for run, count in zip(self._runs, after, strict=True):
                run.taken = count - run.taken_before
        if self._gone and not any(run.died for run in self._runs):
            (self._responded or self._runs[0]).died = True

    def _is_elsewhere(self, first: Run) -> bool:
        is_missing = self.command is not None and first.taken < (first.case.results or 0)
        has_failed = first.unanswered or is_missing
        return has_failed and not (self._gone or self._effects.has_calls)

    def note(self, results: Sequence[Result]) -> str:
        """Return a sentence on what the whole run could not judge; empty if there is nothing to say."""
        is_partial = self._elsewhere or any(each.verdict is Verdict.SKIPPED for each in results)
        if self._gone or self._effects.has_calls or not is_partial:
            return ""
        base_url, port = self.emulator.base_url, urlsplit(self.emulator.origin).port
        return (
            "The application made no call to the certifier's emulator: if it polls the API or downloads results,"
            f" start it with APIXO_BASE_URL={base_url} and any key, and certify it with --port {port}."
        )

    def figures(self) -> dict[str, str]:
        """Return the response times of the whole run."""
        if not self._seconds:
            return {}
        median = statistics.median(self._seconds)
        return {
            "response p50": f"{median:.3f} s",
            "response maximum": f"{max(self._seconds):.3f} s",
        }

    async def _is_gone(self) -> bool:
        """True if nothing listens at the receiver's address any more."""
        error = await connection_error(self.url, self.ca)
        return error is not None and not isinstance(error, TimeoutError)  # busy

    async def _deliver(self, run: Run, limit: asyncio.Semaphore) -> None:
        """Make the deliveries of a case, and wait until the application has done what it does with them."""
        began = perf_counter()
        async with limit:
            if self.command is not None:
                run.taken_before = await self._effects.count()
            if self._gone or self._elsewhere:
                run.lost = True
                return
            await self._prepare(run)
            for number, step in enumerate(run.case.steps):
                if step.advance_s and number:
                    # The application downloads a result before its link expires.
                    await self._settled(run)
                await self._step(run, step)
                if run.lost:
                    break
        await self._settled(run)
        for name, task_id in run.ids.items():
            if name not in run.bodies:  # delivered by the emulator, which sends what a poll returns
                response = await self._world.poll(task_id)
                if response.is_error:  # the first poll of the case
                    response = await self._world.poll(task_id)
                run.evidence.append(Delivery(self.url, response.content).as_curl())
        run.duration_s = perf_counter() - began

    def _result(self, run: Run) -> Result:
        """Judge a case by what is known now."""
        case, findings = run.case, list(run.findings)
        died = ", ".join(f"`{each.case.id}`" for each in self._runs if each.died)
        went = "the receiver went away" + (f" during or after case {died}" if died else "")
        if run.died:
            findings.append(Finding(Verdict.FAIL, _RUNNING, went))
        elif run.lost and self._elsewhere:
            expected = f"a call to the API at {self.emulator.base_url}"
            findings.append(Finding(Verdict.SKIPPED, expected, "none in the first case"))
        elif run.lost or (self._gone and run.taken < (case.results or 0)):
            findings.append(Finding(Verdict.SKIPPED, _RUNNING, went))
        else:
            seen, has_command = self._observed(run), self.command is not None
            findings += judged_effects(
                run, seen, has_command=has_command, has_downloads=self._downloads
            )
        return Result(
            case.id, case.title, case.matters, _KEEP_RUNNING if run.died else case.advice,
            findings, run.evidence, run.duration_s,
        )  # fmt: skip

    async def _prepare(self, run: Run) -> None:
        """Submit the tasks that this process delivers, and keep the bodies of their callbacks."""
        if any(step.by_emulator for step in run.case.steps):
            return
        for name, scenario in run.case.tasks.items():
            run.ids[name] = await self._submit(f"{scenario}+callback-lost".lstrip("+"))
        polled = []
        for name, task_id in run.ids.items():
            response = await self._world.poll(task_id)
            run.bodies[name] = response.content
            polled.append(response)
        if self._downloads:
            # Drawn now, so that the application's own download takes no time.
            await asyncio.gather(*map(self._world.fetch_results, polled))

    async def _submit(self, scenario: str) -> str:
        picture = f"emulate/{scenario}/certify.jpg" if scenario else "certify.jpg"
        body = {
            "request_type": "callback",
            "callback_url": self.url,
            "input": {"image_urls": [f"https://example.com/{picture}"], "resolution": "2k"},
        }
        return await self._world.submit(**body)

    # Deliveries

    async def _step(self, run: Run, step: Step) -> None:
        if step.advance_s:
            await self._world.control("POST", "/clock/advance", {"ms": step.advance_s * 1000})
        if step.by_emulator:
            (name,) = step.tasks
            run.ids[name] = await self._submit(run.case.tasks[name])
            responses = [await self._made_by_emulator(run, step, run.ids[name])]
        else:
            deliveries = [self._delivery(run, step, name) for name in step.tasks]
            run.evidence.append(deliveries[0].as_curl())
            if step.together:
                sent = (self._sent(run, step, each) for each in deliveries)
                responses = await asyncio.gather(*sent)
            else:
                responses = [await self._sent(run, step, each) for each in deliveries]
        await self._judge_responses(run, step, responses)

    async def _sent(self, run: Run, step: Step, delivery: Delivery) -> Response:
        """Return the response to a delivery, repeated as the live API does if the connection was lost."""
        first = response = await send(delivery, self.ca)
        if step.expect in {Expect.REJECTED, Expect.NOTHING} or not first.lost:
            return first
        async with self._repeating:
            for _ in range(_RETRIES):
                if await self._is_gone():
                    break
                response = await send(delivery, self.ca)
                self._note_retry(run, first)
                if not response.lost:
                    break
                await asyncio.sleep(_RETRY_PAUSE_S)
        return response

    def _note_retry(self, run: Run, first: Response) -> None:
        if not run.retried:
            run.find(
                Verdict.PASS, "status 200, or a retry that is accepted", f"{first}, then a retry"
            )
        run.retried = True

    async def _made_by_emulator(self, run: Run, step: Step, task_id: str) -> Response:
        """Return the response to the emulator's own delivery of a task, or to a retry of it."""
        first = response = await self._attempt(task_id, 1)
        for number in range(2, 2 + _RETRIES):
            is_legal = step.retried and response.status not in {None, _OK}
            if not (response.lost or is_legal):
                break
            await asyncio.sleep(_RETRY_PAUSE_S)
            await self._world.control("POST", f"/deliveries/{task_id}/redeliver")
            response = await self._attempt(task_id, number)
            self._note_retry(run, first)
        return response

    def _delivery(self, run: Run, step: Step, name: str) -> Delivery:
        body = run.bodies[name]
        if step.edit is not None:
            body = step.edit(body).replace(ORIGIN.encode(), self.emulator.origin.encode())
        # A forger does not know the query, where a secret may be.
        url = self.url.partition("?")[0] if run.case.forged else self.url
        return Delivery(url, body, step.method, step.content_type, step.headers, step.transmission)

    async def _attempt(self, task_id: str, number: int) -> Response:
        """Wait for the emulator's attempt with a number, from 1, and return how it ended."""
        deadline = monotonic() + _ATTEMPT_S
        while monotonic() < deadline:
            attempts = (await self._world.control("GET", f"/deliveries/{task_id}"))["attempts"]
            if len(attempts) >= number:
                last = attempts[number - 1]
                seconds = last["durationMs"] / 1000
                failed = last["status"] is None
                is_lost = failed and seconds < RESPONSE_S
                return Response(last["status"], seconds, last["error"] or "", is_lost, is_lost)
            await asyncio.sleep(_LOOK_S)
        return Response(None, _ATTEMPT_S, f"the emulator made no attempt within {_ATTEMPT_S:g} s")

    async def _judge_responses(self, run: Run, step: Step, responses: Sequence[Response]) -> None:
        if any(each.problem for each in responses) and await self._is_gone():
            self._gone = run.lost = True
            # It had accepted the connection.
            run.died = any(each.closed for each in responses)
            return
        self._responded = run
        run.statuses += [each.status for each in responses]
        run.refused = run.refused or any(each.status in step.legal for each in responses)
        self._seconds += [each.seconds for each in responses if each.status is not None]
        judged = [(*judged_status(step, response), response) for response in responses]
        # One finding for all: the worst response.
        expected, verdict, response = max(judged, key=lambda each: each[1].badness)
        run.find(verdict, expected, response)
        if verdict is Verdict.FAIL and step.expect is not Expect.REJECTED:
            run.unanswered = run.unanswered or (response.status or 500) >= HTTPStatus.BAD_REQUEST
        slowest = max(responses, key=lambda each: each.seconds)
        if verdict is Verdict.PASS and slowest.seconds > self.slow_s:
            run.find(
                Verdict.WARN, f"a response within {self.slow_s:g} s", f"{slowest.seconds:.1f} s"
            )

    # Effects

    async def _settled(self, run: Run) -> None:
        """Return once the application does nothing more.

        An application works through its queue: as long as it takes something in, what is missing may still come. How
        long a queue may pause is learned from the effects of all cases.
        """
        if self.wait_idle is not None:
            await asyncio.to_thread(self.wait_idle)
            await self._seen(run)
            return
        began = changed = monotonic()
        seen, answered = await self._seen(run), self._effects.answered
        done = (seen, run.taken)
        while True:
            patience = _EFFECT_S
            if not self._is_missing(run, seen):
                patience = min(_EFFECT_S, max(_SETTLE_S, 2 * self._longest_s))
            if monotonic() - changed >= patience or monotonic() - began >= _LONGEST_S:
                return
            await asyncio.sleep(_LOOK_S if self.command is None else _COUNT_S)
            before = (done, answered)
            seen, answered = await self._seen(run), self._effects.answered
            done = (seen, run.taken)
            # A pause that the API causes says nothing about the application.
            if done != before[0] and not any(step.retried for step in run.case.steps):
                self._longest_s = max(self._longest_s, monotonic() - changed)
            if (done, answered) != before:
                changed = monotonic()

    def _is_missing(self, run: Run, seen: Seen) -> bool:
        """True if a correct application still has to do something that can be observed."""
        is_counted = self.command is not None or self._downloads or run is self._runs[0]
        if self._gone or run.refused or not is_counted:
            return False
        if run.case.forged and self.command is None:
            return not (seen.asked or seen.forged or run.is_rejected)
        return run.taken < (run.case.results or 0)

    async def _seen(self, run: Run) -> Seen:
        """Return what the application has done with the tasks of a case until now."""
        await self._effects.look()
        if self.command is not None:
            run.taken = await self._effects.count() - run.taken_before
        seen = self._observed(run)
        self._downloads = self._downloads or bool(seen.downloads)
        return seen

    def _observed(self, run: Run) -> Seen:
        seen = self._effects.seen(run.ids.values())
        if self.command is None:
            run.taken = len(seen.downloads)
        return seen
