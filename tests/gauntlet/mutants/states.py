"""Mutants of states: which there are, their order, the end."""

from __future__ import annotations

from typing import Any

from gauntlet.conduct import Conduct, Task
from gauntlet.mutant import FINAL, RUNNING, breaks, drop, made, put, shown

_STATES = "Current task state: pending, processing, success, or failed"


# --- states -------------------------------------------------------------------------------


@breaks("state: back to pending", "Submitted, then processing: no way back", "status.forward")
class BackToPending(Conduct):
    seconds = 1.2

    def state(self, task: Task) -> str:
        share = (self.now() - task.created_s) / task.duration_s
        if share >= 1:
            return super().state(task)
        return "processing" if share < 0.5 else "pending"


@breaks(
    "state: an end that is none",
    _STATES + "; an end is final",
    "status.final-stable",
    "status.forward",
)
class NotTheEnd(Conduct):
    """Success, then processing again for one poll."""

    def state(self, task: Task) -> str:
        state = super().state(task)
        if state not in FINAL:
            return state
        task.notes["ends"] = task.notes.get("ends", 0) + 1
        return "processing" if task.notes["ends"] == 2 else state


@breaks(
    "state: success turns into failed", "An end is final", "status.final-stable", "status.forward"
)
class ChangesItsMind(Conduct):
    def shown(self, task: Task, state: str) -> dict[str, Any]:
        if state == "success":
            task.notes["ends"] = task.notes.get("ends", 0) + 1
            if task.notes["ends"] > 1:
                task.fail_code = "Timeout"
                state = "failed"
        return super().shown(task, state)


@breaks("state: for ever processing", "success, Completed; failed, Failed", "status.ends")
class Endless(Conduct):
    def state(self, task: Task) -> str:
        del task
        return "processing"


@breaks(
    "state: gone after the end",
    "Poll task status and retrieve results",
    "status.final-stable",
    "status.known",
)
class GoneAfterwards(Conduct):
    def status(self, request: Any, model: str) -> Any:
        task = self.tasks.get(request.query.get("taskId", ""))
        if task is not None and self.state(task) in FINAL:
            task.notes["ends"] = task.notes.get("ends", 0) + 1
            if task.notes["ends"] > 1:
                return self.error(404, "no such task", "task")
        return super().status(request, model)


@breaks(
    "state: not known at first", "Save the taskId; use it with the status endpoint", "status.known"
)
class UnknownAtFirst(Conduct):
    def status(self, request: Any, model: str) -> Any:
        task = self.tasks.get(request.query.get("taskId", ""))
        if task is not None and self.state(task) == "pending":
            return self.error(404, "no such task", "task")
        return super().status(request, model)


def _named(**names: str) -> Any:
    def bent(self: Conduct, task: Task, state: str) -> dict[str, Any]:
        data = Conduct.shown(self, task, state)
        data["state"] = names.get(state, state)
        return data

    return bent


made("state: completed", _STATES, "status.states", shown=_named(success="completed"))
made("state: SUCCESS", _STATES, "status.states", shown=_named(success="SUCCESS", failed="FAILED"))
made("state: error", _STATES, "status.states", shown=_named(failed="error"))
shown("state: missing", _STATES, "status.states", when=(*RUNNING, *FINAL), change=drop("state"))
shown("state: a number", _STATES, "status.states", when=(*RUNNING, *FINAL), change=put("state", 1))
shown(
    "state: named status",
    _STATES,
    "status.states",
    when=(*RUNNING, *FINAL),
    change=lambda data, _task: data.update(status=data.pop("state")),
)

# --- ids ----------------------------------------------------------------------------------

_ID = "taskId, unique task identifier"
shown(
    "taskId: missing in status",
    _ID,
    "task-id.echoed",
    when=(*RUNNING, *FINAL),
    change=drop("taskId"),
)
shown(
    "taskId: another in status",
    _ID,
    "task-id.echoed",
    when=(*RUNNING, *FINAL),
    change=put("taskId", lambda found, _task: found[::-1]),
)
shown(
    "taskId: upper case in status",
    _ID,
    "task-id.echoed",
    when=(*RUNNING, *FINAL),
    change=put("taskId", lambda found, _task: "T" + found.upper()),
)
shown(
    "taskId: an object in status",
    _ID,
    "task-id.echoed",
    when=FINAL,
    change=put("taskId", lambda found, _task: {"id": found}),
)
