"""Both fake vendors in a process of their own, behind a gate that counts bytes; a third port tells what it saw.

python -m scale.vendors FILE    writes FILE, as JSON, when they serve; `counts` in it is the address that tells
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from bench.vendors import HOUSES
from daemon_process import new_sandbox, people

from leadenrich.sandbox.server import Sandbox

PIECE_BYTES = 65_536


class Gate:
    """Passes connections on to a port of 127.0.0.1, and counts their bytes: what the daemon sends, and what it gets."""

    def __init__(self, port: int) -> None:
        self.sent = self.got = 0
        self._port = port

    async def serve(self, stack: AsyncExitStack) -> str:
        """Its address."""
        server = await stack.enter_async_context(await asyncio.start_server(self._pass_on, "127.0.0.1", 0))
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool) -> None:
            with suppress(ConnectionError):
                while piece := await source.read(PIECE_BYTES):
                    if is_answer:
                        self.got += len(piece)
                    else:
                        self.sent += len(piece)
                    sink.write(piece)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, far_writer, is_answer=False), pump(far_reader, writer, is_answer=True))


def counts(sandbox: Sandbox, gates: dict[str, Gate]) -> dict[str, object]:
    """Calls by vendor and kind, ids left out; bytes by vendor."""
    calls: Counter[str] = Counter()
    for call in (*sandbox.rea.calls, *sandbox.ghl.calls):
        path = call.path.replace(call.contact_id, "{id}") if call.contact_id else call.path
        calls[f"{call.provider} {call.method} {re.sub(r'/locations/[^/]+', '/locations/{id}', path)}"] += 1
    return {"calls": calls, "bytes": {name: {"sent": it.sent, "got": it.got} for name, it in gates.items()}}


async def serve(told: Path) -> None:
    async with new_sandbox() as sandbox, AsyncExitStack() as stack:
        people(sandbox, HOUSES)
        gates = {
            name: Gate(urlsplit(url).port or 0)
            for name, url in (("realestateapi", sandbox.realestateapi_url), ("ghl", sandbox.ghl_url))
        }
        urls = {name: await gate.serve(stack) for name, gate in gates.items()}

        async def tell(request: web.Request) -> web.Response:
            return web.json_response(counts(sandbox, gates))

        application = web.Application()
        application.router.add_get("/", tell)
        runner = web.AppRunner(application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        part = told.with_suffix(".part")
        part.write_text(
            json.dumps(
                {
                    "realestateapi": {"base_url": urls["realestateapi"], "api_key": sandbox.api_key},
                    "ghl": {"base_url": urls["ghl"]},
                    "location": {"id": sandbox.location_id, "token": sandbox.location_token},
                    "counts": f"http://127.0.0.1:{runner.addresses[0][1]}/",
                }
            )
        )
        part.rename(told)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
