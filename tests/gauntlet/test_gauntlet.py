"""The contract kit judges well: it lets good servers pass, and names what is wrong with others.

`run.py` holds every mutant, and each variant with twenty seeds and with generated examples; here
are so many as fit into CI.
"""

import pytest
from gauntlet.mutants import MUTANTS
from gauntlet.run import Trial, held
from gauntlet.variants import VARIANTS

from apixo_contract import catalogue

# Kinds of servers that the kit has once let pass.
_ONCE_MISSED = (
    "auth: ",
    "balance: rounded to tenths",
    "callback mode: ",
    "callback: another path",
    "callback: no query",
    "price: a repeated body is free",
    "rejection: 422",
    "tasks: ",
)


@pytest.mark.slow
def test_no_false_alarm_and_no_mutant_that_lives() -> None:
    missed = (name for name in MUTANTS if name.startswith(_ONCE_MISSED))
    trials = [Trial(name, examples=0) for name in (*VARIANTS, *missed)]
    found = held(trials)
    complaints = {trial: words for trial, f in found if (words := trial.complaint(f)) is not None}
    assert complaints == {}


@pytest.mark.slow
def test_garbage_is_judged_too() -> None:
    found = [finding for _, finding in held(Trial("garbage", seed, 0) for seed in range(1, 5))]
    assert {finding.code for finding in found} == {1}, [finding.trouble for finding in found]


def test_every_promise_that_can_be_broken_has_a_mutant() -> None:
    # The client has mutants of its own, in the tests of the client.
    of_servers = [found for found in catalogue().values() if not found.id.startswith("client.")]
    promised = {check.id for check in of_servers if check.can_fail}
    expected = {check for mutant in MUTANTS.values() for check in mutant.checks}
    assert expected == promised
    assert len(MUTANTS) >= 250
    assert len(VARIANTS) >= 50
