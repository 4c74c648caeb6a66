"""The forms of a report: terminal, JSON, HTML, JUnit XML and Markdown."""

from apixo_contract._reporting._files import (
    append_step_summary,
    print_report,
    write_reports,
)
from apixo_contract._reporting._html import render_html
from apixo_contract._reporting._junit import render_junit
from apixo_contract._reporting._markdown import render_markdown
from apixo_contract._reporting._terminal import render_terminal
from apixo_contract._reporting._words import cost_line

__all__ = [
    "append_step_summary",
    "cost_line",
    "print_report",
    "render_html",
    "render_junit",
    "render_markdown",
    "render_terminal",
    "write_reports",
]
