"""``apixo-client listen``: shows callbacks as they come, with nothing else installed."""

from __future__ import annotations

import logging
import signal
import sys
from threading import Lock, Thread
from typing import TYPE_CHECKING

from apixo_client._errors import CallbackError
from apixo_client._progress import one_line
from apixo_client.webhooks import (
    NOT_A_POST,
    OK,
    CallbackReply,
    CallbackRequest,
    CallbackServer,
    SeenTasks,
    parse_callback,
)

if TYPE_CHECKING:
    from types import FrameType

    from apixo_client._models import Task


class _Printer:
    """Answers callbacks and prints each task once, from whichever thread received it."""

    def __init__(self, *, once: bool) -> None:
        self._once = once
        self._over = False
        self._seen = SeenTasks()
        self._lock = Lock()
        self.stop = lambda: None

    def answer(self, call: CallbackRequest) -> CallbackReply:
        """Return the reply to a call, after its task was printed."""
        if call.method != "POST":
            return NOT_A_POST
        try:
            task = parse_callback(call.body)
        except CallbackError as error:
            sys.stderr.write(f"apixo-client: not a callback: {one_line(str(error))}\n")
            return CallbackReply(400, str(error))
        with self._lock:
            self._show(task)
        return OK

    def _show(self, task: Task) -> None:
        if self._over or not self._seen.is_new(task):
            return
        what = task.result_urls or (task.fail_code or "", task.fail_message or "")
        words = (str(task.state), task.id, *what)
        sys.stdout.write(f"{one_line(' '.join(part for part in words if part))}\n")
        sys.stdout.flush()
        if self._once:
            self._over = True
            # On another thread, so that this call is answered meanwhile.
            Thread(target=self.stop).start()


def listen(host: str, port: int, *, once: bool = False) -> None:
    """Print callbacks until SIGINT or SIGTERM; port 0 takes a free one.

    Args:
        host: A name or an address, IPv4 or IPv6, of this machine.
        port: From 0 to 65535.
        once: End after the first callback.

    Raises:
        OSError: The address cannot be listened on.
        OverflowError: There is no such port.
        UnicodeError: There can be no such name.
    """
    logging.basicConfig(format="apixo-client: %(message)s")
    printer = _Printer(once=once)
    server = CallbackServer(printer.answer, host=host, port=port)
    printer.stop = server.stop

    def stop(_number: int, _frame: FrameType | None) -> None:
        # On another thread: `stop` waits for the loop that this handler interrupts.
        Thread(target=server.stop).start()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        sys.stdout.write(f"listening for callbacks on {server.url}/\n")
        sys.stdout.flush()
        server.serve()
    finally:
        server.close()
        for number, handler in before.items():
            signal.signal(number, handler)
