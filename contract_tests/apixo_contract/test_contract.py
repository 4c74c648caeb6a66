"""One test for each check of the catalogue; see `pytest_plugin` for the options."""

from __future__ import annotations

import pytest

from apixo_contract._report import CheckResult, Verdict


def test_contract(check_result: CheckResult) -> None:
    """The target keeps this promise; a refuted assumption breaks none."""
    if check_result.verdict is Verdict.SKIPPED:
        pytest.skip(check_result.evidence)
    if check_result.verdict is Verdict.FAIL:
        pytest.fail(_story(check_result), pytrace=False)


def _story(result: CheckResult) -> str:
    lines = [result.title, f"{result.grade}: {result.source}", result.evidence]
    for example in result.examples:
        lines += ["", example.title, f"expected: {example.expected}"]
        lines += [f"observed: {example.observed}"]
        lines += [call.curl for call in example.exchanges if call.curl]
    return "\n".join(lines)
