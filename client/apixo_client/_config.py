"""Where the API is and who calls it: from arguments, else from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from apixo_client._contract import terms
from apixo_client._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

API_KEY_VARIABLE = "APIXO_API_KEY"
BASE_URL_VARIABLE = "APIXO_BASE_URL"
_HIGHEST_PORT = 65535


@dataclass(frozen=True)
class Settings:
    """The resolved settings. ``base_url`` ends with the API's prefix, without a slash."""

    api_key: str = field(repr=False)
    base_url: str


def resolve(
    api_key: str | None, base_url: str | None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Settle key and base URL: an argument wins over the environment, which wins over the default.

    Raises:
        ConfigurationError: The key is missing or cannot be sent, or the base URL is no base URL.
    """
    if environ is None:
        environ = os.environ
    key = api_key if api_key is not None else environ.get(API_KEY_VARIABLE, "")
    base = base_url if base_url is not None else environ.get(BASE_URL_VARIABLE, "")
    return Settings(_checked_key(key), normalise_base_url(base or terms().live_base_url))


def _checked_key(key: str) -> str:
    # Keys read from files and secret stores often bring a line end along.
    key = key.strip()
    if not key:
        raise ConfigurationError(
            "No API key: an APIXO API key was expected. "
            f"Set the environment variable {API_KEY_VARIABLE}, or pass api_key=… to the client."
        )
    # A header takes no other characters. The key itself is not shown: errors end up in logs.
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(
            "The API key holds characters that no HTTP header can carry: printable ASCII was "
            f"expected. Check {API_KEY_VARIABLE} or api_key=… for quotes or a partial copy."
        )
    return key


def normalise_base_url(base_url: str) -> str:
    """Give the base URL with the API's prefix exactly once and no slash at the end.

    ``https://api.apixo.ai``, ``https://api.apixo.ai/`` and ``https://api.apixo.ai/api/v1/`` all
    give ``https://api.apixo.ai/api/v1``.

    Raises:
        ConfigurationError: It is not an absolute http(s) URL without credentials, query, fragment.
    """
    prefix = terms().prefix
    scheme, _, rest = base_url.strip().partition("://")
    # Only the path is looked at: in http://api/v1 the host is called "api".
    host, _, path = rest.partition("/")
    path = f"/{path}".rstrip("/")
    while path.endswith(prefix):
        path = path.removesuffix(prefix).rstrip("/")
    root = f"{scheme}://{host}{path}"
    _check_url(root)
    return root + prefix


def _check_url(root: str) -> None:
    try:
        url = httpx.URL(root)
        check_host(url)
    except httpx.InvalidURL as error:
        raise _bad_base_url() from error
    plain = url.scheme in {"http", "https"} and url.host and not url.userinfo
    if not plain or any(char in "?#@" or char.isspace() for char in root):
        raise _bad_base_url()


def check_host(url: httpx.URL) -> None:
    """Look at what httpx looks at only when it calls the host.

    Raises:
        httpx.InvalidURL: The host's name is none, or its port.
    """
    try:
        url.host.encode("idna")
    except UnicodeError as error:
        raise httpx.InvalidURL(f"no host can have this name: {error}") from error
    if not 0 < (url.port or 1) <= _HIGHEST_PORT:
        raise httpx.InvalidURL(f"there is no port {url.port}")


def _bad_base_url() -> ConfigurationError:
    # The text given is not repeated: it may hold a password.
    return ConfigurationError(
        "The base URL cannot be used: an absolute http or https URL was expected, without "
        f"credentials, query or fragment, such as {terms().live_base_url}. "
        f"Check {BASE_URL_VARIABLE} or base_url=…."
    )
