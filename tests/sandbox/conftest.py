"""A sandbox on free ports and a client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

import pytest
from aiohttp import ClientSession, ClientTimeout

from leadenrich.sandbox.catalogue import REFERENCE_DATE
from leadenrich.sandbox.server import Sandbox

FIELDS = (("Enrichment Status", "TEXT"), ("Estimated Value", "NUMERICAL"), ("Enriched At", "DATE"))


def reference_day() -> date:
    return REFERENCE_DATE


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(custom_fields=FIELDS, today=reference_day) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with ClientSession(timeout=ClientTimeout(total=5)) as session:
        yield session
