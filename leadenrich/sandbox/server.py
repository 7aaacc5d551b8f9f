"""Both fake vendors on the loopback, with the demo's location, custom fields and contacts loaded."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import date
from types import TracebackType
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from leadenrich.sandbox.events import Echo
from leadenrich.sandbox.faults import Faults
from leadenrich.sandbox.ghl import FakeGhl
from leadenrich.sandbox.keys import SandboxKeys
from leadenrich.sandbox.leads import DEMO_LOCATION_ID, LEAD_KINDS, DemoLead, as_contact, demo_leads
from leadenrich.sandbox.realestateapi import FakeRealEstateApi, utc_today

_CLOSE_WITHIN_S: Final = 2.0


class Sandbox:
    """Serves from `async with` to its end; key, token and signing pair are made anew for each.

    `custom_fields` are the name and data type of each field of the demo location, `leads` its contacts (default: one
    of each kind). `ghl_per_10s` and `rea_per_second` are the vendors' limits, 0 for none. `today` is the day on which
    the property records are true. `middlewares` see each request to either vendor first and each answer last.
    """

    def __init__(
        self,
        *,
        custom_fields: Sequence[tuple[str, str]] = (),
        leads: Sequence[DemoLead] | None = None,
        today: Callable[[], date] = utc_today,
        ghl_per_10s: int = 100,
        ghl_per_day: int = 200_000,
        rea_per_second: int = 60,
        host: str = "127.0.0.1",
        rea_port: int = 0,
        ghl_port: int = 0,
        middlewares: Sequence[Middleware] = (),
    ) -> None:
        self.api_key = f"sandbox-{secrets.token_hex(12)}"
        self.location_id = DEMO_LOCATION_ID
        self.location_token = f"pit-{secrets.token_hex(12)}"
        self.keys = SandboxKeys()
        self.faults = Faults()
        self.echo = Echo(self.keys.sign)
        self.rea = FakeRealEstateApi(api_key=self.api_key, faults=self.faults, today=today, per_second=rea_per_second)
        self.ghl = FakeGhl(faults=self.faults, echo=self.echo, burst=ghl_per_10s, daily=ghl_per_day)
        self.ghl.add_location(self.location_id, self.location_token, name="Sandbox", fields=custom_fields)
        for lead in demo_leads(LEAD_KINDS) if leads is None else leads:
            if lead.in_ghl:
                self.ghl.contacts[lead.contact_id] = as_contact(lead)
        self._host = host
        self._ports = (rea_port, ghl_port)
        self._middlewares = tuple(middlewares)
        self._stack = AsyncExitStack()
        self._urls = ("", "")

    @property
    def realestateapi_url(self) -> str:
        """Base URL without a slash at its end; empty before the start."""
        return self._urls[0]

    @property
    def ghl_url(self) -> str:
        return self._urls[1]

    def echo_to(self, url: str | None) -> None:
        """Tell this address, by signed events, of every write to the CRM from now on; None: nobody."""
        self.echo.url = url

    async def __aenter__(self) -> Sandbox:
        async with AsyncExitStack() as stack:  # closes the first server should the second one not start
            stack.push_async_callback(self.echo.close)
            rea = await self._serve(stack, self.rea.application(self._middlewares), self._ports[0])
            ghl = await self._serve(stack, self.ghl.application(self._middlewares), self._ports[1])
            self._urls = (rea, ghl)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _serve(self, stack: AsyncExitStack, app: web.Application, port: int) -> str:
        # handler_cancellation stays off: a vendor finishes what it began, whether or not the client still listens.
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_CLOSE_WITHIN_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, self._host, port).start()
        return f"http://{self._host}:{runner.addresses[0][1]}"
