"""The contract kit judges well: it lets good servers pass, and names what is wrong with others.

`run.py` holds every mutant, and each variant with twenty seeds; here are so many as fit into CI.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from gauntlet.garbage import Garbage
from gauntlet.judging import Finding, judged
from gauntlet.mutants import MUTANTS
from gauntlet.run import AT_ONCE, Trial, chosen, held, variants
from gauntlet.variants import VARIANTS

from apixo_contract import catalogue


@pytest.mark.slow
def test_no_false_alarm_and_no_mutant_that_lives() -> None:
    trials = [*variants([1]), *chosen(of_each=1)]
    complaints = {
        trial: complaint
        for trial, found in held(trials)
        if (complaint := trial.complaint(found)) is not None
    }
    assert complaints == {}


@pytest.mark.slow
def test_garbage_is_judged_too() -> None:
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn")) as pool:
        found = [*pool.map(judged, [Garbage] * 12, range(1, 13))]
    assert {finding.code for finding in found} == {1}, [finding.trouble for finding in found]


def test_there_are_enough_servers() -> None:
    assert len(MUTANTS) >= 250
    assert len(VARIANTS) >= 50
    assert len(chosen(of_each=1)) >= 60


def test_every_promise_that_can_be_broken_has_a_mutant() -> None:
    # The client has mutants of its own, in the tests of the client.
    of_servers = [found for found in catalogue().values() if not found.id.startswith("client.")]
    promised = {check.id for check in of_servers if check.can_fail}
    expected = {check for mutant in MUTANTS.values() for check in mutant.checks}
    assert expected == promised


def test_a_trial_complains_of_what_is_wrong_with_the_judgement() -> None:
    mutant = Trial("price: 2 cents", 1, is_mutant=True)
    assert "not caught" in str(mutant.complaint(Finding(0)))
    assert "not named" in str(mutant.complaint(Finding(1, {"balance.shape": "x"})))
    assert mutant.complaint(Finding(1, {"balance.price": "x"})) is None
    variant = Trial("plain", 1, is_mutant=False)
    assert "false alarm" in str(variant.complaint(Finding(1, {"balance.price": "x"})))
    assert variant.complaint(Finding(0)) is None
