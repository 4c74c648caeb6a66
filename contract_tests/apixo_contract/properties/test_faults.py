"""The client under every fault of the emulator, alone and in sequences."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from itertools import pairwise

import httpx
from hypothesis import strategies as st

from apixo_client import (
    ApixoError,
    InvalidResponseError,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    UncertainSubmitError,
    WaitTimeout,
)
from apixo_contract.properties import expected
from apixo_contract.properties.registry import client_property
from apixo_contract.properties.service import Call, Pieces, Service
from apixo_contract.properties.target import scenarios

_TIMEOUT_S = 300.0
# Seconds: all attempts of a submit, a wait, and all attempts of its last poll, with their pauses.
_LONGEST_S = 2000.0
_POLICY = RetryPolicy()


# Faults after which a request may be repeated; those of a submit must be certain refusals.
_PASSING = ("http-429", "http-429-date", "http-500", "http-502", "http-503", "http-504")
_DAMAGE = ("reset", "truncated", "invalid-json", "html-502")

names = st.deferred(lambda: st.sampled_from(every_name()))
sequences = st.lists(st.tuples(names, st.integers(1, 3)), max_size=3)


def every_name() -> list[str]:
    """Return every scenario of the vocabulary; those of polls once for each fault."""
    found = scenarios()
    plain = [name for name in found if name.startswith("http-")]
    plain += [name for name in ("reset", "truncated", "drip", "invalid-json") if name in found]
    forms = [name for name in found if "<fault>" in name]
    polls = [form.replace("<fault>", fault) for form in forms for fault in plain]
    return [*(name for name in found if "<" not in name), *polls]


def assert_no_submit_is_repeated(service: Service) -> None:
    """Check that a submit was only sent again after it had certainly been refused."""
    *repeated, _last = service.submits
    assert all(call.is_surely_refused for call in repeated)


def assert_waits_as_asked(service: Service) -> None:
    """Check that the client waits for `Retry-After`, in both of its forms, and not much longer."""
    for entry, following in pairwise(service.log):
        if isinstance(entry, Call) and "retry-after" in entry.answer_headers:
            value = entry.answer_headers["retry-after"]
            asked = (
                float(value)
                if value.isdecimal()
                else parsedate_to_datetime(value).timestamp() - entry.at
            )
            assert isinstance(following, float), f"a pause of {asked} s was expected"
            assert asked <= following <= asked + _POLICY.cap_s


def assert_pauses_before_repeats(service: Service) -> None:
    """Check that a request which failed in passing is only sent again after a pause."""
    for entry, following in pairwise(service.log):
        if isinstance(entry, Call) and isinstance(following, Call):
            same = (entry.method, entry.url, entry.body)
            again = same == (following.method, following.url, following.body)
            assert not (again and entry.is_passing), "a pause was expected before the next attempt"


def answer_first(
    service: Service, times: int, status: int, headers: Mapping[str, str] | None = None
) -> None:
    """Answer the first calls of a client with an error, instead of the target."""
    service.answer = lambda _call: (
        httpx.Response(status, headers=headers, stream=Pieces(b'{"code":%d}' % status))
        if len(service.calls) <= times
        else None
    )


@client_property("client.faults", tasks=1, examples=(200, 0, 0), sequence=sequences)
def test_every_fault_ends_in_a_result_or_a_documented_error(
    service: Service, sequence: list[tuple[str, int]]
) -> None:
    """Under any faults no uncertain submit is repeated, one task is paid at most, and all calls end."""
    for name, times in sequence:
        service.target.emulator.scenario(name, times=times)
    started, before = service.target.now(), service.balance()
    outcome = service.client().attempt("upscale", service.image_url, timeout=_TIMEOUT_S)
    assert service.target.now() - started < _LONGEST_S
    assert outcome.error is None or isinstance(outcome.error, ApixoError)
    assert_no_submit_is_repeated(service)
    assert_waits_as_asked(service)
    assert_pauses_before_repeats(service)
    assert before - service.balance() <= expected.PRICE
    if outcome.error is None:
        assert outcome.value.task.state == "success"


@client_property(
    "client.retry-after",
    tasks=1,
    examples=(40, 0, 0),
    form=st.sampled_from(["", "-date"]),
    times=st.integers(1, 6),
    polls=st.booleans(),
)
def test_a_passing_rate_limit_is_waited_for(
    service: Service, form: str, times: int, *, polls: bool
) -> None:
    """After 429 the client waits as long as Retry-After asks, in seconds or as a date, and goes on."""
    if polls:
        service.target.emulator.scenario(f"status-http-429{form}-{times}-times")
    else:
        service.target.emulator.scenario(f"http-429{form}", times=times)
    outcome = service.client().attempt("upscale", service.image_url)
    assert outcome.error is None
    assert_waits_as_asked(service)
    assert len([call for call in service.calls if call.status == 429]) == times


@client_property(
    "client.long-retry-after",
    examples=(40, 20, 5),
    asked=st.integers(int(_POLICY.max_retry_after_s) + 1, 1000),
)
def test_a_wait_that_is_too_long_is_not_begun(service: Service, asked: int) -> None:
    """A Retry-After longer than the client's limit is not waited for: the error is raised at once."""
    answer_first(service, 1, 429, {"Retry-After": str(asked)})
    outcome = service.client().attempt("balance")
    assert type(outcome.error) is RateLimitedError
    assert outcome.error.retry_after == asked
    assert len(service.log) == 1


@client_property(
    "client.repeats",
    examples=(60, 4, 2),
    method=st.sampled_from([("balance",), ("status", "task_unknown")]),
    status=st.sampled_from([429, 500, 502, 503, 504]),
    times=st.integers(1, 3),
)
def test_what_changes_nothing_is_repeated(
    service: Service, method: tuple[str, ...], status: int, times: int
) -> None:
    """A balance or a status that fails in passing is asked for again after a pause."""
    answer_first(service, times, status)
    outcome = service.client().attempt(*method)
    assert len(service.calls) > times
    call = service.one_call
    assert_pauses_before_repeats(service)
    if not call.is_accepted:
        expected.assert_raised(call, outcome.error)


@client_property(
    "client.passing-faults",
    tasks=1,
    examples=(60, 0, 0),
    fault=st.sampled_from(_PASSING + _DAMAGE),
    times=st.integers(1, 5),
)
def test_passing_faults_of_polls_are_survived(service: Service, fault: str, times: int) -> None:
    """A poll that fails in passing is repeated after a pause, and the wait ends with the result."""
    service.target.emulator.scenario(f"status-{fault}-{times}-times")
    outcome = service.client().attempt("upscale", service.image_url)
    assert outcome.error is None
    assert len(service.submits) == 1
    assert_pauses_before_repeats(service)


@client_property(
    "client.time-limit",
    tasks=1,
    examples=(60, 0, 0),
    timeout=st.floats(0, 100),
    times=st.integers(1, 6),
)
def test_an_upscale_ends_in_time(service: Service, timeout: float, times: int) -> None:
    """An upscale with a timeout ends within it, also if its submit is first refused with 429."""
    service.target.emulator.scenario("http-429", times=times)
    service.target.emulator.scenario("slow-300")
    started = service.target.now()
    outcome = service.client().attempt("upscale", service.image_url, timeout=timeout)
    assert isinstance(outcome.error, WaitTimeout | RateLimitedError)
    assert service.target.now() - started <= timeout + 1


@client_property(
    "client.uncertain-submit",
    tasks=1,
    examples=(30, 0, 0),
    fault=st.sampled_from(_PASSING[2:] + _DAMAGE),
)
def test_an_uncertain_submit_is_not_repeated(service: Service, fault: str) -> None:
    """A submit that may have been accepted is sent once, and its error is raised."""
    service.target.emulator.scenario(fault)
    outcome = service.client().attempt("submit", service.image_url)
    assert len(service.submits) == 1
    (call,) = service.submits
    if call.trouble:
        assert type(outcome.error) is UncertainSubmitError
    else:
        assert isinstance(outcome.error, ServerError | InvalidResponseError)


@client_property(
    "client.refused-faults",
    tasks=1,
    examples=(30, 0, 0),
    status=st.sampled_from([400, 401, 402, 403, 404]),
    polls=st.booleans(),
)
def test_a_refusal_is_not_repeated(service: Service, status: int, *, polls: bool) -> None:
    """A request that the service refuses, other than by 429, is sent once, and its error is raised."""
    service.target.emulator.scenario(f"status-http-{status}" if polls else f"http-{status}")
    outcome = service.client().attempt("upscale", service.image_url)
    (call,) = [call for call in service.calls if call.status != 200]
    expected.assert_raised(call, outcome.error)
