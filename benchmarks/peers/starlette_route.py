"""Starlette with two routes and responses that were made before."""

from __future__ import annotations

from raw_asgi import STATUS, SUBMITTED
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_STATUS = Response(STATUS, media_type="application/json")
_SUBMITTED = Response(SUBMITTED, media_type="application/json")


async def status(_request: Request) -> Response:
    """Answer a poll."""
    return _STATUS


async def submit(request: Request) -> Response:
    """Answer a submit."""
    await request.body()
    return _SUBMITTED


app = Starlette(
    routes=[
        Route("/api/v1/statusTask/image-upscaler", status),
        Route("/api/v1/generateTask/image-upscaler", submit, methods=["POST"]),
    ]
)
