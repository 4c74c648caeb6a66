"""Several rules: the first that matches decides, and the journal says why the others did not."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.harness import body, close_all, make_harness

RESOLUTIONS = st.sampled_from(["2k", "4k"])


@dataclass
class Model:
    """What a rule does, counted by hand."""

    resolution: str | None
    call: int | None
    times: int | None
    seen: int = 0
    used: int = 0

    @property
    def document(self) -> dict[str, Any]:
        match = {"resolution": self.resolution, "call": self.call}
        wanted = {name: value for name, value in match.items() if value is not None}
        document: dict[str, Any] = {"scenario": "slow-2"}
        if wanted:
            document["match"] = wanted
        return document if self.times is None else {**document, "times": self.times}

    def decides(self, resolution: str, *, free: bool) -> bool:
        if self.resolution not in {None, resolution}:
            return False
        self.seen += 1
        decides = (
            free
            and self.call in {None, self.seen}
            and (self.times is None or self.used < self.times)
        )
        self.used += decides
        return decides


MODELS = st.builds(
    Model,
    resolution=st.none() | RESOLUTIONS,
    call=st.none() | st.integers(1, 4),
    times=st.none() | st.integers(1, 3),
)


@settings(max_examples=30)
@given(st.lists(MODELS, max_size=5), st.lists(RESOLUTIONS, min_size=1, max_size=8))
def test_the_first_rule_that_matches_decides(models: list[Model], submits: list[str]) -> None:
    harness = make_harness()
    ids = [harness.operator.add_scenario(model.document)["id"] for model in models]
    expected = []
    for resolution in submits:
        winner = None
        for rule_id, model in zip(ids, models, strict=True):
            if model.decides(resolution, free=winner is None):
                winner = rule_id
        harness.submit(body(resolution=resolution))
        expected.append(winner)
    journal = harness.operator.requests()
    assert [entry.rule for entry in journal] == expected
    for entry in journal:
        reasons = dict(entry.why_not)
        assert [*reasons] == [rule_id for rule_id in ids if rule_id != entry.rule]
        assert all(reasons.values())
    assert [rule["used"] for rule in harness.operator.scenarios()] == [m.used for m in models]
    close_all()
