"""Before any task: is anybody there, are keys asked for, is each rule kept. All of it is free."""

from __future__ import annotations

from itertools import islice, zip_longest

from apixo_contract._bodies import classics, documented_rules, written
from apixo_contract._ids import similar_ids
from apixo_contract._observations import Key, Purpose
from apixo_contract._plan import example
from apixo_contract._session import Session
from apixo_contract._settings import UsageError

# Bodies of each rule that are sent before any task is paid for; the rest while the tasks run.
FIRST_CLASSICS = 8
_UNAUTHORIZED = 401


def greet(session: Session) -> None:
    """See whether the target answers, and whether it knows the key.

    Raises:
        UsageError: It refuses the key.
    """
    balance = session.read_balance("start")
    if balance is None or balance.status != _UNAUTHORIZED:
        return
    unknown = next(similar_ids([], session.random))
    poll = session.calls.status(unknown, Purpose.POLL_UNKNOWN)
    if poll.status == _UNAUTHORIZED:
        raise UsageError(
            f"{session.settings.base_url} refuses the API key (401). Give a valid one with "
            "--api-key or APIXO_API_KEY"
        )


def keys(session: Session) -> None:
    """Call without a key, and with a wrong one. The bodies are valid: only the key is wrong."""
    text = written(example(session.settings.image_url))
    session.calls.balance("balance", Key.NONE, Purpose.KEY)
    wrong = session.calls.balance("balance", Key.WRONG, Purpose.KEY)
    session.submit(text, Purpose.KEY, key=Key.NONE, probe="submit")
    if not wrong.succeeded:
        session.submit(text, Purpose.KEY, key=Key.WRONG, probe="submit")


def first_bodies(session: Session) -> None:
    """Break every rule alone, the same way on every run, between readings of the balance."""
    url = session.settings.image_url
    by_rule = [list(islice(classics(rule, url), FIRST_CLASSICS)) for rule in documented_rules()]
    for rows in (slice(0, 1), slice(1, None)):
        session.read_balance("refusals")
        # A rule that can be broken in one way only is broken again: each reading tells of all.
        for row in zip_longest(*(bodies[rows] or bodies for bodies in by_rule)):
            for made in row:
                if made is not None:
                    session.break_rules(written(made))
    session.read_balance("refusals")
