"""Imports only go down the layers of DESIGN: this file is the rule."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EMULATOR = ROOT / "emulator" / "apixo_emulator"
# From the top down; a module may import its own layer and those below it.
LAYERS = [
    {"asgi", "cli", "control_commands", "control_client", "__main__", "pytest_plugin"},
    {"certify"},
    {"testing"},
    {"serve"},
    {"app"},
    {"http"},
    {"supervisor"},
    {"runtime"},
    {"logs"},
    {"config_file"},
    {"settings", "doctor"},
    {"option_types"},
    {"service"},
    {"pictures", "journal", "scenarios"},
    {"storage", "outbound", "exchange"},
    {"domain", "extras", "process"},
]
# What the core may use beside the standard library: values in, values out.
CORE_LIBRARIES = {"orjson", "jsonschema_rs", "apixo_schemas", "apixo_emulator"}
# Standard modules that reach for the world outside.
WORLD = {
    "asyncio",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
}
WORLD |= {"threading", "time", "uuid", "datetime", "http", "io"}
CLIENT_LIBRARIES = {"anyio", "click", "h11", "httpx", "apixo_schemas", "apixo_client"}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def layer(module: str) -> int:
    name = module.split(".")[1]
    return next(depth for depth, names in enumerate(LAYERS) if name in names)


def modules(package: Path) -> list[Path]:
    return sorted(path for path in package.rglob("*.py"))


@pytest.mark.parametrize("path", modules(EMULATOR), ids=lambda p: str(p.relative_to(EMULATOR)))
def test_the_emulator_imports_only_downwards(path: Path) -> None:
    parts = path.relative_to(EMULATOR.parent).with_suffix("").parts
    if parts[1:] == ("__init__",):
        # `create_app` and `intercept` alone, and not before they are asked for.
        found = {name for name in imports(path) if name.startswith("apixo_emulator.")}
        assert {name.split(".")[1] for name in found} <= {"app", "testing", "extras"}
        return
    own = layer(".".join(parts))
    for module in imports(path):
        assert not module.startswith("apixo_client"), "the emulator never imports the client"
        if module.startswith("apixo_emulator."):
            assert layer(module) >= own, f"{path} imports {module} of a higher layer"


@pytest.mark.parametrize("path", modules(EMULATOR / "domain"), ids=lambda p: p.name)
def test_the_domain_touches_nothing_outside(path: Path) -> None:
    for module in imports(path):
        top = module.split(".")[0]
        if path.name == "clock.py" and top == "datetime":
            continue  # values of the calendar; the linter forbids `now`
        assert top not in WORLD, f"{path.name} imports {module}"
        assert top in sys.stdlib_module_names or top in CORE_LIBRARIES, f"{path.name}: {module}"


@pytest.mark.parametrize("path", modules(ROOT / "client" / "apixo_client"), ids=lambda p: p.name)
def test_the_client_needs_httpx_and_the_contract_only(path: Path) -> None:
    for module in imports(path):
        top = module.split(".")[0]
        assert top in sys.stdlib_module_names or top in CLIENT_LIBRARIES, f"{path.name}: {module}"


@pytest.mark.parametrize(
    "path", modules(ROOT / "contract_tests" / "apixo_contract"), ids=lambda p: p.name
)
def test_the_kit_meets_the_emulator_as_a_target_only(path: Path) -> None:
    found = {module for module in imports(path) if module.startswith("apixo_emulator")}
    # In this process it is a target by what an application's tests use, and the names of faults.
    if path.parts[-2:] == ("properties", "target.py"):
        found = {m for m in found if not m.startswith("apixo_emulator.scenarios.vocabulary")}
        found -= {"apixo_emulator", "apixo_emulator.intercept"}
    assert not found, f"{path.name} imports {found}"


@pytest.mark.parametrize(
    "folder", ["schemas", "client", "emulator", "contract_tests"], ids=lambda name: f"{name}/"
)
def test_a_source_root_holds_one_package_and_nothing_else(folder: str) -> None:
    found = {entry.name for entry in (ROOT / folder).iterdir() if entry.name != "__pycache__"}
    assert len(found) == 1, found
