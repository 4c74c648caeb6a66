"""One test for each check of the catalogue; see `pytest_plugin` for the options."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apixo_contract.checks import catalogue
from apixo_contract.observations import Run
from apixo_contract.options import Unreachable, UsageError, settle
from apixo_contract.pytest_plugin import REPORT, STOPPED, given_options, with_suite_names
from apixo_contract.report.model import CheckResult, Report, Verdict
from apixo_contract.report.render import story
from apixo_contract.run import judge, observe


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> dict[str, CheckResult]:
    """The results by the ids of their checks, from the one run of the session."""
    try:
        report = _report(pytestconfig)
    except UsageError as error:
        words = with_suite_names(str(error))
        pytest.exit(f"apixo-contract: {words}", returncode=pytest.ExitCode.USAGE_ERROR)
    except Unreachable as error:
        pytest.exit(f"apixo-contract: {error}", returncode=pytest.ExitCode.INTERNAL_ERROR)
    pytestconfig.stash[REPORT] = report
    return {result.id: result for result in report.results}


def _report(config: pytest.Config) -> Report:
    def stopped(run: Run) -> None:
        config.stash[STOPPED] = run

    given = given_options(config)
    if not given["base_url"]:
        raise UsageError(
            "the tests of the contract need a target: add --base-url URL, such as "
            "http://127.0.0.1:8787, and the key as --api-key or APIXO_API_KEY"
        )
    settings = settle(given.pop("base_url"), given.pop("api_key"), given)
    return judge(observe(settings, stopped=stopped))


@pytest.mark.parametrize("check_id", list(catalogue()))
def test_contract(check_id: str, results: dict[str, CheckResult]) -> None:
    """The target keeps this promise; a refuted assumption is no failure."""
    result = results[check_id]
    evidence = with_suite_names(result.evidence)
    if result.verdict is Verdict.SKIPPED:
        pytest.skip(evidence)
    if result.verdict is Verdict.FAIL:
        pytest.fail(story(replace(result, evidence=evidence)), pytrace=False)
