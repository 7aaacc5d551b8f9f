"""Nobody is kept out: axe-core finds no fault in any page, by day and by night, and a keyboard is enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser.chromium import SCHEMES, Scheme, Visitor
from daemon_process import Inside, people

from leadenrich.sandbox.faults import Fault, Match

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
RUN = "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)"


async def faults(visitor: Visitor, *schemes: Scheme) -> list[str]:
    """What axe-core says of the page as it is now, by day and by night unless told otherwise. Run from the outside: the
    page's policy does not let it in."""
    if not await visitor.page.evaluate("'axe' in window"):
        await visitor.page.evaluate(AXE)
    found = []
    for scheme in schemes or SCHEMES:
        await visitor.wear(scheme)
        told = await visitor.page.evaluate(RUN)
        found += [f"{scheme}: {it['id']}: {it['nodes'][0]['html'][:150]}" for it in told]
    return found


async def test_axe_finds_no_fault(visit: Any, daemon: Inside, tokens: dict[str, str]) -> None:
    sandbox = daemon.sandbox
    good, refused = people(sandbox, 2)
    sandbox.faults.add(Fault("bad_request", body="no"), match=Match(address="101|"))
    ids = [await daemon.tell(good), await daemon.tell(refused)]
    await daemon.ended(ids)
    async with visit() as visitor:
        await visitor.go("/")
        assert await faults(visitor) == []
        await visitor.log_in(tokens["admin"])
        await visitor.page.locator("summary").first.click()
        await visitor.page.locator(".plot canvas").wait_for()
        assert await faults(visitor) == []
        for path in ("/search?q=pat", "/search", "/search?q=nobody"):
            await visitor.go(path)
            assert await faults(visitor) == [], path
        await visitor.page.set_viewport_size({"width": 360, "height": 800})
        await visitor.go("/")
        assert await faults(visitor) == []


async def test_a_keyboard_is_enough_to_pause_and_resume(admin: Visitor) -> None:
    page = admin.page

    async def to(name: str, role: Any = "button") -> None:
        """Tab by tab until it has the focus."""
        wanted = page.get_by_role(role, name=name, exact=True)
        for _ in range(60):
            await page.keyboard.press("Tab")
            if await wanted.count() and await wanted.evaluate("it => it === document.activeElement"):
                return
        raise AssertionError(f"no way to {name}")

    await page.locator("#live.on").wait_for()  # it is all there
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "content"
    while await page.evaluate("document.activeElement.textContent.trim()") != "Pause the queue …":
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.type("counting the stock")
    await page.keyboard.press("Enter")
    notice = page.locator("#fresh > .bad", has_text="The queue is paused by ")
    await notice.wait_for()
    assert "(counting the stock). No daemon takes a lead" in await notice.inner_text()
    assert await page.get_by_text("The queue is paused").count() == 1  # told once
    await to("Resume the queue")
    await page.keyboard.press("Enter")
    await page.get_by_text("The queue takes leads again.").wait_for()
