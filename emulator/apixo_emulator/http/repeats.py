"""Calls that look like one before on their connection: told by their bytes, without the parser.

A client's calls differ in the task they poll or in the body they submit, and in nothing else. To compare
what stays saves 6 of the 24 us of a poll: the parser calls Python for every header.
"""

from __future__ import annotations

from typing import NamedTuple

from apixo_emulator.domain.wire import HttpRequest

_HEAD_END = b"\r\n\r\n"
_TASK_ID = b"?taskId="
_LINE_END = b" HTTP/1.1\r\n"
# Bytes of a head that is remembered; each connection has two at most.
_LONGEST = 4096


class Repeat(NamedTuple):
    """A call that may come again, with another middle between these bytes.

    The middle of a submit is its body, of ``length`` bytes; that of a poll is a task id.
    """

    start: bytes
    end: bytes
    length: int | None
    request: HttpRequest

    def read(self, data: bytes) -> HttpRequest | None:
        """Read a call, None where it is not this one again."""
        start, end, length, request = self
        if not data.startswith(start):
            return None
        method, path, query, headers, body, base_url = request
        if length is None:
            task_id = data[len(start) : -len(end)]
            # Letters and digits alone cannot end a line, so the rest is what it was.
            if not (data.endswith(end) and task_id.isalnum()):
                return None
            query = b"taskId=" + task_id
        elif len(data) != len(start) + length:
            return None
        else:
            body = data[len(start) :]
        return HttpRequest(method, path, query, headers, body, base_url)


def repeat_of(data: bytes, request: HttpRequest) -> Repeat | None:
    """Give how to tell ``request`` again, which was read from ``data`` alone; None where that is unsafe."""
    head_end = data.find(_HEAD_END) + len(_HEAD_END)
    if not len(_HEAD_END) <= head_end <= _LONGEST or data[head_end:] != request.body:
        return None
    if request.method == "POST":
        without_body = request._replace(body=b"")
        return Repeat(data[:head_end], b"", len(request.body), without_body)
    task_id = request.query.removeprefix(_TASK_ID[1:])
    start, _, end = data.partition(_TASK_ID + task_id + _LINE_END)
    if not (end and task_id.isalnum() and request.query != task_id):
        return None
    return Repeat(start + _TASK_ID, _LINE_END + end, None, request)
