"""The two ways to carry out a flow. They do what it says and know nothing of what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from apixo_client._flows import Sleep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from apixo_client._flows import Flow, T


def drive(flow: Flow[T], http: httpx.Client, sleep: Callable[[float], object]) -> T:
    """Carry out a flow and give its outcome."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Sleep):
                sleep(step.seconds)
                step = next(flow)
                continue
            try:
                # Neither the client's own credentials nor a redirect come in between.
                answer = http.send(step.request, auth=None, follow_redirects=False)
            except httpx.RequestError as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as done:
        outcome: T = done.value
        return outcome


async def adrive(
    flow: Flow[T], http: httpx.AsyncClient, sleep: Callable[[float], Awaitable[object]]
) -> T:
    """Carry out a flow and give its outcome."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Sleep):
                await sleep(step.seconds)
                step = next(flow)
                continue
            try:
                answer = await http.send(step.request, auth=None, follow_redirects=False)
            except httpx.RequestError as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as done:
        outcome: T = done.value
        return outcome
