"""The public face: complete, sorted, light, and shown by the path that users import from."""

from __future__ import annotations

import inspect
import subprocess
import sys

import apixo_client
from apixo_client import ApixoError, TaskState
from apixo_schemas import document


def test_names_are_sorted_and_complete() -> None:
    listed = apixo_client.__all__
    assert listed == sorted(listed, key=str.lower) or listed == sorted(listed)
    public = {
        name
        for name, value in vars(apixo_client).items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not name.startswith("_")
    }
    assert set(listed) == public


def test_every_error_can_be_imported() -> None:
    kinds = {ApixoError}
    while (more := kinds | {kind for each in kinds for kind in each.__subclasses__()}) != kinds:
        kinds = more
    assert {kind.__name__ for kind in kinds} <= set(apixo_client.__all__)


def test_names_show_where_to_import_them_from() -> None:
    assert {getattr(apixo_client, name).__module__ for name in apixo_client.__all__} == {
        "apixo_client"
    }


def test_both_clients_take_the_same() -> None:
    for name in ("submit", "status", "wait", "upscale", "balance", "download", "__init__"):
        sync = inspect.signature(getattr(apixo_client.Apixo, name)).parameters
        other = inspect.signature(getattr(apixo_client.AsyncApixo, name)).parameters
        assert list(sync) == list(other), name


def test_the_states_are_those_of_the_contract() -> None:
    examples = document("status-response.json")["examples"]
    assert [body["data"]["state"] for body in examples] == list(TaskState)


def test_importing_loads_nothing_heavy() -> None:
    script = (
        "import sys, httpx; before = set(sys.modules); import apixo_client;"
        "print(*sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name for name in ran.stdout.split() if not name.startswith("apixo_client")}
    assert loaded.isdisjoint({"asyncio", "h11", "click", "anyio", "jsonschema", "apixo_emulator"})
    assert len(loaded) < 30, loaded
