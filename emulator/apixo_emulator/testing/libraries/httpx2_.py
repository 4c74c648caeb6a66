"""httpx2, the successor of httpx."""

from __future__ import annotations

import httpx2

from apixo_emulator.testing.libraries.httpx_like import HttpxLike


class Httpx2(HttpxLike):
    """With whatever transports are httpx2's own."""

    name = "httpx2"
    module = "httpx2"

    def __init__(self) -> None:
        super().__init__(httpx2)
