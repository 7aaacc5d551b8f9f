"""Names are judged by what they resolve to, right before each connection.

The configuration's check sees a name only; a public name can lead to a private address, today or after a change of its
records (DNS rebinding), and then our key would go to whoever listens there.
"""

from __future__ import annotations

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from leadenrich.config import address_fault, is_loopback


class Misled(OSError):
    """A name leads nowhere that a provider may be called at. The message is fit to be shown."""


class GuardedResolver(AbstractResolver):
    """Passes on the allowed addresses of a name only. `inner` asks the network (default: aiohttp's own)."""

    def __init__(self, *, allow_private: bool, inner: AbstractResolver | None = None) -> None:
        self._allow_private = allow_private
        self._inner = inner or DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises: Misled, when no address of the name is allowed; OSError, when it has none."""
        found = await self._inner.resolve(host, port, family)
        faults = {result["host"]: self._fault(host, result["host"]) for result in found}
        allowed = [result for result in found if faults[result["host"]] is None]
        if found and not allowed:
            raise Misled(f"{host} {next(fault for fault in faults.values() if fault)}")
        return allowed

    async def close(self) -> None:
        await self._inner.close()

    def _fault(self, name: str, host: str) -> str | None:
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return "leads to what is no IP address"
        if is_loopback(name):  # the only names that plain http is allowed to
            return None if address.is_loopback else "leads to another machine, although its name means this one"
        return address_fault(address, allow_private=self._allow_private)
