"""Finding the browser that these tests drive; run as a program it installs one where none is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ADVICE = (
    "these tests need Chromium, and there is none on PATH: install Debian's package (apt-get install"
    " chromium), or Playwright's own (python tests/dashboard/browser.py), or name one in"
    " APIXO_TEST_BROWSER"
)


def found() -> str | None:
    """The path of a Chromium: the named one, the system's, Playwright's; None if there is none."""
    named = os.environ.get("APIXO_TEST_BROWSER")
    if named:
        return named
    return next(filter(None, map(shutil.which, _NAMES)), None) or _of_playwright()


def _of_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> int:
    """Install what is missing: Debian's package where that can be had, else Playwright's build."""
    if found():
        return 0
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([apt, "update", "-qq"], env=quiet, check=False)
        wanted = [apt, "install", "-qq", "-y", "--no-install-recommends", "chromium"]
        subprocess.run(wanted, env=quiet, check=False)
    if not found():
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    if found():
        return 0
    sys.stderr.write(f"{ADVICE}\n")
    return 1


if __name__ == "__main__":
    sys.exit(install())
