"""Addresses in the configuration: which are allowed, and how they are shown without their password. No look-ups."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MASK: Final = "********"

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*\.?\Z")
# `127.1`, `2130706433` and `0x7f.1` are addresses to inet_aton, still used by resolvers: they would slip past a check.
_NUMBER_LIKE = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+))*\.?\Z")
# Up to the last @: a password with an unescaped / or ? is no valid URL, and must not be shown for that.
_USERINFO = re.compile(r"(?<=//)\S*@")
_PASSWORD_PARAMETER = re.compile(r"(?<=[?&])((?:sentinel_|ssl_)?password)=[^&#\s]*")


def base_url_fault(url: str, *, allow_private: bool = False) -> str | None:
    """Why a provider may not be called under this base URL; None when it may.

    https only, plain http to a loopback address; private addresses need `server.allow_private_upstreams`. A name is
    judged by its look only: whoever connects must put what it resolves to before `address_fault`.
    """
    if url != url.strip() or any(ord(sign) <= 32 or ord(sign) == 127 for sign in url):
        return "holds blanks or control characters"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("https", "http") or not host:
        return "must be a URL like https://api.example.com"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user or a password"
    if parts.query or parts.fragment:
        return "must not hold a query or a fragment"
    loopback = is_loopback(host)
    if parts.scheme == "http" and not loopback:
        return "must be https; plain http is allowed to a loopback address only"
    if loopback:
        return None
    address = _parsed(host)
    if address is not None:
        return address_fault(address, allow_private=allow_private)
    return None if _is_host_name(host) else "has a host that is neither a name nor an IP address"


def webhook_url_fault(url: str, *, allow_private: bool = False) -> str | None:
    """Why nothing may be posted to a webhook of this URL; None when it may. Some keep their secret in a query."""
    base, _, query = url.partition("?")
    if any(not "!" <= sign <= "~" for sign in query) or "#" in query:
        return "must not hold blanks, a fragment or what is no ASCII"
    return base_url_fault(base, allow_private=allow_private)


def address_fault(address: IpAddress, *, allow_private: bool = False) -> str | None:
    """Why no provider may be called at this address; None when one may."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_multicast or address.is_unspecified:
        return "leads to an address that no server can have"
    if not address.is_global and not allow_private:
        return "leads to a private address; that needs server.allow_private_upstreams = true"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host, as written, can only be this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    address = _parsed(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address is not None and address.is_loopback


def split_listen(listen: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` in two. Raises ValueError with what is wrong."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host:
        raise ValueError("must be host:port, like 127.0.0.1:9100")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("must have its IPv6 address in brackets, like [::1]:9100")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("must end in a port from 0 to 65535")
    if (fault := host_fault(host)) is not None:
        raise ValueError(fault)
    return host, int(port)


def host_fault(host: str) -> str | None:
    """Why nothing can listen on this host; None when something may."""
    if _parsed(host) is not None or _is_host_name(host):
        return None
    return "must be a host name or an IP address, without a port"


def without_password(url: str) -> str:
    """A URL as it may be shown: user and password, and a password in the query, as asterisks."""
    return _PASSWORD_PARAMETER.sub(rf"\1={MASK}", _USERINFO.sub(f"{MASK}@", url))


def passwords_in(url: str) -> list[str]:
    """The passwords that a URL holds, as written and decoded."""
    userinfo = _USERINFO.search(url)
    user, colon, password = userinfo.group()[:-1].partition(":") if userinfo else ("", "", "")
    found = [password if colon else user]
    found += [value for name, value in parse_qsl(url.partition("?")[2]) if name.endswith("password")]
    return [text for raw in found for text in dict.fromkeys((raw, unquote(raw))) if text]


def _parsed(host: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_host_name(host: str) -> bool:
    return _HOST_NAME.match(host) is not None and _NUMBER_LIKE.match(host) is None
