"""Each line of docs/mocks-and-clocks.md is held by tests of a suite that has all the libraries."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
SUITE = Path(__file__).parent / "together" / "mocks_and_clocks.py"
ROW = re.compile(r"^\| ([a-z][\w-]*) \|", re.MULTILINE)
LIBRARIES = ROW.findall((ROOT / "docs" / "mocks-and-clocks.md").read_text("utf-8"))
INI = "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"

pytestmark = pytest.mark.slow


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the suite with plugins of all libraries."""
    (folder / "pytest.ini").write_text(INI, "utf-8")
    shutil.copy(SUITE, folder / "test_together.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """Run the suite, and return how many of its tests have passed, by library."""
    folder = tmp_path_factory.mktemp("together")
    run(folder, "-n", "2", "--junit-xml", "report.xml")
    names = [
        case.attrib["name"].removeprefix("test_")
        for case in ET.parse(folder / "report.xml").iter("testcase")  # noqa: S314 - our own
    ]
    slugs = {library: library.replace("-", "_") for library in LIBRARIES}
    return Counter(
        library for library, slug in slugs.items() for name in names if name.startswith(slug)
    )


def test_the_page_has_lines() -> None:
    assert len(LIBRARIES) == 16


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_line_is_true(library: str, passed: Counter[str]) -> None:
    assert passed[library]


def test_async_code_needs_no_network_sockets(tmp_path: Path) -> None:
    told = run(tmp_path, "--disable-socket", "--allow-unix-socket", "-k", "test_pytest_recording")
    assert "10 passed" in told.stdout
