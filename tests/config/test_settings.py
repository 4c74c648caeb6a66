"""Options: where they come from, what they are read as, and what is said of a wrong one."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from apixo_client.cli import main as client
from apixo_contract.cli import main as kit
from apixo_emulator.cli import main
from apixo_emulator.config_file import config_schema, load_settings
from apixo_emulator.domain.accounts import AccountTerms, Rate
from apixo_emulator.domain.pictures import FetchMode
from apixo_emulator.settings import OPTIONS, Settings, SettingsError

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


def written(folder: Path, text: str, name: str = "apixo-emulator.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def loaded(folder: Path, config: Path | None = None, /, **environ: str) -> Settings:
    return load_settings(config=config, environ=environ, folder=folder)


def errors(folder: Path, text: str) -> list[str]:
    """The lines of the error, each without the name of the file."""
    path = written(folder, text)
    with pytest.raises(SettingsError) as raised:
        loaded(folder)
    lines = str(raised.value).split("\n")
    assert all(line.startswith(f"{path}: ") for line in lines), lines
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_options_and_accounts_are_read(tmp_path: Path) -> None:
    written(tmp_path, EXAMPLE)
    settings = loaded(tmp_path)
    assert (settings.port, settings.latency.fixed_ms) == (9000, None)
    assert settings.accounts == {
        "sk-team-a": AccountTerms(
            5_000_000, frozenset({"image-upscaler"}), Rate(5, 1.0, 10), concurrency=2
        ),
        "sk-team-b": AccountTerms(models=frozenset()),
    }


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    written(tmp_path, "seed = 1\nport = 1\nworkers = 2")
    environ = {"APIXO_EMULATOR_SEED": "2", "APIXO_EMULATOR_PORT": "2", "APIXO_EMULATOR_WORKERS": ""}
    settings = load_settings({"seed": "3"}, environ=environ, folder=tmp_path)
    assert (settings.seed, settings.port, settings.workers, settings.host) == (
        3, 2, 2, "127.0.0.1",
    )  # fmt: skip


def test_what_counts_more_wins_where_two_options_contradict(tmp_path: Path) -> None:
    written(tmp_path, 'data = "state"')
    assert loaded(tmp_path).data == tmp_path / "state"
    kept = loaded(tmp_path, APIXO_EMULATOR_EPHEMERAL="1")
    assert (kept.ephemeral, kept.data) == (True, None)
    with pytest.raises(SettingsError, match="give one of them"):
        load_settings({"ephemeral": True, "data": "x"}, environ={}, folder=tmp_path)


# As a file, the environment and Python write them.
SPELLINGS: list[tuple[str, str, Any, Any]] = [
    ("host", "::1", "::1", "::1"),
    ("port", "0", 0, 0),
    ("data", "state", Path("state"), Path("state")),
    ("ephemeral", "true", True, True),
    ("workers", "2", 2, 2),
    ("api_key", "sk-one sk-two", ["sk-one", "sk-two"], ("sk-one", "sk-two")),
    ("balance", "7.25", 7.25, 7_250_000),
    ("seed", "3", 3, 3),
    ("rate", "100", 100, 100.0),
    ("fetch", "Public", FetchMode.PUBLIC, FetchMode.PUBLIC),
    ("callback_retries", "1, 2.5", [1, 2.5], (1000, 2500)),
    ("callback_retries", " ", [], ()),
    (
        "callback_rewrite",
        "https://a.example=http://127.0.0.1:9",
        "https://a.example=http://127.0.0.1:9",
        (("https://a.example", "http://127.0.0.1:9"),),
    ),
    ("keep_alive", "5", 5, 5.0),
    ("quiet", "no", False, False),
]


@pytest.mark.parametrize(("name", "text", "value", "read"), SPELLINGS)
def test_every_spelling_is_read_alike(
    tmp_path: Path, name: str, text: str, value: Any, read: Any
) -> None:
    variable = f"APIXO_EMULATOR_{name.upper()}"
    assert getattr(loaded(tmp_path, **{variable: text}), name) == read
    assert getattr(Settings.of(**{name: value}), name) == read


def test_the_published_schema_takes_what_is_read_and_refuses_what_is_not(tmp_path: Path) -> None:
    schema = config_schema()
    Draft202012Validator.check_schema(schema)
    files = Draft202012Validator(json.loads(json.dumps(schema)))
    assert files.is_valid(tomllib.loads(EXAMPLE))
    for name, _, value, _ in SPELLINGS:
        written_value = str(value) if isinstance(value, Path) else value
        assert files.is_valid({name: written_value, "quiet": True}), name
    for wrong in ("port = -1", "prot = 1", "log-format = 'jsn'", "[[account]]\nkye = 'a'"):
        written(tmp_path, wrong)
        assert not files.is_valid(tomllib.loads(wrong))
        with pytest.raises(SettingsError):
            loaded(tmp_path)


def test_paths_of_a_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    written(tmp_path, "", "rules.toml")
    path = written(tmp_path, 'data = "state"\nimages = "pictures"\nscenarios = "rules.toml"')
    settings = loaded(Path("/nowhere"), path)
    assert settings.data == tmp_path / "state"
    assert settings.images == tmp_path / "pictures"
    assert settings.scenarios == tmp_path / "rules.toml"


def test_the_own_file_wins_over_the_projects_and_a_named_one_over_both(tmp_path: Path) -> None:
    project = written(tmp_path, "[tool.apixo-emulator]\nseed = 1\n", "pyproject.toml")
    assert loaded(tmp_path).seed == 1
    written(tmp_path, "seed = 2\n")
    other = written(tmp_path, "seed = 3\n", "other.toml")
    assert loaded(tmp_path).seed == 2
    assert loaded(tmp_path, other).seed == 3
    assert loaded(tmp_path, APIXO_EMULATOR_CONFIG=str(other)).seed == 3
    assert loaded(tmp_path, project).seed == 1


@pytest.mark.parametrize(
    "text", ["[tool.other]\nport = 1\n", "{{ a template }}", "", "[tool]\nother = 1"]
)
def test_without_a_table_of_ours_a_project_says_nothing(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path) == Settings()
    project = written(tmp_path, text, "pyproject.toml")
    assert loaded(tmp_path) == Settings()
    with pytest.raises(SettingsError, match=r"pyproject\.toml"):
        loaded(tmp_path, project)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("prot = 9000", "prot: expected an option or [[account]], found 'prot'. Did you mean port?"),
        ("port = true", "port: expected an integer from 0 to 65535, found true"),
        ("port = 99999", "port: expected an integer from 0 to 65535, found 99999"),
        ("workers = 0", "workers: expected an integer from 1 to 256, found 0"),
        ("quiet = 1", "quiet: expected true or false, found 1"),
        ('log_format = "jsn"', "log_format: expected one of text, json, found 'jsn'. Did you mean json?"),
        ("log-format = 1", "log_format: expected one of text, json, found 1"),
        ("host = []", "host: expected an address such as 127.0.0.1, found an empty list"),
        ("data = 5", "data: expected a path, found 5"),
        ("seed = 1.5", "seed: expected an integer from 0 to 9223372036854775807, found 1.5"),
        ("rate = nan", "rate: expected a number from 0 to 1e+06, found nan"),
        ("rate = -1", "rate: expected a number from 0 to 1e+06, found -1"),
        ('rate = "fast"', "rate: expected a number from 0 to 1e+06, found 'fast'"),
        ("balance = nan", "balance: expected an amount in USD such as 100 or 0.05, found 'nan': at least 0, at most 1,000,000,000, six decimals"),
        ("latency = -1", "latency: expected fast, realistic or milliseconds from 0 to 86400000, found '-1'"),
        ("latency = []", "latency: expected fast, realistic or milliseconds from 0 to 86400000, found 'an empty list'"),
        ("api_key = 5", "api_key: expected a key of printable ASCII without spaces around it"),
        ("accounts = []", "accounts: expected an option or [[account]], found 'accounts'. Did you mean account?"),
        ("world-per-key = true\nworld_per_key = true", "world_per_key: expected once, found it with - and with _"),
        ("[account]\nkey = 'a'", "account: expected [[account]], with two brackets, for each account, found a table"),
        ("port = = 1", "expected valid TOML; found: Invalid value (at line 1, column 8)."),
        ('scenarios = "none.toml"', "scenarios: {folder}/none.toml: cannot be read: No such file or directory."),
        ('images = "none"', "images: expected a folder, found '{folder}/none'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_name(tmp_path: Path, text: str, line: str) -> None:
    assert errors(tmp_path, text) == [line.replace("{folder}", str(tmp_path))]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('kye = "a"', "account[0].kye: expected one of the keys key, balance"),
        ('key = " a"', "account[0].key: expected an API key: a text of printable ASCII"),
        ("key = 5", "account[0].key: expected an API key: a text of printable ASCII"),
        ('key = "ä"', "account[0].key: expected an API key: a text of printable ASCII"),
        ('key = "a"\nbalance = "much"', "account[0].balance: expected an amount in USD"),
        ('key = "a"\nbalance = inf', "account[0].balance: expected a finite number"),
        ('key = "a"\nmodels = "image-upscaler"', "account[0].models: expected a list of the models"),
        ('key = "a"\nmodels = ["image-upscalr"]', "Did you mean image-upscaler?"),
        ('key = "a"\nmodels = [""]', "account[0].models[0]: expected image-upscaler"),
        ('key = "a"\nrate = { calls = nan }', "account[0].rate.calls: expected a finite number"),
        ('key = "a"\nrate = { calls = 1, burst = 0 }', "account[0].rate.burst: expected an"),
        ('key = "a"\nrate = { call = 5 }', "Did you mean calls?"),
        ('key = "a"\nrate = { per_s = 5 }', "calls is missing"),
        ('key = "a"\nrate = { calls = 1, per_s = 0 }', "account[0].rate.per_s: expected seconds"),
        ('key = "a"\nrate = 5', "account[0].rate: expected a table with calls"),
        ('key = "a"\nconcurrency = 0', "account[0].concurrency: expected an integer from 1"),
        ('key = "a"\nconcurency = 1', "Did you mean concurrency?"),
        ("balance = 1", "key is missing"),
        ('key = "a"\n[[account]]\nkey = "a"', "account[1].key: expected a key that no other"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_account_is_told_with_its_place(
    tmp_path: Path, line: str, words: str
) -> None:
    found = errors(tmp_path, f"[[account]]\n{line}")
    assert any(words in line for line in found), found


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = "port = -1\nprot = 1\nlatency = 'slow'\n[[account]]\nbalance = 1"
    told = [line.partition(":")[0] for line in errors(tmp_path, text)]
    assert sorted(told) == ["account[0]", "latency", "port", "prot"]


@pytest.mark.parametrize(
    "text",
    [
        'api_key = "{} "',
        'api_key = ["{}", 5]',
        'control_token = "{}!"',
        'store = "mysql://me:{}@db/x"',
        'port = "{}"',
        '[[account]]\nkey = "{} "',
        '[[account]]\nkey = "{}"\n[[account]]\nkey = "{}"',
        '[[account]]\nkey = "{}"\nbalance = -1',
        "[accounts]\n{} = 1",
        "{} = 1",
        '[[account]]\n{} = "5.00"',
    ],
)
def test_no_error_shows_a_key(tmp_path: Path, text: str) -> None:
    secret = "sk-live-0123456789abcdef"
    path = written(tmp_path, text.replace("{}", secret))
    with pytest.raises(SettingsError) as raised:
        loaded(tmp_path, path)
    assert "0123456789" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml: cannot be read: No such file"):
        loaded(tmp_path, tmp_path / "missing.toml")
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        loaded(tmp_path, tmp_path)
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b"port = 1\n# \xff\n")
    with pytest.raises(SettingsError, match=r"bad\.toml: expected UTF-8; found the byte 0xff"):
        loaded(tmp_path, bad)


@given(st.text(max_size=60))
def test_any_text_is_read_or_told_in_words(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, "utf-8", errors="replace")
    try:
        loaded(path.parent, path)
    except SettingsError as error:
        assert str(error).startswith(str(path))  # noqa: PT017 - a text that is read is fine, too


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serve", "--prot", "1"], "expected an option that exists, found --prot. Did you mean --port? See `apixo-emulator serve --help`."),
        (["serve", "--port", "x"], "--port: expected an integer from 0 to 65535, found 'x'"),
        (["serve", "--cors", "al"], "--cors: expected one of loopback, any, off, found 'al'"),
        (["finish"], "expected TASK_ID, found nothing. See `apixo-emulator finish --help`."),
        (["serve", "--port"], "--port: expected a value, found nothing."),
        (["serve", "--quiet=1"], "--quiet: expected no value, found one."),
        (["tasks", "--limit", "0"], "--limit: expected an integer from 1 to 1000, found '0'"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(arguments: list[str], line: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"apixo-emulator: {line}\n")


@pytest.mark.parametrize("program", [main, kit, client], ids=["emulator", "contract", "client"])
def test_each_command_tells_wrong_usage_in_one_line(program: Any) -> None:
    done = CliRunner().invoke(program, ["--hlep"])
    line = f"{program.name}: expected an option that exists, found --hlep. Did you mean --help?"
    assert (done.exit_code, done.stderr) == (2, f"{line} See `{program.name} --help`.\n")


@pytest.mark.parametrize("option", ["-h", "--help", "--version"])
@pytest.mark.parametrize("program", [main, kit, client], ids=["emulator", "contract", "client"])
def test_each_command_has_help_and_a_version(
    program: Any, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        program([option])
    assert not ended.value.code
    assert (
        version("apixo-emulator") if option == "--version" else "COMMAND"
    ) in capsys.readouterr().out


def test_the_help_shows_each_option_with_its_default_and_choices() -> None:
    shown = " ".join(CliRunner().invoke(main, ["serve", "-h"]).stdout.split())
    for option in OPTIONS.values():
        assert option.flag in shown
        assert option.default in shown
        assert "|".join(option.type.choices) in shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("apixo-emulator scenario add Sens", "SensitiveContent"),
        ("apixo-emulator serve --log-format j", "json"),
        ("apixo-emulator sce", "scenario"),
        ("apixo-client upscale -r 2", "2k"),
        ("apixo-client upscale --form", "--format"),
    ],
)
def test_the_shell_completes_names(words: str, expected: str) -> None:
    name = words.split(maxsplit=1)[0]
    environ = {
        f"_{name.upper().replace('-', '_')}_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    program = {"apixo-emulator": main, "apixo-client": client}[name]
    assert f"plain,{expected}\n" in CliRunner(env=environ).invoke(program).stdout
