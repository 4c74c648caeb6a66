"""Values of options that no run can use are told before anything is sent, on every way in."""

import re
from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner
from kit.stub import BASE, KEY

from apixo_contract import Settings, UsageError, verify
from apixo_contract.cli import main

# Nobody listens at the port of a discarded service: whatever is sent is exit 3, not 2.
DEAD = "http://127.0.0.1:9"
AMOUNT = "expected an amount in USD from 0 to 1000000, such as 0.10"
BAD = [
    ("--budget-usd", "nan", f"{AMOUNT}, found 'nan'"),
    ("--budget-usd", "1e999999999", f"{AMOUNT}, found '1e999999999'"),
    ("--budget-usd", "-1", f"{AMOUNT}, found '-1'"),
    ("--max-wait", "nan", "expected seconds from 0 to 86400, found 'nan'"),
    ("--examples", "-1", "expected an integer, 0 or more, found '-1'"),
    ("--seed", "-1", "expected an integer from 0 to 4294967295, found '-1'"),
]
BAD_ALONE = [
    ("--poll-interval", "nan", "expected seconds, more than 0 and at most 86400, found 'nan'"),
    ("--poll-interval", "0", "expected seconds, more than 0 and at most 86400, found '0'"),
    ("--callback-port", "65536", "expected a port from 1 to 65535, or 0 for a free one"),
    ("--callback-host", "a b", "name or address alone, such as 192.0.2.7 or ci.example.com, found"),
    ("--callback-host", "[::1]", "name or address alone"),
    ("--callback-host", "here:80", "name or address alone"),
    ("--callback-url", "nonsense", "expected an http or https URL without a fragment"),
    ("--callback-url", "https://here/#top", "expected an http or https URL"),
    ("--callback-url", "https://here:99999", "expected an http or https URL"),
    ("--image-url", "https://\udcff", "expected a text in UTF-8, found 'https://\\udcff'"),
]


def is_refused(arguments: tuple[str, ...], option: str, words: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2, done.output
    assert done.output.startswith(f"apixo-contract: {option}: expected")
    assert words in done.output
    assert len(done.output.splitlines()) == 1


@pytest.mark.parametrize(("option", "value", "words"), [*BAD, *BAD_ALONE])
def test_verify_names_the_option(option: str, value: str, words: str) -> None:
    target = ("--base-url", DEAD, "--api-key", KEY)
    is_refused(("verify", *target, option, value), option, words)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"budget_usd": Decimal("NaN")}, "--budget-usd: expected an amount"),
        ({"max_wait": 10**400}, "--max-wait: expected seconds"),
        ({"max_wait": "soon"}, "--max-wait: expected seconds from 0 to 86400, found 'soon'"),
        ({"callback_port": 1.5}, "--callback-port: expected a port"),
        ({"examples": True}, "--examples: expected an integer"),
    ],
)
def test_the_function_refuses_them_too(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        verify(DEAD, KEY, **given)


def test_a_password_in_a_wrong_url_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        Settings(BASE, KEY, callback_url="https://me:secret@tunnel.example/#x")
    assert "'https://…@tunnel.example/#x'" in str(caught.value)
