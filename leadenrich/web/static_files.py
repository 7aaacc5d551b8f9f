"""What the pages load: from the package's data into a fixed table, so no path of a request ever reaches the disk."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import web

from leadenrich.web.problems import Refused

_CSS: Final = "text/css"
_SCRIPT: Final = "text/javascript"
_KINDS: Final = {
    "pico.classless.min.css": _CSS,
    "uPlot.min.css": _CSS,
    "style.css": _CSS,
    "htmx.min.js": _SCRIPT,
    "hx-sse.min.js": _SCRIPT,
    "uPlot.iife.min.js": _SCRIPT,
    "pages.js": _SCRIPT,
}
_CONTENT: Final = {name: files("leadenrich.web").joinpath(f"static/{name}").read_bytes() for name in _KINDS}
_ADDRESSES: Final = {
    name: f"{name.partition('.')[0]}.{hashlib.blake2b(content, digest_size=6).hexdigest()}.{name.rpartition('.')[2]}"
    for name, content in _CONTENT.items()
}
_NAMES: Final = {address: name for name, address in _ADDRESSES.items()}


def static_path(name: str) -> str:
    """Where a file is served: another address whenever its content is another."""
    return f"/static/{_ADDRESSES[name]}"


async def static(request: web.Request) -> web.Response:
    """For ever in the browser's cache. Raises: Refused 404."""
    name = _NAMES.get(request.match_info["name"])
    if name is None:
        raise Refused(404, "There is no such file.")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    body = _CONTENT[name]
    if "gzip" in request.headers.get("Accept-Encoding", "").lower():
        body = _packed(name)
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, content_type=_KINDS[name], charset="utf-8", headers=headers)


@cache
def _packed(name: str) -> bytes:
    """When somebody first asks: no start waits for it."""
    return gzip.compress(_CONTENT[name], mtime=0)
