"""The ceiling of ingest: aiohttp that reads a body and answers 202, with no logging and nothing else.

python -m bench.bare_server PORT
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

from leadenrich.cli.loop import run_loop


async def accept(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(status=202)


async def serve(port: int) -> None:
    app = web.Application()
    app.router.add_post("/hook", accept)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    run_loop(serve(int(sys.argv[1])))
