"""The config file: what it sets, and what it says when something in it is wrong."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_emulator.config import Config, ConfigError, load_config, option_types
from apixo_emulator.domain.limits import AccountTerms, Rate
from apixo_emulator.domain.pictures import FetchMode
from apixo_emulator.settings import Settings

EXAMPLE = """
port = 9000
latency = "realistic"

[[account]]
key = "sk-team-a"
balance = "5.00"
models = ["image-upscaler"]
rate = { calls = 5, per_s = 1, burst = 10 }
concurrency = 2

[[account]]
key = "sk-team-b"
models = []
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def written(folder: Path, text: str, name: str = "apixo-emulator.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def errors(folder: Path, text: str) -> list[str]:
    """The lines of the error, each without the name of the file."""
    path = written(folder, text)
    with pytest.raises(ConfigError) as raised:
        load_config(None, folder)
    lines = str(raised.value).split("\n")
    assert all(line.startswith(f"{path}:") for line in lines), lines
    return [line.removeprefix(f"{path}:") for line in lines]


def test_options_and_accounts_are_read(folder: Path) -> None:
    config = load_config(None, written(folder, EXAMPLE).parent)
    assert config.path == folder / "apixo-emulator.toml"
    assert config.options == {"port": 9000, "latency": "realistic"}
    assert config.accounts == {
        "sk-team-a": AccountTerms(
            5_000_000, frozenset({"image-upscaler"}), Rate(5, 1.0, 10), concurrency=2
        ),
        "sk-team-b": AccountTerms(models=frozenset()),
    }
    settings = Settings(**config.options, accounts=config.accounts)
    assert (settings.port, settings.latency) == (9000, "realistic")


def test_every_option_of_serve_can_be_set(folder: Path) -> None:
    (folder / "pictures").mkdir()
    written(folder, "", "rules.toml")
    values = {
        "host": '"::1"',
        "port": "0",
        "data": '"state"',
        "ephemeral": "false",
        "workers": "2",
        "api-key": '["sk-one", "sk-two"]',
        "balance": "7.25",
        "latency": "250",
        "seed": "3",
        "rate": "100",
        "scenarios": '"rules.toml"',
        "world-per-key": "true",
        "images": '"pictures"',
        "fetch": '"Public"',
        "log_format": '"json"',
        "quiet": "true",
        "callback_rewrite": '"https://a.example=http://127.0.0.1:9"',
    }
    path = written(folder, "\n".join(f"{name} = {value}" for name, value in values.items()))
    options = load_config(path, Path("/nowhere")).options
    assert set(options) == {name.replace("-", "_") for name in values}
    settings = Settings(**options)
    assert settings.api_key == ("sk-one", "sk-two")
    assert (settings.balance_micros(), settings.task_latency().fixed_ms) == (7_250_000, 250)
    assert settings.images == folder / "pictures"
    assert settings.fetch is FetchMode.PUBLIC
    assert settings.callback_rewrite == ("https://a.example=http://127.0.0.1:9",)
    assert settings.rate == 100.0


def test_the_file_has_a_name_for_each_flag() -> None:
    assert set(option_types()) == {entry.name for entry in fields(Settings)} - {"accounts"}


def test_the_table_of_a_project_is_read_and_paths_are_relative_to_it(folder: Path) -> None:
    text = '[project]\nname = "x"\n[tool.apixo-emulator]\nseed = 7\ndata = "state"\n'
    written(folder, text, "pyproject.toml")
    assert load_config(None, folder).options == {"seed": 7, "data": folder / "state"}


def test_the_own_file_wins_over_the_projects_and_the_explicit_one_over_both(folder: Path) -> None:
    written(folder, "[tool.apixo-emulator]\nseed = 1\n", "pyproject.toml")
    written(folder, "seed = 2\n")
    other = written(folder, "seed = 3\n", "other.toml")
    assert load_config(None, folder).options == {"seed": 2}
    assert load_config(other, folder).options == {"seed": 3}
    assert load_config(folder / "pyproject.toml", folder).options == {"seed": 1}


@pytest.mark.parametrize(
    "text", ["[tool.other]\nport = 1\n", "{{ a template }}", "", "[tool]\nother = 1"]
)
def test_without_a_table_of_ours_a_project_says_nothing(folder: Path, text: str) -> None:
    assert load_config(None, folder) == Config()
    project = written(folder, text, "pyproject.toml")
    assert load_config(None, folder) == Config()
    with pytest.raises(ConfigError, match=r"pyproject\.toml"):
        load_config(project, folder)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("\nprot = 9000\n", ["2: prot: expected an option or [[account]]; found 'prot'. Did you mean port?"]),
        ('port = "9000"', ["1: port: expected an integer; found '9000'."]),
        ("port = true", ["1: port: expected an integer; found true."]),
        ("port = 99999", ["1: port: expected 0 to 65535, found 99999."]),
        ("workers = 0", ["1: workers: expected at least 1, found 0."]),
        ("quiet = 1", ["1: quiet: expected true or false; found 1."]),
        ('log_format = "jsn"', ["1: log_format: expected one of text, json; found 'jsn'. Did you mean json?"]),
        ("log_format = 1", ["1: log_format: expected one of text, json; found 1."]),
        ("host = []", ["1: host: expected a text; found an empty list."]),
        ("data = 5", ["1: data: expected a path, a text; found 5."]),
        ("seed = 1.5", ["1: seed: expected an integer; found 1.5."]),
        ("rate = nan", ["1: rate: expected a rate from 0 to 1e+06, found nan."]),
        ("rate = -1", ["1: rate: expected a rate from 0 to 1e+06, found -1.0."]),
        ("balance = nan", ["1: balance: expected an amount in USD such as 100 or 0.05, found 'nan': at least 0, at most 1,000,000,000, six decimals."]),
        ("latency = -1", ["1: latency: expected fast, realistic or milliseconds from 0 to 86400000, found '-1'."]),
        ('rate = "fast"', ["1: rate: expected a number; found 'fast'."]),
        ("api_key = 5", ["1: api_key: expected a text, or a list of texts."]),
        ("accounts = []", ["1: accounts: expected an option or [[account]]; found 'accounts'. Did you mean account?"]),
        ("world-per-key = true\nworld_per_key = true", ["2: world_per_key: expected once; found 'world_per_key' before, too."]),
        ("[account]\nkey = 'a'", ["1: account: expected [[account]], with two brackets, for each account; found a table."]),
        ("port = = 1", ["1: expected valid TOML; found: Invalid value."]),
        ('port = 1\nhost = "a', ["2: expected valid TOML; found: Unterminated string."]),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_the_nearest_name(
    folder: Path, text: str, lines: list[str]
) -> None:
    assert errors(folder, text) == lines


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('kye = "a"', "account[0].kye: expected one of the keys key, balance"),
        ('key = " a"', "account[0].key: expected an API key: a text of printable ASCII"),
        ("key = 5", "account[0].key: expected an API key: a text of printable ASCII"),
        ('key = "ä"', "account[0].key: expected an API key: a text of printable ASCII"),
        ('key = ""', "account[0].key: expected an API key: a text of printable ASCII"),
        ('key = "a"\nbalance = "much"', "account[0].balance: expected an amount in USD"),
        ('key = "a"\nbalance = -1', "account[0].balance: expected an amount in USD"),
        ('key = "a"\nbalance = inf', "account[0].balance: expected a finite number"),
        (
            'key = "a"\nmodels = "image-upscaler"',
            "account[0].models: expected a list of the models",
        ),
        ('key = "a"\nmodels = ["image-upscalr"]', "Did you mean image-upscaler?"),
        (
            'key = "a"\nmodels = ["nope"]',
            "3: account[0].models[0]: expected image-upscaler, the model that is served, or an empty",
        ),
        ('key = "a"\nmodels = [""]', "account[0].models[0]: expected image-upscaler"),
        ('key = "a"\nmodels = [nan]', "account[0].models[0]: expected a finite number"),
        ('key = "a"\nbalance = nan', "account[0].balance: expected a finite number"),
        ('key = "a"\nrate = { calls = -1 }', "account[0].rate.calls: expected an integer from 1"),
        ('key = "a"\nrate = { calls = nan }', "account[0].rate.calls: expected a finite number"),
        ('key = "a"\nrate = { calls = 1, burst = 0 }', "account[0].rate.burst: expected an"),
        ('key = "a"\nconcurrency = -1', "account[0].concurrency: expected an integer from 1"),
        ('key = "a"\nconcurency = 1', "Did you mean concurrency?"),
        ('key = "a"\nrate = { call = 5 }', "Did you mean calls?"),
        ('key = "a"\nrate = { per_s = 5 }', "calls is missing"),
        ('key = "a"\nrate = { calls = 0 }', "account[0].rate.calls: expected an integer from 1"),
        ('key = "a"\nrate = { calls = 1, per_s = 0 }', "account[0].rate.per_s: expected seconds"),
        ('key = "a"\nrate = 5', "account[0].rate: expected a table with calls"),
        ('key = "a"\nconcurrency = 0', "account[0].concurrency: expected an integer from 1"),
        ("balance = 1", "key is missing"),
        ('key = "a"\n[[account]]\nkey = "a"', "account[1].key: expected a key that no other"),
    ],
)
def test_a_mistake_in_an_account_is_told_with_its_place(
    folder: Path, line: str, words: str
) -> None:
    found = errors(folder, f"[[account]]\n{line}")
    assert any(words in line for line in found), found


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(folder: Path) -> None:
    text = (
        'prt = 1\n[[account]]\nkey = "a"\nconcurrency = 0\n[[account]]\nkey = "b"\nrate = 1\n[x]\n'
    )
    assert [line.partition(":")[0] for line in errors(folder, text)] == ["1", "4", "7", "8"]


def test_a_whole_number_may_be_written_with_a_point(folder: Path) -> None:
    written(folder, '[[account]]\nkey = "a"\nconcurrency = 2.0\nrate = { calls = 3.0 }')
    [terms] = load_config(None, folder).accounts.values()
    assert terms == AccountTerms(rate=Rate(3, 1.0, 3), concurrency=2)
    assert isinstance(terms.concurrency, int)


@pytest.mark.parametrize(
    "text",
    [
        'api_key = "{} "',
        'api_key = ["{}", 5]',
        'control_token = "{}!"',
        'store = "mysql://me:{}@db/x"',
        '[[account]]\nkey = "{} "',
        '[[account]]\nkey = "{}"\n[[account]]\nkey = "{}"',
        '[[account]]\nkey = "{}"\nbalance = -1',
        "[accounts]\n{} = 1",
        "{} = 1",
        '[[account]]\n{} = "5.00"',
    ],
)
def test_no_error_shows_a_key(folder: Path, text: str) -> None:
    secret = "sk-live-0123456789abcdef"
    path = written(folder, text.replace("{}", secret))
    with pytest.raises(ConfigError) as raised:
        load_config(path, folder)
    assert "0123456789" not in str(raised.value)


def test_a_config_as_text_shows_no_key(folder: Path) -> None:
    written(folder, f'api_key = "sk-other-key"\n{EXAMPLE}')
    shown = repr(load_config(None, folder))
    assert "sk-" not in shown


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    missing = folder / "missing.toml"
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read: No such file"):
        load_config(missing, folder)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(folder, folder)
    bad = folder / "bad.toml"
    bad.write_bytes(b"port = 1\n# \xff\n")
    with pytest.raises(ConfigError, match=r"bad\.toml:2: expected UTF-8; found the byte 0xff"):
        load_config(bad, folder)
    deep = written(folder, f"x = {'[' * 5000}")
    with pytest.raises(ConfigError, match="too deep"):
        load_config(deep, folder)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(folder: Path) -> None:
    path = folder / "apixo-emulator.toml"
    path.write_bytes(b"\xef\xbb\xbfport = 1\r\n\r\nseed = 5\r\n")
    assert load_config(None, folder).options == {"port": 1, "seed": 5}
    path.write_bytes(b"\xef\xbb\xbfport = 1\r\n\r\nseeed = 5\r\n")
    with pytest.raises(ConfigError, match=r"toml:3: seeed"):
        load_config(None, folder)


@given(st.text(max_size=60))
def test_any_text_is_read_or_told_in_words(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, "utf-8", errors="replace")
    try:
        load_config(path, path.parent)
    except ConfigError as error:
        assert str(error).startswith(str(path))  # noqa: PT017 - a text that is read is fine, too
