"""Certification of a receiver: the deliveries of each case, and the judgement of what the receiver did."""

from __future__ import annotations

import asyncio
import shlex
import statistics
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import Any

from apixo_emulator.certify.delivery import RESPONSE_S, Delivery, Response, connect, send
from apixo_emulator.certify.emulator import OwnEmulator
from apixo_emulator.certify.model import Finding, NothingToJudgeError, Result, Verdict
from apixo_emulator.certify.receiver_cases import (
    FORGED_TASK,
    ORIGIN,
    Expect,
    ReceiverCase,
    Step,
    forged_result,
)

KEY = "sk-certify-receiver"
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
# A whole file, or a part of it.
_SENT = {200, 206}
_FROM_START = "bytes=0-"
_REJECTED = range(400, 500)
_TOLERATED = range(200, 500)
_KEEP_RUNNING = (
    "An error in one request must not end the process: handle it within the request, and look for the"
    " exception in the receiver's log. `--jobs 1` delivers one case at a time."
)

Progress = Callable[[Result], None]


@dataclass
class _Run:
    """What is collected while one case runs.

    Attributes:
        taken_before: What the effects command printed before the case.
        taken: How many results were taken in since then, as the command says.
        since: How many calls were seen before the case.
        statuses: The statuses of all responses.
        lost: The receiver was gone, so the case could not be judged.
        died: The receiver went away during or after this case.
    """

    case: ReceiverCase
    taken_before: int = 0
    taken: int = 0
    since: int = 0
    ids: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    lost: bool = False
    died: bool = False
    duration_s: float = 0.0

    def find(self, verdict: Verdict, expected: str, observed: object) -> None:
        self.findings.append(Finding(verdict, expected, str(observed)))


@dataclass(frozen=True)
class _Seen:
    """What the application did in a case: results taken in, downloads by task, polls, downloads of forged results."""

    taken: int
    downloads: Counter[str]
    asked: bool
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
    # The longest time without an effect after which one followed.
    _longest_s: float = 0.0
    # The runs in their order. The first tells whether downloads can be observed.
    _runs: list[_Run] = field(default_factory=list)
    # The run that got the last response.
    _responded: _Run | None = None
    _gone: bool = False

    async def run(
        self, cases: Sequence[ReceiverCase], jobs: int, progress: Progress
    ) -> list[Result]:
        """Run the cases, deliveries of ``jobs`` of them at a time; cases that would disturb others run alone.

        What the application did is judged when a case ends, and once more when all have ended: a late effect may turn
        a verdict. Then ``progress`` gets the changed result as well.

        Raises:
            NothingToJudgeError: The receiver cannot be reached, or the effects cannot be counted.
        """
        await self._check_reachable()
        limit = asyncio.Semaphore(jobs)
        early: dict[str, Result] = {}

        async def one(run: _Run) -> None:
            await self._deliver(run, limit)
            early[run.case.id] = self._result(run)
            progress(early[run.case.id])

        # A command counts for all cases together.
        self._runs = [_Run(case) for case in cases]
        first, *others = self._runs
        alone = [run for run in others if run.case.alone or self.effects is not None]
        await one(first)
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
        await self._look()
        if self.effects is not None:
            # What came before the next case belongs to this one.
            after = [*(run.taken_before for run in self._runs[1:]), await self._count()]
            for run, count in zip(self._runs, after, strict=True):
                run.taken = count - run.taken_before
        if self._gone and not any(run.died for run in self._runs):
            (self._responded or self._runs[0]).died = True

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

    async def _is_gone(self) -> bool:
        """True if nothing listens at the receiver's address any more."""
        try:
            _, writer = await connect(self.url)
        except TimeoutError:  # busy
            return False
        except OSError:
            return True
        writer.close()
        return False

    async def _deliver(self, run: _Run, limit: asyncio.Semaphore) -> None:
        """Make the deliveries of a case, and wait until the application has done what it does with them."""
        began = perf_counter()
        async with limit:
            if self.effects is not None:
                run.taken_before = await self._count()
            if self._gone:
                run.lost = True
                return
            await self._prepare(run)
            await self._look()
            run.since = len(self._calls)
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
                response = await asyncio.to_thread(self.emulator.poll, KEY, task_id)
                run.evidence.append(Delivery(self.url, response.content).as_curl())
        run.duration_s = perf_counter() - began

    def _result(self, run: _Run) -> Result:
        """Judge a case by what is known now."""
        case, findings = run.case, list(run.findings)
        died = ", ".join(f"`{each.case.id}`" for each in self._runs if each.died)
        went = f"the receiver went away during or after case {died}" if died else "the receiver went away"  # fmt: skip
        if run.died:
            findings.append(Finding(Verdict.FAIL, "a receiver that keeps running", went))
        elif run.lost:
            findings.append(Finding(Verdict.SKIPPED, "a receiver that keeps running", went))
        else:
            seen = self._observed(run)
            if self._gone and seen.taken < (case.results or 0):
                findings.append(Finding(Verdict.SKIPPED, _results(case.results or 0), went))
            else:
                findings += self._judged_effects(run, seen)
        return Result(
            case.id, case.title, case.matters, _KEEP_RUNNING if run.died else case.advice,
            findings, run.evidence, run.duration_s,
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
            await self._judge_responses(run, step, [await self._attempt(run.ids[step.task])])
            return
        names = list(run.case.tasks) if run.case.all_tasks else [step.task] * step.times
        deliveries = [self._delivery(run.case, step, run.bodies[name]) for name in names]
        run.evidence.append(deliveries[0].as_curl())
        if step.together or run.case.all_tasks:
            responses = await asyncio.gather(*map(send, deliveries))
        else:
            responses = [await send(delivery) for delivery in deliveries]
        await self._judge_responses(run, step, responses)

    def _delivery(self, case: ReceiverCase, step: Step, body: bytes) -> Delivery:
        if step.edit is not None:
            body = step.edit(body).replace(ORIGIN.encode(), self.emulator.origin.encode())
        # A forger does not know the query, where a secret may be.
        url = self.url.partition("?")[0] if case.forged else self.url
        return Delivery(
            url, body, step.method, step.content_type,
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

    async def _judge_responses(self, run: _Run, step: Step, responses: Sequence[Response]) -> None:
        if any(each.problem for each in responses) and await self._is_gone():
            self._gone = run.lost = True
            # It had accepted the connection.
            run.died = any("closed" in each.problem for each in responses)
            return
        self._responded = run
        run.statuses += [each.status for each in responses]
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

    def _judged_effects(self, run: _Run, seen: _Seen) -> Iterator[Finding]:
        """Judge what the application did with the deliveries."""
        wanted = run.case.results
        for task_id, count in seen.downloads.items():
            if count > 1:
                observed = f"{count} downloads of the result of task {task_id}"
                yield Finding(Verdict.FAIL, "one download of each result", observed)
                break
        if seen.forged:
            observed = f"{seen.forged} downloads"
            yield Finding(Verdict.FAIL, "no download of a forged result", observed)
        if wanted is None:
            return
        if run.case.forged and self.effects is None:
            if not seen.forged and (seen.asked or _is_rejected(run)):
                observed = "a poll" if seen.asked else "a 4xx status"
                yield Finding(Verdict.PASS, "a poll, or a 4xx status", observed)
                return
        elif self.effects is not None or self._downloads:
            verdict = Verdict.PASS if seen.taken == wanted else Verdict.FAIL
            yield Finding(verdict, _results(wanted), _results(seen.taken))
            return
        if not seen.forged:
            yield Finding(
                Verdict.SKIPPED, _results(wanted),
                "no way to count the results: give --effects COMMAND, or let the application poll and"
                " download at the certifier's emulator (--port)",
            )  # fmt: skip

    async def _settled(self, run: _Run) -> None:
        """Return once the application does nothing more.

        An application works through its queue: as long as it takes something in, what is missing may still come. How
        long a queue may pause is learned from the effects of all cases.
        """
        if self.wait_idle is not None:
            await asyncio.to_thread(self.wait_idle)
            await self._seen(run)
            return
        began = changed = monotonic()
        seen, calls = await self._seen(run), self._successful()
        while True:
            patience = _EFFECT_S
            if not self._is_missing(run, seen):
                patience = min(_EFFECT_S, max(_SETTLE_S, 2 * self._longest_s))
            if monotonic() - changed >= patience or monotonic() - began >= _LONGEST_S:
                return
            await asyncio.sleep(_LOOK_S if self.effects is None else _COUNT_S)
            now, calls_now = await self._seen(run), self._successful()
            if now != seen:
                self._longest_s = max(self._longest_s, monotonic() - changed)
            if (now, calls_now) != (seen, calls):
                changed = monotonic()
            seen, calls = now, calls_now

    def _is_missing(self, run: _Run, seen: _Seen) -> bool:
        """True if a correct application still has to do something that can be observed."""
        is_counted = self.effects is not None or self._downloads or run is self._runs[0]
        if self._gone or not is_counted:
            return False
        if run.case.forged and self.effects is None:
            return not (seen.asked or seen.forged or _is_rejected(run))
        return seen.taken < (run.case.results or 0)

    def _successful(self) -> int:
        # A poll that is repeated for ever because no task is found is no progress.
        return sum(call["response"]["status"] == _OK for call in self._calls)

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
        if self.effects is not None:
            run.taken = await self._count() - run.taken_before
        seen = self._observed(run)
        self._downloads = self._downloads or bool(seen.downloads)
        return seen

    def _observed(self, run: _Run) -> _Seen:
        # Other cases may run at the same time: only calls about this case's tasks count for it.
        own = {*run.ids.values(), *((FORGED_TASK,) if run.case.forged else ())}
        forged = {forged_result(task_id) for task_id in own}
        calls = self._calls[run.since :]
        files = [call for call in calls if _is_download(call)]
        downloads = Counter(
            call["taskId"]
            for call in files
            if call["taskId"] in own and call["response"]["status"] in _SENT
        )
        return _Seen(
            taken=len(downloads) if self.effects is None else run.taken,
            downloads=downloads,
            asked=any(call["endpoint"] == "status" and call["taskId"] in own for call in calls),
            forged=sum(call["taskId"] in forged for call in files),
        )

    async def _count(self) -> int:
        """Run the effects command and return the number that it prints.

        Raises:
            NothingToJudgeError: It fails, or prints something else.
        """
        command = self.effects or ""
        try:
            done = await asyncio.to_thread(
                subprocess.run,
                shlex.split(command),
                capture_output=True,
                text=True,
                timeout=RESPONSE_S,
                check=False,
            )
            if done.returncode == 0:
                return int(done.stdout.strip().splitlines()[-1])
            problem = f"exit code {done.returncode}: {done.stderr.strip()}".rstrip(": ")
        except IndexError:
            problem = "it printed nothing"
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            problem = str(error)
        raise NothingToJudgeError(
            f"--effects: expected a command that prints a number, found {command!r}: {problem}"
        )


def _is_download(call: Mapping[str, Any]) -> bool:
    """True if a call asks for a file from its first byte; a later part belongs to the same download."""
    request = call["request"]
    ranges = [value for name, value in request["headers"] if name.lower() == "range"]
    is_get = call["endpoint"] == "file" and request["method"] == "GET"
    return is_get and all(value.startswith(_FROM_START) for value in ranges)


def _is_rejected(run: _Run) -> bool:
    return all(status in _REJECTED for status in run.statuses)


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
