"""What the server uses of uvicorn beside its public interface, by name: a new version may lack some."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl

from server.paths import MemoryTransport, ServerPath

OF_A_CONNECTION = (
    *("app_state", "config", "connections", "cycle", "expect_100_continue", "flow", "headers"),
    *("loop", "on_response_complete", "parser", "pipeline", "scheme", "scope", "server"),
    *("server_state", "shutdown", "timeout_keep_alive", "transport", "url"),
)
OF_A_REQUEST = (
    *("disconnected", "keep_alive", "message_event", "response_complete", "response_started"),
)
OF_FLOW_CONTROL = ("pause_reading", "resume_reading", "write_paused")
OF_A_SERVER = (
    *("capture_signals", "config", "force_exit", "handle_exit", "lifespan", "server_state"),
    *("should_exit", "shutdown", "startup", "started"),
)


def missing(owner: object, names: tuple[str, ...]) -> list[str]:
    return [f"{type(owner).__name__}.{name}" for name in names if not hasattr(owner, name)]


def test_uvicorn_has_all_that_the_server_uses(tmp_path: Path) -> None:
    async def names() -> list[str]:
        path = ServerPath(tmp_path, fast=False)
        protocol = path.protocol()
        protocol.connection_made(MemoryTransport())
        protocol.data_received(b"GET /nope HTTP/1.1\r\nHost: a\r\n\r\n")
        server = uvicorn.Server(protocol.config)
        server.lifespan = protocol.config.lifespan_class(protocol.config)
        return [
            *missing(protocol, OF_A_CONNECTION),
            *missing(protocol.cycle, OF_A_REQUEST),
            *missing(protocol.flow, OF_FLOW_CONTROL),
            *missing(server, OF_A_SERVER),
        ]

    assert asyncio.run(names()) == []
    assert httptools_impl.STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("argument", ["config", "server_state", "app_state", "_loop"])
def test_a_protocol_is_made_with_these_arguments(argument: str) -> None:
    assert argument in inspect.signature(httptools_impl.HttpToolsProtocol).parameters
