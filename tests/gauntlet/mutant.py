"""What a mutant is: a server that keeps every promise but one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from gauntlet.conduct import Conduct, Task
from gauntlet.wire import Reply

Kind = TypeVar("Kind", bound=type[Conduct])
Change = Callable[[dict[str, Any], Task], Any]
SUCCESS, FAILED, RUNNING = ("success",), ("failed",), ("pending", "processing")
FINAL = (*SUCCESS, *FAILED)
ALWAYS = (*RUNNING, *FINAL)


@dataclass(frozen=True, slots=True)
class Mutant:
    """``checks`` are ids of the kit, any of which names the broken promise."""

    id: str
    checks: tuple[str, ...]
    conduct: type[Conduct]


MUTANTS: dict[str, Mutant] = {}


def breaks(name: str, checks: str) -> Callable[[Kind], Kind]:
    """Add a conduct to the mutants; the ids of the checks are separated by spaces."""

    def add(conduct: Kind) -> Kind:
        if name in MUTANTS:
            raise ValueError(f"two mutants are named {name}")
        MUTANTS[name] = Mutant(name, tuple(checks.split()), conduct)
        return conduct

    return add


def made(name: str, checks: str, **members: Any) -> None:
    """Add a mutant whose members replace those of `Conduct`."""
    breaks(name, checks)(type(name, (Conduct,), members))


def shown(name: str, checks: str, when: tuple[str, ...], change: Change) -> None:
    """Add a mutant that shows tasks otherwise, in polls and callbacks, while in some states."""

    def bent(self: Conduct, task: Task, state: str) -> dict[str, Any]:
        data = Conduct.shown(self, task, state)
        if state in when:
            change(data, task)
        return data

    made(name, checks, shown=bent)


def wrapped(name: str, checks: str, where: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Add a mutant whose success envelope is otherwise at one endpoint, or ``any``."""

    def bent(self: Conduct, place: str, data: Any) -> Reply:
        reply = Conduct.success(self, place, data)
        return Reply(200, change(reply.body)) if where in {place, "any"} else reply

    made(name, checks, success=bent)


def drop(name: str) -> Change:
    """Return the change that leaves a field out."""
    return lambda data, _task: data.pop(name, None)


def put(name: str, value: Any) -> Change:
    """Return the change that sets a field to a value, or to what a function makes of the old one."""

    def change(data: dict[str, Any], task: Task) -> None:
        data[name] = value(data.get(name), task) if callable(value) else value

    return change


def counted(task: Task) -> int:
    """Return how often this was called for a task."""
    task.notes["count"] = task.notes.get("count", 0) + 1
    return int(task.notes["count"])
