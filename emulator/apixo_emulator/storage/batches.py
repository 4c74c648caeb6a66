"""Orders that are kept together: what a statement can do for several is not done for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from apixo_emulator.domain.accounts import Account
from apixo_emulator.storage.base import Charge, Order


def paid(orders: Sequence[Order], charge: Callable[[Account, Charge, int], bool]) -> list[bool]:
    """Charge each account for its orders at once, or if it cannot pay for all, one by one.

    ``charge`` does so for a number of orders, all or none, and tells whether the balance covers them.
    Accounts come in the order of their ids, so that no two transactions wait for each other.
    """
    bills: dict[tuple[str, Charge], list[int]] = {}
    for at, order in enumerate(orders):
        bills.setdefault((order.account.id, order.charge), []).append(at)
    covered = [True] * len(orders)
    for (_, bill), places in sorted(bills.items(), key=lambda entry: entry[0][0]):
        account = orders[places[0]].account
        if not charge(account, bill, len(places)):
            for at in places:
                covered[at] = len(places) > 1 and charge(account, bill, 1)
    return covered
