"""Each line of docs/mocks-and-clocks.md is held by tests of a suite that has all the libraries."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
SUITE = Path(__file__).parent / "together" / "mocks_and_clocks.py"
ROW = re.compile(r"^\| ([a-z][\w-]*) \|", re.MULTILINE)
PLUGINS = (
    *(
        "xdist",
        "randomly",
        "pytest_asyncio.plugin",
        "anyio",
        "respx",
        "pytest_httpx",
        "requests_mock",
    ),
    *("recording", "pytest_socket", "time_machine", "apixo"),
)
INI = "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"


@pytest.mark.slow
def test_each_line_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "pytest.ini").write_text(INI, "utf-8")
    shutil.copy(SUITE, tmp_path / "test_together.py")
    plugins = [option for name in PLUGINS for option in ("-p", name)]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "-n", "1", "--allow-unix-socket"]
    command += ["--junit-xml", "report.xml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    cases = ET.parse(tmp_path / "report.xml").iter("testcase")  # noqa: S314 - our own
    names = [case.attrib["name"] for case in cases]
    libraries = ROW.findall((ROOT / "docs" / "mocks-and-clocks.md").read_text("utf-8"))
    assert len(libraries) == 16
    for library in libraries:
        begin = f"test_{library.replace('-', '_')}"
        assert any(name.startswith(begin) for name in names), library
