"""While the tasks run: calls about what is not there, and bodies that break rules."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from apixo_contract._bodies import (
    canonical,
    classics,
    combinable,
    documented_rules,
    exactly,
    with_extras,
    written,
)
from apixo_contract._explore import explore
from apixo_contract._ids import similar_ids
from apixo_contract._judges.faults import fault_of
from apixo_contract._observations import Key, Purpose
from apixo_contract._plan import LENIENT, SHOWN_BY_LENIENT, duplicate_keys, probes
from apixo_contract._session import Session
from apixo_contract._steps.before import FIRST_CLASSICS
from apixo_contract._view import Submitted

# By how many rules are broken together: the share of generated bodies that each set gets.
_SHARES = {1: 1, 2: 3, 3: 6, 4: 12}
# Seconds for all bodies of this step: calls over a network take longer, and tasks too.
_MOST_S = 40.0
_MOST_LOCAL_S = 20.0
_UNKNOWN_IDS = 4
_EXTRAS = 6


def strangers(session: Session) -> None:
    """Poll what is not there: unknown ids, a wrong model, and own tasks under wrong keys."""
    calls, poller = session.calls, session.poller
    ids = list(poller.tasks)
    for task_id in islice(similar_ids(ids, session.random), _UNKNOWN_IDS):
        calls.status(task_id, Purpose.POLL_UNKNOWN)
        poller.tick()
    calls.send(calls.without_task_id())
    for task_id in ids[:2]:
        calls.status(task_id, Purpose.POLL_MODEL, model="no-such-model")
        calls.status(task_id, Purpose.KEY, key=Key.NONE, probe="status")
        calls.status(task_id, Purpose.KEY, key=Key.WRONG, probe="status")
        poller.tick()


def assumed_bodies(session: Session, *, risky: bool) -> None:
    """Submit the bodies that put an assumption to the test; risky ones may be accepted."""
    lenient = False
    for probe in probes(session.settings.image_url):
        if probe.risky is not risky or (lenient and probe.name in SHOWN_BY_LENIENT):
            continue
        found = session.submit(
            probe.text, Purpose.PROBE, probe=probe.name, content_type=probe.content_type
        )
        lenient = lenient or (found is not None and found.accepted and probe.name == LENIENT)


def generated(session: Session) -> None:
    """Submit bodies that break one rule or several: every pair, more fixed ones, generated ones."""
    until = session.clock() + (_MOST_LOCAL_S if session.settings.is_local else _MOST_S)
    url = session.settings.image_url

    def broken(text: str) -> bool | None:
        found = session.break_rules(text) if session.clock() < until else None
        return None if found is None else fault_of(Submitted(found)) is not None

    for pair in combinable(2):
        broken(written(canonical(pair, url)))
    if not session.settings.examples:
        return
    for text in (*_more_classics(session), *duplicate_keys(url)):
        broken(text)
    for size, share in _SHARES.items():
        for rules in combinable(size):
            count = -(-session.settings.examples // share)
            number = session.random.getrandbits(32)
            explore(exactly(rules, url), broken, examples=count, seed_number=number)
    _extras(session, until)


def _more_classics(session: Session) -> Iterator[str]:
    """Give the fixed bodies that were not sent before, in the seed's order."""
    url = session.settings.image_url
    rest = [
        written(made)
        for rule in documented_rules()
        for made in islice(classics(rule, url), FIRST_CLASSICS, None)
    ]
    session.random.shuffle(rest)
    return iter(rest)


def _extras(session: Session, until: float) -> None:
    """Send unknown parameters beside a broken rule: what they do is assumed."""

    def send(text: str) -> bool | None:
        if session.clock() < until:
            session.submit(text, Purpose.PROBE, probe="parameters.unknown/generated")
        return None

    bodies = with_extras(frozenset({documented_rules()[-1]}), session.settings.image_url)
    explore(bodies, send, examples=_EXTRAS, seed_number=session.settings.seed)
