"""httpx."""

from __future__ import annotations

import httpx

from apixo_emulator.testing.libraries.httpx_like import HttpxLike


class Httpx(HttpxLike):
    """With whatever transports are httpx's own."""

    name = "httpx"
    module = "httpx"

    def __init__(self) -> None:
        super().__init__(httpx)
