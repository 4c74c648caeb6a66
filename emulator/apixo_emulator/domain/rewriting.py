"""Sending callbacks somewhere else: the application names its public URL, its developer runs it locally."""

from collections.abc import Sequence

from apixo_emulator.domain.addresses import ANYWHERE, Target, parse_target
from apixo_emulator.domain.reach import AddressRefused

RewriteRule = tuple[str, str]
"""A prefix, made of an origin and whole path segments, and what stands in its place."""


def parse_rewrite(text: str) -> RewriteRule:
    """Read a rule written `A=B`, both absolute URLs without query and fragment.

    Raises:
        ValueError: the rule is malformed; the message says where.
    """
    prefix, equals, replacement = text.partition("=")
    if not equals:
        raise ValueError(
            "a rewrite rule has the form PREFIX=REPLACEMENT, "
            f"such as https://your-server.com=http://127.0.0.1:9000, found {text!r}"
        )
    return _whole("prefix", prefix), _whole("replacement", replacement)


def _whole(part: str, url: str) -> str:
    try:
        target = parse_target(url, ANYWHERE)
    except AddressRefused as refusal:
        raise ValueError(f"the {part} of a rewrite rule: {refusal}") from refusal
    if "?" in url or "#" in url:
        raise ValueError(f"the {part} of a rewrite rule has no query or fragment, found {url!r}")
    return target.url.rstrip("/")


def rewrite(url: str, rules: Sequence[RewriteRule]) -> str:
    """Apply the first rule whose prefix covers the URL's origin and whole segments of its path.

    Both sides are compared in canonical form, so that letter case, a default port or another spelling of an
    address makes no difference, and neither user information nor a longer host name passes for a prefix.

    Returns:
        The rewritten URL, or the URL as given when no rule matches or it cannot be read.
    """
    if not rules:
        return url
    try:
        target = parse_target(url, ANYWHERE)
    except AddressRefused:
        return url
    for prefix, replacement in rules:
        rest = _below(target, parse_target(prefix, ANYWHERE))
        if rest is not None:
            return replacement.rstrip("/") + rest
    return url


def _below(target: Target, prefix: Target) -> str | None:
    """Give what follows the prefix in the target's path, None when the prefix does not cover it."""
    if (target.scheme, target.host, target.port) != (prefix.scheme, prefix.host, prefix.port):
        return None
    segments = prefix.path.rstrip("/")
    rest = target.path.removeprefix(segments)
    covered = target.path.startswith(segments) and rest[:1] in {"", "/", "?"}
    return rest if covered else None
