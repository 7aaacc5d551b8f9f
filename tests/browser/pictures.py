"""Makes docs/pictures: the README's pictures of the pages, by day and by night, of the demo and its sample leads.

`make pictures`: a minute, until enough of the demo's leads have ended.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from browser.chromium import MISSING, SCHEMES, Visitor, chromium_path, running_chromium, visiting

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
LEADS = 150
ENDED = 105  # when the pictures are taken: others are at work, and wait
WINDOW = {"width": 1280, "height": 800}
BYTES_MAX = 150_000
SHOWN = "?state=SUCCEEDED&outcome=DISQUALIFIED&limit=50"


async def main() -> None:
    path = chromium_path()
    if path is None:
        raise SystemExit(MISSING)
    port = free_port()
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "leadenrich", "demo", "--leads", str(LEADS),
        env=os.environ | {"LEADENRICH_SERVER__PORT": str(port)}, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session, running_chromium(path) as browser:
            await until(session, "/api/v1/stats", lambda stats: ended(stats) >= ENDED)
            found = await until(session, f"/api/v1/jobs{SHOWN}", lambda page: page["jobs"])
            lead = next(it for it in found["jobs"] if it["disqualified_by"] == ["MLS_ACTIVE"])
            async with visiting(browser, f"http://127.0.0.1:{port}", viewport=WINDOW) as visitor:
                await take(visitor, "overview", "/")
                await take(visitor, "lead", f"/jobs/{lead['id']}")
                await take(visitor, "jobs", "/jobs?state=SUCCEEDED")
    finally:
        if demo.returncode is None:
            demo.terminate()
        await demo.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


async def until(session: aiohttp.ClientSession, path: str, fits: Callable[[Any], Any]) -> Any:
    """What the API answers, once it fits."""
    async with asyncio.timeout(300):
        while True:
            try:
                async with session.get(path) as answer:
                    told = await answer.json()
                if answer.status == 200 and fits(told):
                    return told
            except aiohttp.ClientConnectionError:
                pass  # it has not begun to listen
            await asyncio.sleep(0.5)


def ended(stats: Any) -> int:
    return sum(lane["SUCCEEDED"] + lane["FAILED_FINAL"] for lane in stats["lanes"].values())


async def take(visitor: Visitor, name: str, path: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    for scheme in SCHEMES:
        await visitor.wear(scheme)
        assert await visitor.go(path) == 200
        await visitor.page.wait_for_load_state("networkidle" if name == "lead" else "load")
        if name != "lead":
            await visitor.page.locator("#live.on").wait_for()
        file = PICTURES / f"{name}-{scheme}.png"
        await visitor.page.screenshot(path=file)
        size = file.stat().st_size
        print(f"{file.name}: {size:,} bytes", flush=True)
        assert size <= BYTES_MAX, f"{file.name} is too large for a README"


if __name__ == "__main__":
    asyncio.run(main())
