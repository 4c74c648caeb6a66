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
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # started as a program; its neighbours are found beside it
    sys.path.insert(0, str(Path(__file__).parents[1]))

from gauntlet.conduct import Conduct
from gauntlet.judging import Finding, judged
from gauntlet.mutants import MUTANTS, Mutant
from gauntlet.variants import VARIANTS

_DRIFTED = 1
# A run works about half of its time.
AT_ONCE = 3 * (os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Trial:
    """One server, to be judged once. Names and not classes, so that a process can be told."""

    name: str
    seed: int
    is_mutant: bool

    @property
    def mutant(self) -> Mutant | None:
        return MUTANTS[self.name] if self.is_mutant else None

    @property
    def conduct(self) -> type[Conduct]:
        return MUTANTS[self.name].conduct if self.is_mutant else VARIANTS[self.name]

    @property
    def is_long(self) -> bool:
        """Whether it waits so much that it had better be begun first."""
        return self.conduct.patient or not self.is_mutant

    def complaint(self, found: Finding) -> str | None:
        """Say what is wrong with the kit's judgement, if anything is."""
        mutant = self.mutant
        named = ", ".join(f"{check} ({why})" for check, why in found.failed.items())
        if mutant is None and found.code == 0 and not found.failed:
            return self._wrong_refutations(found)
        if mutant is None:
            return f"false alarm, exit {found.code}: {named or found.trouble}"
        if found.code != _DRIFTED:
            return f"not caught: exit {found.code} {found.trouble}"
        if not set(mutant.checks) & set(found.failed):
            return f"not named by {' or '.join(mutant.checks)}, but by {named}"
        return None

    def _wrong_refutations(self, found: Finding) -> str | None:
        """Say which assumptions were refuted and should not have been, or the other way round."""
        missing = {f"assumption.{name}" for name in self.conduct.refutes} - set(found.refuted)
        wrong = {f"assumption.{name}" for name in self.conduct.upholds} & set(found.refuted)
        if not missing and not wrong:
            return None
        return f"not refuted: {sorted(missing)}; refuted for no reason: {sorted(wrong)}"


def mutants(only: str = "", seed: int = 1) -> list[Trial]:
    """Give a trial for each mutant whose name holds a text."""
    return [Trial(name, seed, is_mutant=True) for name in MUTANTS if only in name]


def chosen(of_each: int) -> list[Trial]:
    """Give a trial for so many mutants of each check that names some."""
    counts: Counter[str] = Counter()
    names = []
    for mutant in MUTANTS.values():
        counts[mutant.checks[0]] += 1
        if counts[mutant.checks[0]] <= of_each:
            names.append(mutant.id)
    return [Trial(name, 1, is_mutant=True) for name in names]


def variants(seeds: Iterable[int], only: str = "") -> list[Trial]:
    """Give a trial for each seed and variant whose name holds a text."""
    names = [name for name in VARIANTS if only in name]
    return [Trial(name, seed, is_mutant=False) for seed in seeds for name in names]


def _judged(trial: Trial) -> Finding:
    return judged(trial.conduct, trial.seed)


def held(trials: Iterable[Trial], at_once: int = AT_ONCE) -> Iterator[tuple[Trial, Finding]]:
    """Hold trials, several at once since they mostly wait; give each when it is done."""
    first_the_long = sorted(trials, key=lambda trial: not trial.is_long)
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawning) as pool:
        running = {pool.submit(_judged, trial): trial for trial in first_the_long}
        for done in as_completed(running):
            yield running[done], done.result()


def _line(trial: Trial, found: Finding) -> str:
    cells = [trial.name]
    if (mutant := trial.mutant) is not None:
        caught = [check for check in mutant.checks if check in found.failed]
        others = [check for check in found.failed if check not in caught]
        cells += [" or ".join(mutant.checks), ", ".join(caught) or "-", ", ".join(others)]
    else:
        cells += [f"seed {trial.seed}", ", ".join(found.failed) or "passes"]
        cells.append(f"{len(found.refuted)} refuted")
    return f"| {' | '.join(cells)} | {found.seconds:.1f} s |"


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join((*lines, "")))
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="runs of each variant (20)")
    parser.add_argument("--only", default="", help="servers whose name holds this text")
    parser.add_argument("--kind", choices=["mutants", "variants", "both"], default="both")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"runs at once ({AT_ONCE})")
    return parser.parse_args()


def main() -> int:
    """Hold all trials and print the table."""
    options = _options()
    trials: list[Trial] = []
    if options.kind != "variants":
        trials += mutants(options.only)
    if options.kind != "mutants":
        trials += variants(range(1, options.seeds + 1), options.only)
    complaints: list[str] = []
    for trial, found in held(trials, options.at_once):
        _say(_line(trial, found))
        if complaint := trial.complaint(found):
            complaints.append(f"{trial.name} (seed {trial.seed}): {complaint}")
    killed = sum(trial.is_mutant for trial in trials)
    runs = len(trials) - killed
    _say(f"\n{killed} mutants, {runs} runs of variants, {len(complaints)} complaints", *complaints)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
