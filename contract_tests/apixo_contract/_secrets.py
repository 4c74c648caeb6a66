"""Secrets in what is kept: masked where they are known to stand, looked for everywhere else."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256

from apixo_contract._masking import SHORTEST_KEY, spellings

# Headers that carry a secret by their purpose.
_HEADERS = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-amz-security-token",
        "x-api-key",
    }
)
# A link that opens without a key is signed: its signature is the key.
_SIGNED = re.compile(
    r"(?i)((?:[?&]|\\+u0026)(?:x-(?:amz|goog)-[a-z-]+|signature|sig|access_token|token|key-pair-id|policy"
    r"|awsaccesskeyid|ossaccesskeyid)=)([^&#\"'\\\s]+)"
)
# The texts that stand for a key, and the made-up keys of a run.
_HARMLESS = re.compile(r"\$APIXO_API_KEY|sk-contract-[0-9a-f]{8}-no-such-key|masked-[0-9a-f]{8}")
_KEY_LIKE = {
    "an API key": re.compile(r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"),
    "a bearer token": re.compile(r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{8,}=*"),
    "an AWS key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a JSON Web Token": re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}"),
}


def scrubbed(text: str) -> str:
    """Give a text with the signatures of its links masked; equal ones stay equal."""
    return _SIGNED.sub(lambda found: found[1] + _masked(found[2]), text)


def scrubbed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Give headers with their secrets masked."""
    return {
        name: _masked(value)
        if name.lower() in _HEADERS and not _HARMLESS.search(value)
        else scrubbed(value)
        for name, value in headers.items()
    }


def _masked(value: str) -> str:
    if _HARMLESS.fullmatch(value):
        return value
    return f"masked-{sha256(value.encode()).hexdigest()[:8]}"


def find_secret(text: str, keys: Iterable[str] = ()) -> str | None:
    """Say what a text seems to give away, in words that do not repeat it; None for nothing.

    Args:
        text: What is to be kept.
        keys: The keys in use, looked for as they are and in the usual ways of writing them.
    """
    for key in keys:
        if len(key) < SHORTEST_KEY:
            continue
        if spellings(key).search(text) or any(form in text for form in _encoded(key)):
            return "the API key in use"
    rest = _HARMLESS.sub("", text)
    for kind, pattern in _KEY_LIKE.items():
        if found := pattern.search(rest):
            return f"what looks like {kind} ({found[0][:4]}…, {len(found[0])} characters)"
    return None


def _encoded(key: str) -> set[str]:
    encoded = base64.b64encode(key.encode()).decode().rstrip("=")
    return {encoded, base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")}
