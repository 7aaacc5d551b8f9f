"""Debian's Chromium, and a visitor of the pages whose every step is watched."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from playwright.async_api import Browser, BrowserContext, Error, Page, async_playwright

MISSING = "no Chromium on this machine (Debian: apt-get install chromium): the pages are not looked at in a browser"
CLOSE_S = 10.0
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
_FLAGS = (
    "--headless",
    "--no-sandbox",  # CI is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The daemon's own walls are looked at, not the browser's before machines of the house.
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
    # Names of other sites that lead here, as an attacker's name server would have them.
    "--host-resolver-rules=MAP *.example 127.0.0.1",
)

# Runs before anything of the page, whatever the page's policy says.
_WATCH = """
window.__violations = [];
addEventListener('securitypolicyviolation', it => __violations.push(`${it.violatedDirective} ${it.blockedURI}`));
"""

# What the pages may consist of: one more kind of element, or any attribute that runs, is markup that came from outside.
_FOREIGN_MARKUP = """() => {
  const own = new Set(('html head meta title link body a header form input button main h1 h2 h3 p label section div ' +
    'table caption thead tbody tr th td strong span time select option dl dt dd ol ul li details summary pre wbr nav ' +
    'script canvas meter textarea')
    .split(' '));
  const runs = (name, value) => name.startsWith('on') || name === 'style' || name === 'srcdoc' ||
    (name !== 'value' && value !== 'data:,' && /^\\s*(javascript|data|vbscript):/i.test(value));
  const found = [];
  for (const it of document.querySelectorAll('*')) {
    if (it.localName === 'script' && !(it.src.startsWith(location.origin + '/static/') && !it.textContent))
      found.push(it.outerHTML.slice(0, 200));
    if (!own.has(it.localName)) found.push(it.outerHTML.slice(0, 200));
    for (const {name, value} of it.closest('.plot > *') ? [] : it.attributes)  // uPlot lays its parts out itself
      if (runs(name, value)) found.push(`${it.localName} ${name}=${value}`);
  }
  if (document.querySelectorAll('meta').length !== 3) found.push('meta');
  if (document.querySelectorAll('link').length !== 4) found.push('link');
  return found;
}"""


def chromium_path() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


@asynccontextmanager
async def running_chromium(path: str) -> AsyncIterator[Browser]:
    """With an empty profile that is thrown away."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield browser
        finally:
            with suppress(TimeoutError):  # then its driver ends it
                async with asyncio.timeout(CLOSE_S):
                    await browser.close()


@dataclass(slots=True)
class Visitor:
    """One browser profile. Everything its pages ask for, print, open or break is noted."""

    url: str
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)  # console errors and warnings, exceptions, dialogs
    foreign: list[str] = field(default_factory=list)  # requests to other origins than `url`

    async def go(self, path: str) -> int:
        """Open a page; the status of its answer."""
        answer = await self.page.goto(self.url + path)
        assert answer is not None
        return answer.status

    async def start_afresh(self) -> None:
        """The next test's: a window of the usual size, in the usual colours, of which nothing was noted yet."""
        await self.page.goto("about:blank")
        await self.page.set_viewport_size({"width": 1280, "height": 720})
        await self.page.emulate_media(color_scheme="null", reduced_motion="null")
        self.complaints.clear()
        self.foreign.clear()

    async def unfold(self) -> None:
        """Open all that is folded."""
        await self.page.evaluate("document.querySelectorAll('details').forEach(it => { it.open = true; })")

    async def wear(self, scheme: Scheme) -> None:
        """Day or night, at once: without the motion from one to the other."""
        await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")

    async def log_in(self, token: str, path: str = "/") -> None:
        await self.go(path)
        await self.page.get_by_label("Token", exact=True).fill(token)
        await self.page.get_by_role("button", name="Log in").click()
        self.forget_refusals()

    async def post(self, path: str, form: dict[str, Any]) -> int:
        """Send a form as a page of ours would, with the cookie; the status of its answer."""
        headers = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        answer = await self.context.request.post(self.url + path, form=form, headers=headers, max_redirects=0)
        return answer.status

    def forget_refusals(self) -> None:
        """The browser's own remark on an answer with an error status is no fault of the page."""
        remark = "Failed to load resource: the server responded with a status of 4"
        self.complaints[:] = [it for it in self.complaints if remark not in it]

    async def violations(self) -> list[str]:
        """Of the Content-Security-Policy, on the page as it is now."""
        return list(await self.page.evaluate("window.__violations"))

    async def foreign_markup(self) -> list[str]:
        """Elements and attributes that no page of ours has."""
        return list(await self.page.evaluate(_FOREIGN_MARKUP))

    async def overhang(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(await self.page.evaluate("document.scrollingElement.scrollWidth - innerWidth"))

    async def pwned(self) -> Any:
        """What a hostile script left behind; None if none ran."""
        return await self.page.evaluate("window.__pwned ?? null")


@asynccontextmanager
async def visiting(browser: Browser, url: str, **options: Any) -> AsyncIterator[Visitor]:
    """`options` are those of Browser.new_context."""
    context = await browser.new_context(**options)
    try:
        await context.add_init_script(_WATCH)
        visitor = Visitor(url, context, await context.new_page())
        context.on("request", lambda it: None if it.url.startswith(f"{url}/") else visitor.foreign.append(it.url))
        context.on("weberror", lambda it: visitor.complaints.append(f"exception: {it.error}"))
        context.on(
            "console",
            lambda it: visitor.complaints.append(it.text) if it.type in ("error", "warning") else None,
        )

        async def dismiss(dialog: Any) -> None:
            visitor.complaints.append(f"dialog: {dialog.message}")
            with suppress(Error):  # its page was left meanwhile
                await dialog.dismiss()

        context.on("dialog", dismiss)
        yield visitor
    finally:
        with suppress(TimeoutError):  # a browser on a busy machine may never answer: its end comes with the browser's
            async with asyncio.timeout(CLOSE_S):
                await context.close()
