"""A daemon on the embedded Redis with both tokens set, and an admin who is logged in, for one file of tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from browser.chromium import MISSING, Visitor, chromium_path, running_chromium, visiting
from browser.other_site import OtherSite, other_site
from daemon_process import ADMIN, Inside, inside, new_sandbox, settings_for
from playwright.async_api import Browser

VIEWER = "the-viewer-token"

# Without a browser the rest still runs; one line at the end says what did not.
NEED_CHROMIUM = [
    "test_accessible.py",
    "test_hostile_text.py",
    "test_job_pages.py",
    "test_other_sites.py",
    "test_overview.py",
    "test_pages.py",
    "test_without_a_token.py",
]
collect_ignore = [] if chromium_path() else NEED_CHROMIUM


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if collect_ignore:
        terminalreporter.write_line(f"SKIPPED tests/browser: {MISSING}", yellow=True)


Visiting = Callable[..., AbstractAsyncContextManager[Visitor]]


@pytest.fixture(scope="session")
def tokens() -> dict[str, str]:
    return {"admin": ADMIN, "viewer": VIEWER}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Inside]:
    folder: Path = tmp_path_factory.mktemp("daemon")
    async with new_sandbox() as sandbox:
        server = {"viewer_token": VIEWER}
        settings = settings_for(sandbox, "fakeredis://", server=server, queue={"attempts": 1})
        async with inside(sandbox, folder, settings) as daemon:
            yield daemon


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Started once: that takes as long as a dozen pages."""
    path = chromium_path()
    assert path is not None, MISSING
    async with running_chromium(path) as browser:
        yield browser


@pytest.fixture
def visit(chromium: Browser, daemon: Inside) -> Visiting:
    """`async with visit() as visitor:` a browser profile without any cookie, at the daemon's door."""
    return partial(visiting, chromium, daemon.url)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def logged_in(chromium: Browser, daemon: Inside, tokens: dict[str, str]) -> AsyncIterator[Visitor]:
    """An admin's profile. To make one takes as long as five pages."""
    async with visiting(chromium, daemon.url) as visitor:
        await visitor.log_in(tokens["admin"])
        yield visitor


@pytest_asyncio.fixture(loop_scope="session")
async def admin(logged_in: Visitor) -> Visitor:
    """A visitor who is logged in, at the overview."""
    await logged_in.start_afresh()
    await logged_in.go("/")
    return logged_in


@pytest_asyncio.fixture(loop_scope="session")
async def other() -> AsyncIterator[OtherSite]:
    """A web site of somebody else, which a visitor has open too."""
    async with other_site() as site:
        yield site
