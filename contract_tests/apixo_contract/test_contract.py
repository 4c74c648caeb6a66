"""One test for each check of the catalogue; see `pytest_plugin` for the options."""

from __future__ import annotations

import pytest

from apixo_contract.report.model import CheckResult, Verdict
from apixo_contract.report.render import story


def test_contract(check_result: CheckResult) -> None:
    """The target keeps this promise; a refuted assumption is no failure."""
    if check_result.verdict is Verdict.SKIPPED:
        pytest.skip(check_result.evidence)
    if check_result.verdict is Verdict.FAIL:
        pytest.fail(story(check_result), pytrace=False)
