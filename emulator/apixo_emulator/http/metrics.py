"""Counters in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from apixo_emulator.service.operator import Operator


def metrics(desk: Operator) -> str:
    """Give a world's counters: calls by endpoint and status, tasks and deliveries by state."""
    counts = desk.counts()
    lines = [
        *_family(
            "apixo_requests_total",
            "counter",
            "Calls answered by this process since its start",
            (
                ({"endpoint": name, "status": str(status)}, count)
                for (name, status), count in sorted(counts.requests.items())
            ),
        ),
        *_family(
            "apixo_tasks",
            "gauge",
            "Tasks by state",
            (({"state": name}, count) for name, count in counts.tasks.items()),
        ),
        *_family(
            "apixo_deliveries",
            "gauge",
            "Callbacks by state",
            (({"state": name}, count) for name, count in counts.deliveries.items()),
        ),
        *_family("apixo_clock_seconds", "gauge", "The instant now", [({}, desk.now() / 1000)]),
    ]
    return "\n".join(lines) + "\n"


def _family(
    name: str, kind: str, words: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> Iterable[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
