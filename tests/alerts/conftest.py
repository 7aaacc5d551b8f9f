"""Somebody who takes the alerts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from fake_slack import FakeSlack, taking_alerts


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with taking_alerts() as fake:
        yield fake
