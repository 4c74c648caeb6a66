"""What a mutant is: a server that keeps every promise but one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from gauntlet.conduct import Conduct, Task
from gauntlet.wire import Reply

Kind = TypeVar("Kind", bound=type[Conduct])
RUNNING = ("pending", "processing")
FINAL = ("success", "failed")


@dataclass(frozen=True, slots=True)
class Mutant:
    """``promise`` is the sentence it breaks; ``checks`` are the kit's ids, any of which names it."""

    id: str
    promise: str
    checks: tuple[str, ...]
    conduct: type[Conduct]


MUTANTS: dict[str, Mutant] = {}


def breaks(name: str, promise: str, *checks: str) -> Callable[[Kind], Kind]:
    """Add a conduct to the mutants."""

    def add(conduct: Kind) -> Kind:
        if name in MUTANTS:
            raise ValueError(f"two mutants are named {name}")
        MUTANTS[name] = Mutant(name, promise, checks, conduct)
        return conduct

    return add


def made(name: str, promise: str, *checks: str, **members: Any) -> None:
    """Add a mutant whose members replace those of `Conduct`."""
    breaks(name, promise, *checks)(type(name, (Conduct,), members))


Change = Callable[[dict[str, Any], Task], Any]


def shown(name: str, promise: str, *checks: str, when: tuple[str, ...], change: Change) -> None:
    """Add a mutant that shows tasks otherwise, in polls and callbacks, while in some states."""

    def bent(self: Conduct, task: Task, state: str) -> dict[str, Any]:
        data = Conduct.shown(self, task, state)
        if state in when:
            change(data, task)
        return data

    made(name, promise, *checks, shown=bent)


def wrapped(
    name: str, promise: str, *checks: str, where: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    """Add a mutant whose success envelope is otherwise at one endpoint, or ``any``."""

    def bent(self: Conduct, place: str, data: Any) -> Reply:
        reply = Conduct.success(self, place, data)
        if where not in {place, "any"}:
            return reply
        body = dict(reply.body)
        changed = change(body)
        return Reply(200, body if changed is None else changed)

    made(name, promise, *checks, success=bent)


def drop(name: str) -> Change:
    """Give the change that leaves a field out."""
    return lambda data, _task: data.pop(name, None)


def put(name: str, value: Any) -> Change:
    """Give the change that sets a field to a value, or to what a function makes of the old one."""

    def change(data: dict[str, Any], task: Task) -> None:
        data[name] = value(data.get(name), task) if callable(value) else value

    return change
