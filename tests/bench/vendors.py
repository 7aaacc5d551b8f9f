"""Both fake vendors in a process of their own, without limits: a daemon that starts finds them.

python -m bench.vendors FILE    writes FILE, as JSON, when they serve
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from daemon_process import new_sandbox, people

HOUSES = 1_000  # contacts that own the houses they give


async def serve(told: Path) -> None:
    async with new_sandbox() as sandbox:
        people(sandbox, HOUSES)
        part = told.with_suffix(".part")
        part.write_text(
            json.dumps(
                {
                    "realestateapi": {"base_url": sandbox.realestateapi_url, "api_key": sandbox.api_key},
                    "ghl": {"base_url": sandbox.ghl_url},
                    "location": {"id": sandbox.location_id, "token": sandbox.location_token},
                }
            )
        )
        part.rename(told)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
