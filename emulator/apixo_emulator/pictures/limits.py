"""How much a picture may cost."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """Bounds on sources and on what is kept of them.

    Attributes:
        source_pixels: width times height of the largest source, read from its header alone.
        source_bytes: length of the largest source.
        fetch_seconds: for fetching a source in all, redirects included.
        redirects: followed at most; each one's address is checked as the first was.
        kept_source_bytes: sources kept on disk, so that they can still be drawn when they have gone.
        kept_result_bytes: results kept on disk; an evicted one is rendered again.
        renders_at_once: threads that may render at the same time; an 8k WebP needs 180 MiB.
    """

    source_pixels: int = 100_000_000
    source_bytes: int = 50 * _MIB
    fetch_seconds: float = 10.0
    redirects: int = 5
    kept_source_bytes: int = 256 * _MIB
    kept_result_bytes: int = 1024 * _MIB
    renders_at_once: int = 2
