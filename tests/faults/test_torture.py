"""Kills at random under load; `make torture` is the same for longer."""

from pathlib import Path

import pytest
from faults.torture import torture


@pytest.mark.slow
def test_nothing_is_lost_over_fifty_kills(tmp_path: Path) -> None:
    summary = torture(kills=50, seed=2, store="sqlite", folder=tmp_path)
    assert summary.violations == [], str(summary)
    # The load was real: tasks in each state were there to be lost.
    assert summary.kills == 50
    assert summary.acknowledged > 100
    assert summary.callback_tasks > 50
    assert summary.unacknowledged > 0
    assert summary.callbacks > summary.callback_tasks
