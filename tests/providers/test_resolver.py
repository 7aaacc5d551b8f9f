"""A name is judged by what it resolves to, at the moment of connecting."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from leadenrich.core.errors import Transient
from leadenrich.providers.http import HttpClient, Request
from leadenrich.providers.resolver import GuardedResolver, Misled


class Names(AbstractResolver):
    """A DNS of our own."""

    def __init__(self, **known: list[str]) -> None:
        self.known = known

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.known[host.replace(".", "_")]
        ]

    async def close(self) -> None:
        self.known = {}


async def addresses(name: str, *found: str, allow_private: bool = False) -> list[str]:
    names = Names(**{name.replace(".", "_"): list(found)})
    results = await GuardedResolver(allow_private=allow_private, inner=names).resolve(name, 443)
    return [result["host"] for result in results]


async def test_a_public_address_is_passed_on() -> None:
    assert await addresses("api.example.com", "8.8.8.8", "2606:4700::1111") == ["8.8.8.8", "2606:4700::1111"]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.7", "192.168.1.1", "172.16.3.4", "169.254.169.254", "100.64.0.1", "::1", "fe80::1%eth0",
     "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.7", "0.0.0.0"],
)  # fmt: skip
async def test_a_public_name_that_leads_into_a_private_network_is_refused(address: str) -> None:
    """The cloud's metadata service among them: 169.254.169.254."""
    with pytest.raises(Misled, match=r"^api\.example\.com leads to "):
        await addresses("api.example.com", address)


async def test_of_several_addresses_only_the_public_ones_are_called() -> None:
    assert await addresses("api.example.com", "10.0.0.7", "8.8.8.8") == ["8.8.8.8"]


async def test_the_switch_permits_private_ones_but_none_that_no_server_can_have() -> None:
    assert await addresses("crm.internal", "10.0.0.7", allow_private=True) == ["10.0.0.7"]
    with pytest.raises(Misled, match="no server can have"):
        await addresses("crm.internal", "0.0.0.0", allow_private=True)


async def test_localhost_is_this_machine_and_no_other() -> None:
    """Plain http is allowed to it: whoever answers for it elsewhere would read the key."""
    assert await addresses("localhost", "127.0.0.1", "::1") == ["127.0.0.1", "::1"]
    with pytest.raises(Misled, match="another machine"):
        await addresses("localhost", "8.8.8.8")


async def test_a_name_without_addresses_is_nobody_s_trap() -> None:
    assert await addresses("api.example.com") == []


@pytest.mark.parametrize("allow_private", [False, True])
async def test_the_client_connects_to_nobody_who_was_not_meant(
    allow_private: bool, start_wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads to the wire: no byte arrives there, and the error says why; with the switch it is served."""
    wire = await start_wire()

    def dns(host: str, port: int, *_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", dns)
    request = Request("vendor", "GET", "/", "root", {})
    url = f"http://vendor.example.com:{wire.port}"
    async with HttpClient(url, timeout_s=5.0, allow_private=allow_private) as client:
        if allow_private:
            assert (await client.call(request)).status == 200
            return
        with pytest.raises(Transient, match=r"vendor: vendor\.example\.com leads to a private address") as caught:
            await client.call(request)
    assert not caught.value.sent
    assert wire.connections == 0
