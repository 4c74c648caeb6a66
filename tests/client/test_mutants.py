"""Every broken client is found by the property that describes its defect."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from client.mutants import MUTANTS, Mutant

from apixo_contract.properties import ClientProperty, Target, all_properties, open_target

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with open_target("emulator") as opened:
        yield opened


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_client_is_found(
    target: Target, monkeypatch: pytest.MonkeyPatch, mutant: Mutant
) -> None:
    mutant.put(monkeypatch)
    (described,) = [found for found in all_properties() if found.id == mutant.caught_by]
    result = described.judge(target)
    assert result.passed is False
    assert "--apixo-seed" in result.message


@pytest.mark.parametrize("found", all_properties(), ids=lambda found: found.id)
def test_the_client_has_every_property(target: Target, found: ClientProperty) -> None:
    result = found.judge(target)
    assert result.passed, result.message
    assert result.examples > 0
