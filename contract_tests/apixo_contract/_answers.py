"""Reading answers: never more of one, and never longer, than a run can bear."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from apixo_contract._observations import Picture
from apixo_contract._pictures import read_picture

# Answers of the API have some hundred bytes.
MOST_BYTES = 256 * 1024
# A result's head tells its size; pictures with long metadata need some more.
_HEAD_BYTES = 512 * 1024
# Seconds that a whole answer may take. The client's own limit is for each piece of it.
MOST_S = 60.0
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """What was read of an answer; ``trouble`` says why it is not all."""

    data: bytes
    trouble: str | None = None


def read_content(response: httpx.Response, clock: Callable[[], float]) -> Content:
    """Read an answer's body, decompressed, up to a limit.

    Args:
        response: An answer whose body is still to come.
        clock: Gives the time in seconds.

    Raises:
        httpx.TransportError: The connection broke off.
    """
    data = b""
    try:
        for data in _growing(response, clock):
            if len(data) > MOST_BYTES:
                return Content(data, f"the answer is longer than {MOST_BYTES:,} bytes")
    except TimeoutError as error:
        return Content(data, str(error))
    except httpx.DecodingError as error:
        coding = response.headers.get("content-encoding")
        return Content(data, f"the answer is no {coding}, as its Content-Encoding says: {error}")
    return Content(data)


def read_head(response: httpx.Response, clock: Callable[[], float]) -> Picture:
    """Read as much of a picture as tells its format and size.

    Raises:
        httpx.HTTPError: The connection broke off, or the picture cannot be decompressed.
        TimeoutError: It took too long.
    """
    for head in _growing(response, clock):
        picture = read_picture(head)
        if picture is not None:
            return picture
        if len(head) > _HEAD_BYTES:
            break
    return Picture(None, 0, 0)


def _growing(response: httpx.Response, clock: Callable[[], float]) -> Iterator[bytes]:
    """Give all that has come so far, each time that more has come."""
    until = clock() + MOST_S
    data = bytearray()
    for piece in response.iter_bytes(_PIECE):
        data += piece
        yield bytes(data)
        if clock() > until:
            raise TimeoutError(f"the answer had not ended after {MOST_S:.0f} s")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After`: seconds, or a date, which the answer's own `Date` is taken from."""
    value = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value)
        then = parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - then).total_seconds())
    except (ValueError, TypeError):
        return None
