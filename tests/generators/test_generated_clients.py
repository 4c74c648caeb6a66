"""Clients that are generated from the served document work against the emulator that serves it.

Each program of ``programs/`` uses one generated client as its user would: it submits a picture and
polls to the success, polls a task that fails, and is refused a body.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import nodejs
from support.process import running

pytestmark = pytest.mark.slow
PROGRAMS = Path(__file__).parent / "programs"
KEY = "sk-generated-0123456789"
EXPECTED: dict[str, Any] = {
    "results": 1,
    "failCode": "SensitiveContent",
    "refused": [400, "The parameter {{image_urls}} cannot contain empty string."],
}


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder with the programs and the document that an emulator serves."""

    folder: Path
    base_url: str

    @property
    def document(self) -> Path:
        return self.folder / "openapi.json"

    def python(self, *arguments: object) -> str:
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONWARNINGS": "default"}
        # The formatters that a generator calls are those of this environment.
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        return self._run([sys.executable, *map(str, arguments)], environment)

    def node(self, program: str, *arguments: object) -> str:
        return self._run(nodejs.command(program, *arguments), dict(os.environ))

    def openapi_generator(self, generator: str, *options: str) -> None:
        run = "import openapi_generator_cli as cli, sys; sys.exit(cli.run(sys.argv[1:]).returncode)"
        self.python("-c", run, "generate", "-i", "openapi.json", "-g", generator, *options)

    def outcome(self, *command: object) -> object:
        """What a program prints: a JSON value."""
        line = [*map(str, command), self.base_url, KEY]
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        return json.loads(self._run(line, environment))

    def _run(self, command: list[str], environment: dict[str, str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]} {done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    folder = tmp_path_factory.mktemp("generated") / "workshop"
    shutil.copytree(PROGRAMS, folder)
    with running("--ephemeral", "--latency", "200", cwd=folder) as server:
        answer = httpx.get(f"{server.origin}/openapi.json", timeout=60)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["servers"][0]["url"] == server.base_url
        found = Workshop(folder, server.base_url)
        found.document.write_bytes(answer.content)
        control = httpx.get(f"{server.origin}/_emulator/openapi.json", timeout=60)
        (folder / "control.json").write_bytes(control.content)
        yield found


def test_the_clients_for_python(workshop: Workshop) -> None:
    options = ("--path", workshop.document, "--meta", "none", "--fail-on-warning")
    made = ("generate", *options, "--output-path", workshop.folder / "generated_attrs")
    workshop.python("-m", "openapi_python_client", *made)
    workshop.openapi_generator("python", "-o", ".", "--package-name", "generated_pydantic")
    workshop.python(
        "-m",
        "datamodel_code_generator",
        "--input=openapi.json",
        "--output=generated_models.py",
        "--output-model-type=pydantic_v2.BaseModel",
        "--formatters=builtin",
    )
    programs = sorted(workshop.folder.glob("with_*.py"))
    found = {program.stem: workshop.outcome(sys.executable, program) for program in programs}
    assert found == {program.stem: EXPECTED for program in programs}
    assert len(found) == 3


def test_a_typed_client_of_the_control_api(workshop: Workshop) -> None:
    options = ("--path", "control.json", "--meta", "none", "--fail-on-warning")
    workshop.python(
        "-m", "openapi_python_client", "generate", *options, "--output-path", "generated_control"
    )
    found = workshop.outcome(sys.executable, workshop.folder / "control.py")
    assert found == {"tasks": 1, "state": "failed", "met": True, "rule": "stuck"}


def test_the_clients_for_typescript_compile_and_work(workshop: Workshop) -> None:
    (workshop.folder / "node_modules").symlink_to(nodejs.packages() / "node_modules")
    types = "generated/openapi-typescript.ts"
    # Without this option its types demand what has a default.
    workshop.node("openapi-typescript", "openapi.json", "--default-non-nullable=false", "-o", types)
    plugin = ("-c", "@hey-api/client-fetch")
    workshop.node("openapi-ts", "-i", "openapi.json", "-o", "generated/hey-api", *plugin)
    workshop.openapi_generator("typescript-fetch", "-o", "generated/typescript-fetch")
    workshop.node("tsc", "--project", ".")
    programs = sorted((workshop.folder / "built").glob("with_*.js"))
    found = {program.stem: workshop.outcome(nodejs.NODE, program) for program in programs}
    assert found == {program.stem: EXPECTED for program in programs}
    assert len(found) == 3


def test_linters_find_nothing(workshop: Workshop) -> None:
    (workshop.folder / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    documents = ("openapi.json", "control.json")
    workshop.node("redocly", "lint", *documents, "--max-problems", 1000)
    assert "No results" in workshop.node("spectral", "lint", "--fail-severity", "hint", *documents)


@contextmanager
def prism(workshop: Workshop) -> Iterator[str]:
    """A proxy that holds requests and responses against the document."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    line = nodejs.command("prism", "proxy", "openapi.json", workshop.base_url, "--port", port)
    with subprocess.Popen(line, cwd=workshop.folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("Prism is listening" in said for said in process.stdout)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def test_a_validating_proxy_finds_nothing_wrong_with_the_emulator(workshop: Workshop) -> None:
    with prism(workshop) as url, httpx.Client(base_url=url, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"

        def submit(image: str) -> httpx.Response:
            body = {"input": {"image_urls": [image]}}
            return client.post("/generateTask/image-upscaler", json=body)

        def polled(task_id: str) -> httpx.Response:
            answer = client.get("/statusTask/image-upscaler", params={"taskId": task_id})
            while answer.json()["data"]["state"] in {"pending", "processing"}:
                assert "sl-violations" not in answer.headers, answer.headers["sl-violations"]
                answer = client.get("/statusTask/image-upscaler", params={"taskId": task_id})
            return answer

        accepted = [
            submit("https://example.com/input.jpg"),
            submit("https://example.com/emulate/SensitiveContent.jpg"),
        ]
        ended = [polled(answer.json()["data"]["taskId"]) for answer in accepted]
        others = [
            client.get("/apikeys/current-balance"),
            client.get("/statusTask/image-upscaler", params={"taskId": "unknown"}),
        ]
        for answer in (*accepted, *ended, *others):
            assert "sl-violations" not in answer.headers, answer.headers["sl-violations"]
        assert [answer.json()["data"]["state"] for answer in ended] == ["success", "failed"]
        assert [answer.status_code for answer in others] == [200, 404]
        refused = submit("")
        assert refused.json()["message"] == EXPECTED["refused"][1]
        violations = json.loads(refused.headers["sl-violations"])
        assert {found["location"][0] for found in violations} == {"request"}
