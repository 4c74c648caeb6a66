"""All mutants; importing the modules fills the table."""

from gauntlet.mutant import MUTANTS, Mutant
from gauntlet.mutants import (
    access,
    answers,
    callbacks,
    fields,
    modes,
    money,
    results,
    rules,
    states,
    times,
)

__all__ = ["MUTANTS", "SOURCES", "Mutant"]

SOURCES = (rules, access, answers, modes, money, states, fields, times, results, callbacks)
