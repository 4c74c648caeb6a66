"""Let the contract kit judge every server of the gauntlet: `run.py [--seeds 20] [--only TEXT]`.

Prints one line for each mutant (the checks that should name it, those that did, the others that
failed) and for each run of a variant, then the totals and what was wrong. Exits with 1 if a mutant
lives or an alarm is false.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":  # started as a program; its neighbours are found beside it
    sys.path.insert(0, str(Path(__file__).parents[1]))

from gauntlet.conduct import FAILING_IMAGE, IMAGE, KEY, Conduct
from gauntlet.garbage import Garbage
from gauntlet.mutants import MUTANTS
from gauntlet.server import serving
from gauntlet.variants import VARIANTS

from apixo_contract import Report, Unreachable, UsageError, Verdict, verify

_DRIFTED = 1
# The kit looks for a second callback only where it may wait so long.
_PATIENCE_S = 45.0
# A run works about half of its time.
AT_ONCE = 3 * (os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the kit said: its exit code, and the evidence of what failed and was refuted."""

    code: int
    failed: dict[str, str] = field(default_factory=dict)
    refuted: dict[str, str] = field(default_factory=dict)
    # Why there was no report.
    trouble: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One server, to be judged once. Names and not classes, so that a process can be told.

    ``examples`` is how many generated bodies the kit sends for a rule, and how often it tries each
    property of the client; None leaves it to the kit.
    """

    name: str
    seed: int = 1
    examples: int | None = None

    @property
    def conduct(self) -> type[Conduct]:
        if self.name in MUTANTS:
            return MUTANTS[self.name].conduct
        return VARIANTS.get(self.name, Garbage)

    def judged(self) -> Finding:
        """Let the kit look at the server."""
        started = time.monotonic()
        conduct = self.conduct
        with serving(conduct(self.seed)) as base_url:
            try:
                report = verify(
                    base_url,
                    KEY,
                    image_url=IMAGE,
                    failing_image_url=FAILING_IMAGE,
                    callback_host="127.0.0.1",
                    max_wait=_PATIENCE_S if conduct.patient else None,
                    seed=self.seed,
                    examples=self.examples,
                )
            except (UsageError, Unreachable) as error:
                code = 2 if isinstance(error, UsageError) else 3
                return Finding(code, trouble=str(error))
        return Finding(
            report.exit_code,
            _evidence(report, Verdict.FAIL),
            _evidence(report, Verdict.REFUTED),
            seconds=time.monotonic() - started,
        )

    def complaint(self, found: Finding) -> str | None:
        """Return what is wrong with the kit's judgement, if anything is."""
        named = ", ".join(f"{check} ({why})" for check, why in found.failed.items())
        if self.name in MUTANTS:
            checks = MUTANTS[self.name].checks
            if found.code != _DRIFTED:
                return f"not caught: exit {found.code} {found.trouble}"
            if not set(checks) & set(found.failed):
                return f"not named by {' or '.join(checks)}, but by {named}"
            return None
        if found.code or found.failed:
            return f"false alarm, exit {found.code}: {named or found.trouble}"
        missing = {f"assumption.{name}" for name in self.conduct.refutes} - set(found.refuted)
        wrong = {f"assumption.{name}" for name in self.conduct.upholds} & set(found.refuted)
        if missing or wrong:
            return f"not refuted: {sorted(missing)}; refuted for no reason: {sorted(wrong)}"
        return None

    def line(self, found: Finding) -> str:
        """Return the row of the table."""
        cells = [self.name, f"seed {self.seed}", ", ".join(found.failed) or "passes"]
        if self.name in MUTANTS:
            checks = MUTANTS[self.name].checks
            caught = [check for check in checks if check in found.failed]
            others = [check for check in found.failed if check not in caught]
            cells[1:] = [" or ".join(checks), ", ".join(caught) or "-", ", ".join(others)]
        return f"| {' | '.join(cells)} | {len(found.refuted)} refuted | {found.seconds:.1f} s |"


def _evidence(report: Report, verdict: Verdict) -> dict[str, str]:
    return {found.id: found.evidence for found in report.of(verdict)}


def held(trials: Iterable[Trial], at_once: int = AT_ONCE) -> Iterator[tuple[Trial, Finding]]:
    """Hold trials, several at once since they mostly wait; yield each when it is done."""
    first_the_long = sorted(trials, key=lambda trial: not trial.conduct.patient)
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawning) as pool:
        running = {pool.submit(trial.judged): trial for trial in first_the_long}
        for done in as_completed(running):
            yield running[done], done.result()


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join((*lines, "")))
    sys.stdout.flush()


def main() -> int:
    """Hold all trials and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="runs of each variant (20)")
    parser.add_argument("--only", default="", help="servers whose name holds this text")
    parser.add_argument("--kind", choices=["mutants", "variants", "both"], default="both")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"runs at once ({AT_ONCE})")
    parser.add_argument("--examples", type=int, help="generated bodies for each rule (12)")
    options = parser.parse_args()
    trials: list[Trial] = []
    if options.kind != "variants":
        trials += [Trial(name, 1, options.examples) for name in MUTANTS]
    if options.kind != "mutants":
        seeds = range(1, options.seeds + 1)
        trials += [Trial(name, seed, options.examples) for seed in seeds for name in VARIANTS]
    trials = [trial for trial in trials if options.only in trial.name]
    complaints: list[str] = []
    for trial, found in held(trials, options.at_once):
        _say(trial.line(found))
        if complaint := trial.complaint(found):
            complaints.append(f"{trial.name} (seed {trial.seed}): {complaint}")
    killed = sum(trial.name in MUTANTS for trial in trials)
    runs = len(trials) - killed
    _say(f"\n{killed} mutants, {runs} runs of variants, {len(complaints)} complaints", *complaints)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
