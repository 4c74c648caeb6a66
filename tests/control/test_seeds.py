"""A seed is an integer that every store keeps exactly, by whatever way it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.harness import make_harness

import apixo_emulator
from apixo_emulator.domain.randomness import LARGEST_SEED
from apixo_emulator.storage import SqliteStore

EXPECTED = "seed: expected an integer from 0 to 9223372036854775807"
NO_SEEDS = [7.5, True, -1, LARGEST_SEED + 1, pytest.param(10**5000, id="huge"), "7", [7]]


@pytest.mark.parametrize("seed", NO_SEEDS)
def test_what_is_none_is_refused_and_the_world_stays_as_it_was(seed: Any) -> None:
    harness = make_harness(seed=7)
    task_id = harness.submitted()
    with pytest.raises(ValueError, match=EXPECTED):
        harness.operator.reset(seed)
    if seed != "7":  # as a flag has it
        with pytest.raises(ValueError, match=f"{EXPECTED}, found "):
            apixo_emulator.intercept(seed=seed)
    assert harness.operator.worlds()[0]["seed"] == 7
    assert harness.status(task_id).status == 200


@pytest.mark.parametrize("seed", [0, 1, LARGEST_SEED])
def test_one_is_kept_exactly(tmp_path: Path, seed: int) -> None:
    first = make_harness(store=SqliteStore(tmp_path / "db"), seed=None)
    assert 0 <= first.operator.worlds()[0]["seed"] <= LARGEST_SEED
    assert first.operator.reset(seed)["seed"] == seed
    first.emulator.close()
    store = SqliteStore(tmp_path / "db")
    assert [world.seed for world in store.worlds()] == [seed]
    store.close()
    assert make_harness(store=SqliteStore(tmp_path / "db"), seed=seed).operator.worlds() == [
        {"id": "default", "label": "default", "seed": seed}
    ]
