"""What is shipped: the wheel and the source distribution, installed as a user installs them."""

import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from support.process import environment

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--installer", "pip", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


def _pinned(folder: Path) -> Path:
    """The versions that the tests run with, without hashes: pip takes none for a wheel that was just built."""
    lock = (ROOT / "requirements" / "dev.txt").read_text("utf-8")
    path = folder / "constraints.txt"
    path.write_text("\n".join(re.findall(r"^(\S+==[^\\\n]*)", lock, re.MULTILINE)), "utf-8")
    return path


def install(requirement: str, folder: Path) -> Path:
    """Install into an environment of its own, made on the first call; give its commands' folder."""
    commands = folder / "bin"
    if not commands.exists():
        venv.create(folder)
    pip: list[str | Path] = [
        sys.executable, "-m", "pip", "--python", commands / "python", "install", "--quiet",
        "--disable-pip-version-check", "--no-compile", "--constraint", _pinned(folder.parent),
        requirement,
    ]  # fmt: skip
    subprocess.run(pip, check=True)
    return commands


def output(*words: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        words, env=environment(), capture_output=True, text=True, check=False, cwd="/"
    )
    return done.returncode, done.stdout + done.stderr


def test_the_wheel_holds_the_packages_with_their_data_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "apixo_schemas",
        "apixo_client",
        "apixo_emulator",
        "apixo_contract",
    }
    roots = {"schemas": ("json",), "contract_tests": ("json", "j2", "css")}
    roots["emulator"] = ("sql", "html", "css", "js", "svg", "txt")
    for folder, kinds in roots.items():
        for path in (path for kind in kinds for path in (ROOT / folder).rglob(f"*.{kind}")):
            assert path.relative_to(ROOT / folder).as_posix() in names
    for package in ("apixo_schemas", "apixo_client", "apixo_emulator", "apixo_contract"):
        assert f"{package}/py.typed" in names


def test_the_source_distribution_can_be_tested(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", "tests/test_layers.py", "requirements/dev.txt", "examples/demo.py"} <= names


def test_the_base_install_is_the_client_and_the_contract_and_the_full_one_serves(
    wheel: Path, tmp_path: Path
) -> None:
    commands = install(str(wheel), tmp_path / "environment")
    code = "import apixo_client, apixo_schemas; print(apixo_schemas.contract().model)"
    assert output(commands / "python", "-W", "error", "-c", code) == (0, "image-upscaler\n")
    assert output(commands / "python", "-c", "import starlette")[0] == 1
    assert output(commands / "apixo-client", "--help")[0] == 0
    # Other projects bring some of the libraries.
    for library in ("", "orjson", "jsonschema-rs"):
        if library:
            install(library, tmp_path / "environment")
        status, text = output(commands / "apixo-emulator", "serve")
        assert (status, text.count("\n")) == (1, 1)
        assert "pip install '.[emulator]'" in text

    install(f"{wheel}[all]", tmp_path / "environment")
    process = subprocess.Popen(
        [commands / "apixo-emulator", "serve", "--port", "0", "--ephemeral"],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("apixo-emulator ready: ")
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
