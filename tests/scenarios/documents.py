"""Rules as people write them: valid ones, and the places in them where a mistake can be made."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from apixo_emulator.domain.effects import Quirk
from apixo_emulator.domain.wire import WireFault
from apixo_emulator.scenarios.vocabulary import poll_faults, submit_faults, vocabulary
from apixo_schemas import contract

MS = st.integers(0, 10_000)
# What every language can write; no control characters but tab.
WORDS = st.text("ab *?[]#=\\\"'.,{}é𝄞\t", min_size=1, max_size=12)
FILLED = {"<seconds>": "2.5", "<fault>": "http-503"}


def written(form: str) -> str:
    """A form of the vocabulary with something filled in."""
    for place, value in FILLED.items():
        form = form.replace(place, value)
    return form


SCENARIOS = st.sampled_from([written(entry.name) for entry in vocabulary()])


def some(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table with at least one of its parts."""
    return st.fixed_dictionaries({}, optional=parts).filter(bool)


MATCHES = some(
    image_url=WORDS,
    resolution=st.sampled_from(list(contract().long_edge_px)),
    output_format=st.sampled_from(list(contract().formats)),
    key=WORDS,
    headers=st.dictionaries(
        st.sampled_from(["x-test", "user-agent", "X-Ünusual"]), WORDS, min_size=1
    ),
    call=st.integers(1, 9) | st.lists(st.integers(1, 9), min_size=1, unique=True),
    probability=st.sampled_from([0.25, 1, 1.0]),
)
ENDS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.just({"outcome": "success"}),
    st.just({"fail_code": "Timeout"}),
    st.just({"outcome": "failed"}),
    st.just({"outcome": "failed", "fail_code": "NSFW", "fail_msg": "Not this one."}),
)
TIMES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"processing_ms": MS}, optional={"pending_ms": MS}),
    st.fixed_dictionaries({"duration": MS}),
    st.fixed_dictionaries(
        {"duration": st.just({"median_ms": 41_000, "sigma": 0.25})}, optional={"pending_ms": MS}
    ),
    st.fixed_dictionaries({"pending_ms": MS}),
)
CALLBACKS = st.sampled_from([{"lost": True}, {"before_done_ms": 500}]) | some(
    copies=st.integers(1, 5), late_ms=MS, malformed=st.booleans()
)
STATUS = st.fixed_dictionaries(
    {"fault": st.sampled_from(list(poll_faults()))},
    optional={"times": st.integers(1, 5), "retry_after_s": st.integers(0, 9)},
)
ANSWERS = st.lists(st.sampled_from([str(quirk) for quirk in Quirk]), min_size=1, unique=True)
REST = st.fixed_dictionaries(
    {},
    optional={
        "callback": CALLBACKS,
        "answers": ANSWERS,
        "status": STATUS,
        "wire": st.sampled_from([str(wire) for wire in WireFault if wire is not WireFault.HTML]),
    },
)
STATUSES = [
    contract().errors[fault.error].status for fault in submit_faults().values() if fault.error
]
REFUSED = st.fixed_dictionaries(
    {
        "http": st.fixed_dictionaries(
            {"status": st.sampled_from(STATUSES)}, optional={"retry_after_s": st.integers(0, 9)}
        )
    }
)


def _can_be_seen(plan: dict[str, Any]) -> bool:
    """Whether polls show all that they are to show."""
    odd = {"state-unknown", "data-missing"} & set(plan.get("answers", ()))
    status = plan.get("status", {"times": 1})
    damaged = {"truncated", "drip", "invalid-json"}
    if "times" in status or status["fault"] in damaged:
        return len(odd) < 2
    return not odd and "before_done_ms" not in plan.get("callback", {})


ACCEPTED = st.builds(
    lambda *parts: {k: v for part in parts for k, v in part.items()}, ENDS, TIMES, REST
).filter(_can_be_seen)
PLANS = REFUSED | ACCEPTED.filter(bool)

RULES = st.builds(
    lambda asked, rest: {**rest, **asked},
    st.one_of(
        st.fixed_dictionaries({"scenario": SCENARIOS}),
        st.fixed_dictionaries({"scenario": st.lists(SCENARIOS, min_size=1, max_size=1)}),
        st.just({"scenario": ["slow-3", "callback-lost"]}),
        st.fixed_dictionaries({"plan": PLANS}),
        st.fixed_dictionaries({"scenario": st.just("no-cost-time"), "plan": ACCEPTED.filter(bool)}),
    ),
    st.fixed_dictionaries(
        {}, optional={"name": WORDS, "times": st.integers(1, 5), "match": MATCHES}
    ),
)
