"""The judges: pure functions from what a run saw to one outcome for each check."""

from apixo_contract._judges._all import judge_run
from apixo_contract._judges._outcome import Outcome, Sighting

__all__ = ["Outcome", "Sighting", "judge_run"]
