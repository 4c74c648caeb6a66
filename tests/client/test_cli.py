"""The command: what it prints, and its exit codes."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from apixo_client.cli import Exit
from apixo_client.cli import main as command
from apixo_schemas import contract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

IMAGE = "https://example.com/in.jpg"


def main(arguments: list[str]) -> Any:
    """Run the command and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        command(arguments)
    return ended.value.code


@pytest.fixture
def service(new_service: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A service that the command talks to."""
    played = new_service("sync")
    monkeypatch.setenv("APIXO_API_KEY", "secret-key")
    monkeypatch.setenv("APIXO_BASE_URL", "https://api.test")
    with played.playing():
        yield played


def test_upscale_to_a_file(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.accept()
    service.state("processing")
    service.state("processing")
    service.succeed()
    service.answer(httpx.Response(200, content=b"picture"))
    out = tmp_path / "out.webp"
    assert main(["upscale", IMAGE, "-r", "8k", "-f", "webp", "-o", str(out)]) == Exit.DONE
    assert out.read_bytes() == b"picture"
    given = service.bodies[0]["input"]
    assert given["image_urls"] == [IMAGE]
    assert (given["resolution"], given["output_format"]) == ("8k", "webp")
    said = capsys.readouterr()
    assert said.out == f"{out}\n"
    assert said.err.splitlines() == ["task_1 pending", "task_1 processing", "task_1 success"]


@pytest.mark.parametrize(
    ("options", "name", "warned"),
    [
        ([], "out.jpg", False),
        ([], "out.JPEG", False),
        ([], "out.png", True),
        ([], "out", True),
        (["-f", "webp"], "out.webp", False),
        (["-f", "jpeg"], "out.jpg", False),
        (["-f", "png"], "out.jpg", True),
        (["-f", "gif"], "out.gif", False),
    ],
)
def test_a_suffix_that_does_not_fit_the_format_is_warned_of_before_it_costs(
    service: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    options: list[str],
    name: str,
    warned: bool,
) -> None:
    service.refuse(402)
    assert main(["upscale", IMAGE, *options, "-o", str(tmp_path / name)]) == Exit.REFUSED
    lines = capsys.readouterr().err.splitlines()
    assert ("give it a name that ends in" in lines[0]) is warned


def test_upscale_without_a_file_gives_the_url(
    service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    service.accept()
    service.succeed()
    assert main(["--base-url", "http://other.test", "upscale", IMAGE, "--poll-interval", "2"]) == 0
    assert capsys.readouterr().out == "https://files.test/out.webp\n"
    assert service.slept == [2.0]
    assert service.requests[0].url.host == "other.test"


def test_a_local_file_is_sent_along(service: Any, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(b"x")
    service.accept()
    service.succeed()
    assert main(["upscale", str(tmp_path / "in.png")]) == Exit.DONE
    assert service.bodies[0]["input"]["image_urls"] == ["data:image/png;base64,eA=="]


RESULT = {"resultJson": '{"resultUrls":["https://r.test/"]}'}
FAILED = {"failCode": "Timeout", "failMsg": "slow"}


@pytest.mark.parametrize(
    ("state", "fields", "out", "code"),
    [
        ("", {}, "running\n", Exit.DONE),
        ("success", RESULT, "success\nhttps://r.test/\n", Exit.DONE),
        ("failed", FAILED, "failed\nTimeout\nslow\n", Exit.FAILED),
    ],
)
def test_status(
    service: Any,
    capsys: pytest.CaptureFixture[str],
    state: str,
    fields: Any,
    *,
    out: str,
    code: int,
) -> None:
    service.state(state, **fields)
    assert main(["status", "task_1"]) == code
    assert capsys.readouterr().out == out


@pytest.mark.parametrize(
    ("status", "code"), [(400, Exit.REFUSED), (401, Exit.REFUSED), (500, Exit.UNAVAILABLE)]
)
def test_a_refusal_is_told(
    service: Any, capsys: pytest.CaptureFixture[str], status: int, code: Exit
) -> None:
    service.refuse(status, "because")
    assert main(["upscale", IMAGE]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"apixo-client: {status}: because")


def test_a_failed_task_is_told(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    service.accept()
    service.state("failed", failCode="SensitiveContent", failMsg="no")
    assert main(["upscale", IMAGE]) == Exit.FAILED
    said = capsys.readouterr().err
    assert "Task task_1 failed: SensitiveContent: no" in said
    assert "Go on with" not in said


def test_a_task_that_still_runs_can_be_gone_on_with(
    service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    service.accept()
    service.state("processing")
    assert main(["upscale", IMAGE, "--timeout", "5"]) == Exit.RUNNING
    assert "Go on with: apixo-client wait task_1" in capsys.readouterr().err


@pytest.mark.parametrize("answered", [True, False])
def test_an_interruption_tells_the_task(
    service: Any, capsys: pytest.CaptureFixture[str], *, answered: bool
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    if answered:
        service.accept()
        service.sleep = interrupt
    else:
        service.answer(KeyboardInterrupt())
    assert main(["upscale", IMAGE]) == Exit.INTERRUPTED
    assert ("apixo-client wait task_1" in capsys.readouterr().err) is answered


def test_a_result_that_cannot_be_saved_is_not_lost(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.accept()
    service.succeed()
    service.answer(httpx.Response(500, content=b"x"))
    assert main(["upscale", IMAGE, "-o", str(tmp_path / "out.jpg")]) == Exit.NOT_SAVED
    assert "The result is at https://files.test/out.webp" in capsys.readouterr().err


def test_wait_for_an_unknown_task_does_not_say_how_to_go_on(
    service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    service.refuse(404)
    assert main(["wait", "task_1"]) == Exit.REFUSED
    assert "go on with" not in capsys.readouterr().err


BYTE = "\udcff"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["upscale", ""],
        ["upscale", f"http://{BYTE}"],
        ["upscale", "missing.png"],
        ["upscale", "in.gif"],
        ["upscale", IMAGE, "-r", BYTE],
        ["upscale", IMAGE, "-o", ""],
        ["upscale", IMAGE, "-o", "."],
        ["upscale", IMAGE, "-o", "no-folder/out.jpg"],
        ["upscale", IMAGE, "--timeout", "-1"],
        ["upscale", IMAGE, "--timeout", "nan"],
        ["wait", "task_1", "-o", "no-folder/out.jpg"],
        ["status", ""],
        ["--base-url", "", "balance"],
        ["--base-url", "http://a:99999", "balance"],
        ["--base-url", "http://a..b", "balance"],
        ["--base-url", f"http://{BYTE}", "balance"],
        ["listen", "--port=99999"],
        ["listen", "--port=-1"],
        ["listen", "--port=\u0661"],
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_wrong_usage_is_told_before_anything_is_sent(
    service: Any, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments) == Exit.USAGE
    assert service.requests == []
    said = capsys.readouterr().err
    assert "expected" in said or "Usage: apixo-client" in said


def test_the_help_explains_codes_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    text = capsys.readouterr().out
    assert re.findall(r"(?m)^ +(\d+) ", text) == [str(code.value) for code in Exit]
    assert "APIXO_API_KEY" in text
    main(["upscale", "--help"])
    assert contract().defaults["resolution"] in capsys.readouterr().out


def test_the_command_as_installed() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("APIXO_")}
    command = [sys.executable, "-m", "apixo_client", "balance"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert ran.returncode == Exit.USAGE
    assert "Set the environment variable APIXO_API_KEY" in ran.stderr


def test_a_closed_output_ends_the_command_quietly(
    service: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    service.answer(httpx.Response(200, content=b'{"code":200,"message":"success","data":1}'))
    monkeypatch.setattr(sys, "stdout", Closed())
    assert main(["balance"]) == 1
    assert capsys.readouterr().err == ""


class _Full(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_output_that_is_full_is_told_and_a_result_is_not_lost(
    service: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", _Full())
    service.answer(httpx.Response(200, content=b'{"code":200,"message":"success","data":1}'))
    assert main(["balance"]) == 1
    assert "the output was not written: No space left" in capsys.readouterr().err
    service.accept()
    service.succeed()
    assert main(["upscale", IMAGE]) == Exit.NOT_SAVED
    assert "The result is at https://" in capsys.readouterr().err


def test_a_pipe_as_output_is_refused_before_it_costs(service: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert main(["upscale", IMAGE, "-o", str(tmp_path / "pipe")]) == Exit.USAGE
    assert service.requests == []
