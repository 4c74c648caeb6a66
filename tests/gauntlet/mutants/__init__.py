"""All mutants; importing the modules fills the table."""

from gauntlet.mutant import MUTANTS, Mutant
from gauntlet.mutants import answers, callbacks, requests, tasks

__all__ = ["MUTANTS", "SOURCES", "Mutant"]

SOURCES = (requests, answers, tasks, callbacks)
