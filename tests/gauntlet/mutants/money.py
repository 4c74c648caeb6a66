"""Mutants of prices and of the balance."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gauntlet.conduct import Conduct, Task
from gauntlet.mutant import breaks, made, wrapped

_P1 = "Every answer is one envelope {code, message, data} (P1)"


# --- money ----------------------------------------------------------------------------------

_FIXED = "billed per submitted image at $0.01, does not vary by resolution or output_format"


_PRICE_CHECKS = {
    "8k costs more": "balance.resolution",
    "2k costs less": "balance.resolution",
    "webp costs more": "balance.output_format",
    "png costs more": "balance.output_format",
}


def _price(rule: Any) -> Any:
    return lambda _self, task: Decimal(rule(task))


for _name, _rule in {
    "2 cents": lambda _task: "0.02",
    "nothing": lambda _task: "0",
    "half a cent": lambda _task: "0.005",
    "8k costs more": lambda task: "0.02" if task.resolution == "8k" else "0.01",
    "2k costs less": lambda task: "0.005" if task.resolution == "2k" else "0.01",
    "webp costs more": lambda task: "0.015" if task.output_format == "webp" else "0.01",
    "png costs more": lambda task: "0.015" if task.output_format == "png" else "0.01",
    "callbacks are free": lambda task: "0" if task.callback_url else "0.01",
}.items():
    made(f"price: {_name}", _FIXED, _PRICE_CHECKS.get(_name, "balance.price"), price=_price(_rule))


@breaks("price: rejected ones too", "billed per submitted image", "balance.rejected-free")
class ChargesRejected(Conduct):
    def charge_rejected(self) -> None:
        self.balance_usd -= Decimal("0.01")


@breaks("price: polls too", "billed per submitted image", "balance.price")
class ChargesPolls(Conduct):
    def data(self, task: Task, place: str) -> dict[str, Any]:
        self.balance_usd -= Decimal("0.001")
        return super().data(task, place)


made(
    "price: on credit",
    "402: insufficient balance",
    "balance.insufficient",
    start_balance=Decimal("0.03"),
    covered=lambda _self: True,
)


_BALANCE_CHECKS = {
    "in cents": "balance.price",
    "rounded to dollars": "balance.price",
    "never changes": "balance.price",
    "grows": "balance.price",
}


def _balance(rule: Any) -> Any:
    return lambda self: rule(self.balance_usd)


_BALANCES: dict[str, Any] = {
    "a text": str,
    "a text with a sign": lambda usd: f"${usd:.2f}",
    "an object": lambda usd: {"balance": float(usd)},
    "null": lambda _usd: None,
    "in cents": lambda usd: int(usd * 100),
    "rounded to dollars": round,
    "never changes": lambda _usd: 74.87,
    "grows": lambda usd: float(200 - usd),
}
for _name, _shape in _BALANCES.items():
    made(
        f"balance: {_name}",
        "data is the remaining USD balance (P3)",
        _BALANCE_CHECKS.get(_name, "balance.shape"),
        balance=_balance(_shape),
    )
wrapped(
    "balance: no envelope",
    _P1,
    "envelope.shape",
    where="balance",
    change=lambda body: {"balance": body["data"]},
)
wrapped(
    "balance: a bare number",
    _P1,
    "envelope.shape",
    where="balance",
    change=lambda body: body["data"],
)
