"""Effects as values: they are kept as JSON text beside a task."""

import json

from hypothesis import given
from hypothesis import strategies as st

from apixo_emulator.domain.effects import CallbackEffects, Duration, Effects, Fault, Quirk
from apixo_emulator.domain.wire import WireFault
from apixo_schemas import contract

MS = st.integers(0, 10**8)
FAULTS = st.builds(
    Fault,
    error=st.none() | st.sampled_from(list(contract().errors)),
    wire=st.none() | st.sampled_from(WireFault),
    retry_after_s=st.none() | MS,
)
EFFECTS = st.builds(
    Effects,
    name=st.text(max_size=10),
    failure=st.none() | st.tuples(st.text(max_size=10), st.text(max_size=10)),
    duration=st.none() | st.builds(Duration, total_ms=st.none() | MS, sigma=st.floats(0, 3)),
    submit_fault=st.none() | FAULTS,
    status_fault=st.none() | FAULTS,
    callback=st.builds(CallbackEffects, lost=st.booleans(), late_ms=MS),
    quirks=st.frozensets(st.sampled_from(Quirk)),
)


@given(EFFECTS)
def test_what_is_written_is_read_back_the_same(effects: Effects) -> None:
    text = json.dumps(effects.to_json())
    assert Effects.from_json(json.loads(text)) == effects


def test_only_what_differs_from_the_ordinary_is_written() -> None:
    assert Effects("none").to_json() == {"name": "none"}
    effects = Effects("one", submit_fault=Fault(wire=WireFault.RESET), quirks=frozenset(Quirk))
    assert effects.to_json() == {
        "name": "one",
        "submit_fault": {"wire": "reset"},
        "quirks": sorted(Quirk),
    }
