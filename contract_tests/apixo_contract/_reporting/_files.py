"""Where reports go: files, the terminal, the step summary of GitHub Actions."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from apixo_contract._report import Report
from apixo_contract._reporting._html import render_html
from apixo_contract._reporting._junit import render_junit
from apixo_contract._reporting._markdown import render_markdown
from apixo_contract._reporting._terminal import render_terminal

_SUMMARY = "GITHUB_STEP_SUMMARY"
_NARROWEST = 40


def write_reports(
    report: Report,
    *,
    json_path: Path | None = None,
    html_path: Path | None = None,
    junit_path: Path | None = None,
) -> None:
    """Write the asked-for files, each at once: a reader never sees half of one.

    Raises:
        OSError: A file cannot be written.
    """
    if json_path is not None:
        text = json.dumps(report.to_json(), indent=2, ensure_ascii=False)
        _write(json_path, f"{text}\n")
    if html_path is not None:
        _write(html_path, render_html(report))
    if junit_path is not None:
        _write(junit_path, render_junit(report))


def _write(path: Path, text: str) -> None:
    # Half a surrogate pair, which JSON can name but UTF-8 cannot write, becomes an escape again.
    content = text.encode("utf-8", "backslashreplace")
    if path.exists() and not path.is_file():
        path.write_bytes(content)  # a pipe or a device
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.replace(path)


def append_step_summary(report: Report, environ: Mapping[str, str] = os.environ) -> bool:
    """Add the report to the step summary; False where GitHub Actions is not running this.

    Raises:
        OSError: The file cannot be written.
    """
    path = environ.get(_SUMMARY)
    if not path:
        return False
    with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as summary:
        summary.write(render_markdown(report))
    return True


def print_report(
    report: Report, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ
) -> None:
    """Print the report: with colours on a terminal, unless ``NO_COLOR`` is set; plain elsewhere."""
    out = sys.stdout if stream is None else stream
    terminal = out.isatty()
    width = max(_NARROWEST, shutil.get_terminal_size().columns) if terminal else None
    color = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    text = render_terminal(report, color=color, width=width)
    encoding = getattr(out, "encoding", None) or "utf-8"
    out.write(text.encode(encoding, "backslashreplace").decode(encoding))
    out.flush()
