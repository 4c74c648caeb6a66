"""A seed is an integer that every store keeps exactly, by whatever way it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.harness import make_harness

import apixo_emulator
from apixo_emulator.cli import main
from apixo_emulator.domain.randomness import LARGEST_SEED
from apixo_emulator.settings import load_settings
from apixo_emulator.storage import SqliteStore

EXPECTED = "seed: expected an integer from 0 to 9223372036854775807"
NO_SEEDS = [
    5.0,
    7.5,
    True,
    -1,
    LARGEST_SEED + 1,
    pytest.param(10**5000, id="huge"),
    float("inf"),
    "7",
    b"7",
    [7],
]


@pytest.mark.parametrize("seed", NO_SEEDS)
def test_what_is_none_is_refused_and_the_world_stays_as_it_was(seed: Any) -> None:
    harness = make_harness(seed=7)
    task_id = harness.submitted()
    with pytest.raises(ValueError, match=EXPECTED):
        harness.operator.reset(seed)
    assert harness.operator.worlds()[0]["seed"] == 7
    assert harness.status(task_id).status == 200


@pytest.mark.parametrize("seed", [seed for seed in NO_SEEDS if seed != "7"])  # as a flag has it
def test_it_is_refused_where_an_emulator_in_process_starts(seed: Any) -> None:
    with pytest.raises(ValueError, match=f"{EXPECTED}, found "):
        apixo_emulator.intercept(seed=seed)


@pytest.mark.parametrize(
    "seed", ["5.0", "true", "-1", "9223372036854775808", pytest.param("1" * 5000, id="huge")]
)
def test_a_configuration_file_and_the_command_line_refuse_it_alike(
    tmp_path: Path, seed: str
) -> None:
    path = tmp_path / "apixo-emulator.toml"
    path.write_text(f"seed = {seed}\n", "utf-8")
    with pytest.raises(ValueError, match=r"seed: expected an integer|expected valid TOML"):
        load_settings(environ={}, folder=tmp_path)
    path.unlink()
    done = CliRunner().invoke(main, ["serve", "--ephemeral", "--port", "0", f"--seed={seed}"])
    assert done.exit_code == 2
    assert "seed" in done.output


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
