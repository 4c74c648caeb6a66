"""The commands `record`, `diff` and `learn`, as one types them."""

import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kit.stub import IMAGE, KEY, Stub, serving
from kit_reports.samples import refuted, report

from apixo_contract import catalogue
from apixo_contract.cli import main
from apixo_schemas import load_profile

# Nobody listens at the port of a discarded service.
DEAD = "http://127.0.0.1:9/api/v1"
# A device that can be opened and not be written.
FULL = Path("/dev/full")
LIVE = "https://api.apixo.ai/api/v1"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("APIXO_", "GITHUB_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with serving() as found:
        yield found


def run(*arguments: str | Path, **environ: str) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=environ)


def quick(*more: str | Path) -> list[str | Path]:
    return ["--image-url", IMAGE, "--budget-usd", "0.03", "--examples", "0", *more]


# --- record --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_recorded_run_is_judged_again_offline(tmp_path: Path, base_url: str) -> None:
    tape, first, second = (tmp_path / name for name in ("run.jsonl", "a.json", "b.json"))
    done = run(
        *("record", "--base-url", base_url, "-o", tape, "--report", first),
        *quick(),
        APIXO_API_KEY=KEY,
    )
    assert done.exit_code == 0, done.output
    assert "The target keeps the contract" in done.output
    again = run("verify", "--cassette", tape, "--report", second)
    assert again.exit_code == 0, again.output
    assert json.loads(first.read_text("utf-8")) == json.loads(second.read_text("utf-8"))
    for path in (tape, first):
        assert KEY not in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("command", "option"),
    [("record", "-o"), ("verify", "--report"), ("verify", "--ledger"), ("diff", "--report")],
)
def test_nothing_is_sent_when_a_file_cannot_be_written(
    tmp_path: Path, command: str, option: str
) -> None:
    (tmp_path / "file").touch()
    target = (DEAD, DEAD) if command == "diff" else ("--base-url", DEAD)
    done = run(command, *target, "--api-key", KEY, option, tmp_path / "file" / "x.jsonl")
    assert done.exit_code == 2
    assert "apixo-contract: cannot write" in done.output


def test_a_target_that_is_not_there_is_exit_3_and_leaves_no_cassette(tmp_path: Path) -> None:
    tape = tmp_path / "run.jsonl"
    done = run("record", "--base-url", DEAD, "--api-key", KEY, "-o", tape)
    assert done.exit_code == 3, done.output
    assert "does not answer" in done.output
    assert list(tmp_path.iterdir()) == []


class Telling(Stub):
    def answer(self, *given: Any) -> tuple[int, dict[str, Any]]:
        status, envelope = super().answer(*given)
        return status, {**envelope, "hint": "sk-live-abcdefghijklmnop"}


@pytest.mark.slow
def test_a_cassette_with_somebody_s_key_is_not_written_but_the_report_is(tmp_path: Path) -> None:
    tape, path = tmp_path / "run.jsonl", tmp_path / "r.json"
    with serving(Telling) as base_url:
        arguments = ("record", "--base-url", base_url, "-o", tape, "--report", path)
        done = run(*arguments, *quick(), APIXO_API_KEY=KEY)
    assert done.exit_code == 2
    assert "The target keeps the contract" in done.output
    assert "apixo-contract: nothing was written: line " in done.output
    assert [found.name for found in tmp_path.iterdir()] == ["r.json"]


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_named_and_spares_all_else(tmp_path: Path, base_url: str) -> None:
    tape, page, junit = (tmp_path / name for name in ("run.jsonl", "r.html", "r.xml"))
    files = ("-o", tape, "--report", FULL, "--html", page, "--junit", junit)
    done = run("record", "--base-url", base_url, *files, *quick(), APIXO_API_KEY=KEY)
    assert done.exit_code == 2, done.output
    assert "The target keeps the contract" in done.output
    assert f"apixo-contract: cannot write {FULL}: No space left on device." in done.output
    assert all(path.stat().st_size for path in (tape, page, junit))


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "--report", "same", "--html", "./same"),
        ("verify", "--junit", "same", "--ledger", "same"),
        ("record", "--report", "same", "-o", "same"),
        ("verify", "--cassette", "same", "--report", "same"),
        ("learn", "--report", "same", "-o", "same"),
    ],
)
def test_two_options_never_name_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("same").write_text("kept", "utf-8")
    done = run(*arguments)
    assert (done.exit_code, done.output) == (
        2,
        "apixo-contract: two options name the file same. Name another file for one of them\n",
    )
    assert Path("same").read_text("utf-8") == "kept"


# --- diff ----------------------------------------------------------------------------------


class Absent(Stub):
    def answer(self, *given: Any) -> tuple[int, dict[str, Any]]:
        status, envelope = super().answer(*given)
        if status >= 400:
            del envelope["data"]
        return status, envelope


@pytest.mark.slow
def test_the_same_calls_go_to_both_and_differences_are_explained(
    tmp_path: Path, base_url: str
) -> None:
    path = tmp_path / "diff.json"
    with serving(Absent) as other:
        done = run("diff", base_url, other, *quick("--report", path), APIXO_API_KEY=KEY)
    assert done.exit_code == 1, done.output
    assert "assumption.error.data: What is data on an error?" in done.output
    assert "data, " in done.output
    value = json.loads(path.read_text("utf-8"))
    assert (value["left"], value["right"]) == (base_url, other)
    assert [check["id"] for check in value["checks"]] == ["assumption.error.data"]


def test_diff_needs_a_key() -> None:
    done = run("diff", DEAD, DEAD)
    assert done.exit_code == 2
    assert "Set the environment variable APIXO_API_KEY, or give --api-key." in done.output


def test_a_key_never_goes_to_another_host() -> None:
    done = run("diff", LIVE, "https://other.example/api/v1", "--api-key", KEY, "--live")
    assert done.exit_code == 2
    assert "must not go: give --api-key2, or set APIXO_API_KEY2" in done.output
    assert KEY not in done.output


def test_diff_tells_which_one_is_not_there() -> None:
    done = run("diff", DEAD, DEAD, "--api-key", KEY)
    assert done.exit_code == 3
    assert f"{DEAD} does not answer" in done.output


# --- learn ---------------------------------------------------------------------------------


def written(tmp_path: Path) -> Path:
    path = tmp_path / "r.json"
    found = report((refuted("retry_after", "date"), refuted("failed.charged", "refunded")))
    path.write_text(json.dumps(found.to_json()), "utf-8")
    return path


def test_learn_writes_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "live.toml"
    done = run("learn", "--report", written(tmp_path), "-o", path)
    assert (done.exit_code, done.output) == (0, f"{path}: 2 settings\n")
    assert load_profile(path).assumptions == {"retry_after": "date", "failed.charged": "refunded"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "r.json: expected a report of apixo-contract, found no JSON (Expecting property"),
        ("[" * 100_000, "r.json: expected a report of apixo-contract, found no JSON"),
        ('{"form": NaN}', "found no JSON (NaN is no number in JSON)"),
        (b"\xff", "found no JSON (expected a text in UTF-8, found the byte 0xff at 0; save it so)"),
        ("{}", "r.json: expected a report of form 1, found something else"),
    ],
)
def test_learn_refuses_what_is_no_report(tmp_path: Path, text: str | bytes, words: str) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = run("learn", "--report", path)
    assert done.exit_code == 2
    assert words in done.output


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("started", "soon\ud800", r"at $.started, 'soon\ud800' does not match"),
        ("measured", {"latency_ms": {"4k": [10**13]}}, "at $.measured.latency_ms['4k'][0]"),
        ("notes", {"\ud800": 1}, r"at $.notes['\ud800']"),
    ],
)
def test_learn_names_the_place_that_is_wrong(
    tmp_path: Path, member: str, value: Any, words: str
) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps({**report().to_json(), member: value}))
    done = run("learn", "--report", path)
    assert done.exit_code == 2, done.output
    assert f"r.json: this is no report: {words}" in done.output


ODD: list[Any] = [{"\ud800": ["\ud800"]}, {"error": [1, {"at": None}]}, 10**400, "one\ntwo = 2"]


@pytest.mark.parametrize("seen", ODD)
def test_learn_takes_whatever_was_observed(tmp_path: Path, seen: Any) -> None:
    names = [name for name in catalogue() if name.startswith("assumption.")]
    answer = '{"message": "\\ud800", "data": {"taskId": "a\\ud800{b}"}}'
    results = tuple(refuted(name.removeprefix("assumption."), seen, answer) for name in names)
    odd = {"target": "https://\ud800\nx = 1", "measured": {"latency_ms": {"a\nb\ud800": [1]}}}
    found = report(results, live=True, **odd).to_json()
    found["checks"][0]["source"] = "assumption of\nanother = 1\ud800"
    path, profile = tmp_path / "r.json", tmp_path / "p.toml"
    path.write_text(json.dumps(found))
    done = run("learn", "--report", path, "-o", profile)
    assert done.exit_code == 0, done.output
    learnt = load_profile(profile).assumptions
    assert done.output.startswith(f"{profile}: {len(learnt)} setting")
    # Without a file the profile is printed.
    printed = run("learn", "--report", path).output
    assert tomllib.loads(printed) == tomllib.loads(profile.read_text("utf-8"))
