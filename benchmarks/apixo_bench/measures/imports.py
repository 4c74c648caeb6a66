"""What importing the client costs, beside the httpx that it stands on."""

from __future__ import annotations

import subprocess
import sys
import time

from apixo_bench import cores
from apixo_bench.bench import Bench
from apixo_bench.figures import Figure, at_most
from apixo_bench.servers import Checkout

OVER_HTTPX_MS = at_most(15)
_TIMES = 15


def run(bench: Bench) -> list[Figure]:
    """Import each in processes of their own, in turn."""
    bench.say("imports")
    took: dict[str, list[float]] = {"pass": [], "import httpx": [], "import apixo_client": []}
    for number in range(_TIMES + 1):
        for statement, values in took.items():
            seconds = _seconds(bench.checkout, statement)
            if number:  # the first round may have to compile
                values.append(seconds * 1e3)
    bare, httpx, client = took.values()
    over = tuple(mine - its for mine, its in zip(client, httpx, strict=True))
    return [
        Figure("import httpx", "ms", tuple(a - b for a, b in zip(httpx, bare, strict=True))),
        Figure("import apixo_client, over httpx", "ms", over, OVER_HTTPX_MS),
    ]


def _seconds(checkout: Checkout, statement: str) -> float:
    with cores.on(cores.SERVER):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], env=checkout.environment, check=True)
        return time.perf_counter() - began
