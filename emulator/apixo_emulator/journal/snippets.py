"""A call of the journal, ready to be copied: as curl, as Python, as a test.

The texts come from whoever made the call, so each is quoted for the language that it is written in:
pasted, it does nothing but make the call.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pprint import pformat
from shlex import quote
from textwrap import indent

from apixo_emulator.domain.routes import Endpoint
from apixo_emulator.journal.call_filter import Facts
from apixo_emulator.journal.entry import JournalEntry
from apixo_emulator.journal.sent import Sent, Submit
from apixo_emulator.scenarios.catalogue import UnknownScenarioError, scenario
from apixo_schemas import contract

_KEY_HEADER = '"Authorization: Bearer $APIXO_API_KEY"'
_WIDTH = 88
# What a shell takes on one line without being hard to read.
_INDENT = " \\\n  "


def snippets(entry: JournalEntry, base_url: str | None = None) -> list[tuple[str, str]]:
    """Give a call by the names of what it is written in.

    The key is read from ``APIXO_API_KEY``. The call goes where it went, or to ``base_url``; the test
    to the live API's address, where the fixture answers it. What only makes sense with the same
    tasks on the server, a poll that was answered, has no test.
    """
    sent = Sent.of(entry, base_url)
    found = [("curl", curl(sent)), ("Python", python(sent))]
    test = pytest_test(entry)
    return found if test is None else [*found, ("pytest", test)]


def curl(sent: Sent) -> str:
    """Write a call for a POSIX shell."""
    how = "--head" if sent.method == "HEAD" else f"-X {quote(sent.method)}"
    words = [f"curl {how} {quote(sent.url)}"]
    if any(character in sent.url for character in "[]{}"):
        words.append("--globoff")
    if sent.with_key:
        words.append(f"-H {_KEY_HEADER}")
    words += [
        f"-H {quote(f'{name}: {value}' if value else f'{name};')}" for name, value in sent.headers
    ]
    if sent.body and not any(name.lower() == "content-type" for name, _ in sent.headers):
        words.append("-H 'Content-Type:'")  # curl would say that it is a form
    if sent.endpoint == Endpoint.FILE and sent.method != "HEAD":
        words.append(f"--output {quote(sent.url.rpartition('/')[2] or 'result')}")
    return _noted(sent, _piped(sent, words))


def _piped(sent: Sent, words: list[str]) -> str:
    """Append the body; bytes that are no text that a shell could take come through a pipe."""
    if not sent.body:
        return _INDENT.join(words)
    if sent.text is not None:
        return _INDENT.join([*words, f"--data-raw {quote(sent.text)}"])
    encoded = base64.b64encode(sent.body).decode()
    piped = _INDENT.join([*words, "--data-binary @-"])
    return f"printf %s {encoded} | base64 --decode | {piped}"


def python(sent: Sent) -> str:
    """Write a call in Python: with the client where it has a method for it, else with httpx."""
    asked = _with_client(sent)
    if asked is None:
        key = "f\"Bearer {os.environ['APIXO_API_KEY']}\""
        call = _with_httpx(sent, key)
        imports = "import os\n\nimport httpx\n\n" if sent.with_key else "import httpx\n\n"
        return _noted(sent, f"{imports}{call}print(response.status_code, response.text)\n")
    base_url = sent.url.partition(contract().prefix)[0] + contract().prefix
    return _noted(
        sent,
        "from apixo_client import Apixo\n\n"
        f"with Apixo(base_url={base_url!r}) as apixo:  # key from APIXO_API_KEY\n"
        f"    print(apixo.{asked})\n",
    )


def _with_client(sent: Sent) -> str | None:
    """Give the client's method and its arguments, None where it has none for this call."""
    plain = not [name for name, _ in sent.headers if name.lower() != "content-type"]
    if not sent.with_key or not plain or contract().prefix not in sent.url:
        return None
    submit = sent.submit
    if submit is not None:
        return f"submit({_arguments(submit)})"
    if sent.method != "GET" or sent.body:
        return None
    if sent.endpoint == Endpoint.STATUS and sent.task_id and sent.url.count("?taskId=") == 1:
        return f"status({sent.task_id!r})"
    return "balance()" if sent.endpoint == Endpoint.BALANCE and "?" not in sent.url else None


def _arguments(submit: Submit) -> str:
    options = {
        "resolution": submit.resolution,
        "output_format": submit.output_format,
        "callback_url": submit.callback_url,
    }
    given = (f"{name}={value!r}" for name, value in options.items() if value is not None)
    return ", ".join((repr(submit.image_url), *given))


def _with_httpx(sent: Sent, authorization: str) -> str:
    headers = [f"{name!r}: {value!r}" for name, value in sent.headers]
    arguments = [repr(sent.method), repr(sent.url)]
    document = sent.document
    if document is not None:
        # Then the media type goes without saying.
        headers = [one for one in headers if one.lower() != "'content-type': 'application/json'"]
    if sent.with_key:
        headers.insert(0, f"'Authorization': {authorization}")
    if headers:
        arguments.append(f"headers={{{', '.join(headers)}}}")
    if document is not None:
        written = pformat(document, width=_WIDTH, sort_dicts=False)
        arguments.append(f"json={written}".replace("\n", "\n     "))
    elif sent.body:
        arguments.append(f"content={sent.text if sent.text is not None else sent.body!r}")
    return "response = httpx.request(\n" + indent(",\n".join(arguments), "    ") + ",\n)\n"


def pytest_test(entry: JournalEntry) -> str | None:
    """Write a test that makes a call in process and expects the same answer."""
    if entry.task_id is not None and entry.endpoint != Endpoint.SUBMIT:
        return None
    sent = Sent.of(entry, contract().live_base_url)
    marker = _marker(entry)
    call = _with_httpx(sent, "'Bearer sk-test-0123456789'")
    imports = "import httpx\nimport pytest\n" if marker else "import httpx\n"
    body = indent(call + "".join(_checks(entry)), "    ")
    return _noted(sent, f"{imports}\n\n{marker}def test_call(apixo):\n{body}")


def _marker(entry: JournalEntry) -> str:
    """Ask for the scenario that a rule asked for; what an image URL asks for it asks for here, too."""
    if entry.rule is None or entry.scenario is None:
        return ""
    try:
        name = scenario(entry.scenario).name
    except UnknownScenarioError:
        return f"# A rule that is called {entry.scenario!r} decided: ask for the same.\n"
    return f"@pytest.mark.apixo(scenario={name!r})\n"


def _checks(entry: JournalEntry) -> Iterable[str]:
    yield f"assert response.status_code == {entry.status}\n"
    message = Facts(entry).message
    if message is not None:
        yield f'assert response.json()["message"] == {message!r}\n'


def _noted(sent: Sent, text: str) -> str:
    return text if sent.note is None else f"# {sent.note}\n{text}"
