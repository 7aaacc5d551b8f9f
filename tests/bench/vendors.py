"""Both fake vendors in a process of their own, without limits: a daemon that starts finds them.

python -m bench.vendors FILE            writes FILE, as JSON, when they serve
python -m bench.vendors FILE --limited  with HighLevel's limit; at SIGTERM it tells its calls in FILE's .calls
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from daemon_process import new_sandbox, people

HOUSES = 1_000  # contacts that own the houses they give
GHL_PER_10S = 100  # HighLevel's burst limit of a location


async def serve(told: Path, *, limited: bool) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with new_sandbox(ghl_per_10s=GHL_PER_10S if limited else 0) as sandbox:
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
        await ended.wait()
        calls = [*sandbox.ghl.calls, *sandbox.rea.calls]
        told.with_suffix(".calls").write_text(
            json.dumps([(call.provider, call.contact_id or call.address_key, call.status) for call in calls])
        )


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), limited="--limited" in sys.argv))
