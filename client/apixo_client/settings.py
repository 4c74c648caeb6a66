"""Where the API is and which key is used: from arguments, else from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from apixo_client.errors import ConfigurationError, is_loopback
from apixo_client.models import terms

API_KEY_VARIABLE = "APIXO_API_KEY"
BASE_URL_VARIABLE = "APIXO_BASE_URL"
HIGHEST_PORT = 65535


@dataclass(frozen=True)
class Settings:
    """The API key, and the base URL with the API's prefix and without a slash at the end."""

    api_key: str = field(repr=False)
    base_url: str

    @property
    def is_loopback(self) -> bool:
        """True if the base URL names this machine."""
        return is_loopback(httpx.URL(self.base_url).host)


def resolve_settings(
    api_key: str | None = None,
    base_url: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Return key and base URL: an argument wins over the environment, that over the default.

    Args:
        api_key: None reads `APIXO_API_KEY`.
        base_url: With or without ``/api/v1``; None reads `APIXO_BASE_URL`, else it is the live API.
        environ: Instead of `os.environ`.

    Raises:
        ConfigurationError: The key is missing or cannot be sent, or the base URL is unusable.
    """
    if environ is None:
        environ = os.environ
    key = api_key if api_key is not None else environ.get(API_KEY_VARIABLE, "")
    base = base_url if base_url is not None else environ.get(BASE_URL_VARIABLE, "")
    return Settings(_checked_key(key), _with_prefix(base or terms().live_base_url))


def _checked_key(key: str) -> str:
    # Keys from files and secret stores often end with a line end.
    key = key.strip()
    if not key:
        raise ConfigurationError(
            "No API key: an APIXO API key was expected. "
            f"Set the environment variable {API_KEY_VARIABLE}, or pass api_key=… to the client."
        )
    # A header takes no other characters. The key itself is not shown: errors end up in logs.
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(
            "The API key contains characters that no HTTP header can carry: printable ASCII was "
            f"expected. Check {API_KEY_VARIABLE} or api_key=… for quotes or a partial copy."
        )
    return key


def _with_prefix(base_url: str) -> str:
    """Return ``https://host/api/v1`` for that, for ``https://host`` and for both with a slash."""
    prefix = terms().prefix
    try:
        url = httpx.URL(base_url.strip())
        check_host(url)
    except httpx.InvalidURL as error:
        raise _bad_base_url() from error
    more = url.userinfo or url.query or url.fragment
    has_spaces = len(base_url.split()) > 1
    if url.scheme not in {"http", "https"} or not url.host or more or has_spaces:
        raise _bad_base_url()
    path = url.path.rstrip("/")
    while path.endswith(prefix):
        path = path.removesuffix(prefix).rstrip("/")
    return str(url.copy_with(raw_path=b"/")).rstrip("/") + path + prefix


def _bad_base_url() -> ConfigurationError:
    # The text given is not repeated: it may contain a password.
    return ConfigurationError(
        "The base URL cannot be used: an absolute http or https URL was expected, without "
        f"credentials, query or fragment, such as {terms().live_base_url}. "
        f"Check {BASE_URL_VARIABLE} or base_url=…."
    )


def check_host(url: httpx.URL) -> None:
    """Check what httpx checks only when it connects.

    Raises:
        httpx.InvalidURL: The host has no valid name, or the port is out of range.
    """
    try:
        url.host.encode("idna")
    except UnicodeError as error:
        raise httpx.InvalidURL(f"no host can have this name: {error}") from error
    if not 0 < (url.port or 1) <= HIGHEST_PORT:
        raise httpx.InvalidURL(f"there is no port {url.port}")
