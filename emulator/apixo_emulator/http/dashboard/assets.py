"""The page's own files: styles, scripts, the icon. Their addresses change with their content."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from apixo_emulator.domain.control_names import CONTROL_PREFIX

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "txt": "text/plain"}
_FOREVER = "public, max-age=31536000, immutable"


@cache
def _contents() -> dict[str, bytes]:
    folder = files("apixo_emulator.http.dashboard") / "static"
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}


@cache
def _edition() -> str:
    digest = blake2b(digest_size=6)
    for name, content in sorted(_contents().items()):
        digest.update(name.encode() + content)
    return digest.hexdigest()


def address_of(name: str) -> str:
    """Give the address of a file; all of them change together, as scripts import each other."""
    return f"{CONTROL_PREFIX}static/{_edition()}/{name}"


async def asset(request: Request) -> Response:
    """Send a file."""
    content = _contents().get(request.path_params["name"])
    if content is None:
        return Response("There is no such file.\n", 404, media_type="text/plain")
    kind = _TYPES[request.path_params["name"].rpartition(".")[2]]
    headers = {"cache-control": _FOREVER, "x-content-type-options": "nosniff"}
    return Response(content, headers=headers, media_type=kind)
