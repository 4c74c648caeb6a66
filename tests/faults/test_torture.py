"""Kills at random under load; `make torture` is the same for longer."""

from pathlib import Path

import pytest
from faults.torture import torture


@pytest.mark.slow
def test_nothing_is_lost_over_many_kills(tmp_path: Path) -> None:
    summary = torture(kills=20, seed=2, store="sqlite", folder=tmp_path)
    assert summary.violations == [], str(summary)
    assert summary.kills == 20
    assert summary.acknowledged > 0
    assert summary.callbacks > 0


@pytest.mark.slow
def test_nothing_is_lost_when_processes_of_one_database_are_killed(
    tmp_path: Path, postgres_url: str
) -> None:
    summary = torture(kills=6, seed=3, store=postgres_url, folder=tmp_path, emulators=2, workers=2)
    assert summary.violations == [], str(summary)
    assert summary.acknowledged > 0
