"""Which addresses a provider, a listener and Redis may have."""

from __future__ import annotations

import pytest

from leadenrich.config import base_url_fault, split_listen, without_password
from leadenrich.config.urls import is_loopback, passwords_in


@pytest.mark.parametrize(
    "url",
    [
        "https://api.realestateapi.com",
        "https://services.leadconnectorhq.com/",
        "https://example.com:8443/base/path",
        "https://8.8.8.8",
        "https://[2606:4700::1111]",
        "http://127.0.0.1:8081",
        "http://127.9.9.9",
        "http://[::1]:8081",
        "http://localhost:8081",
        "https://localhost",
    ],
)
def test_allowed_upstreams(url: str) -> None:
    assert base_url_fault(url) is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://example.com", "must be https"),
        ("http://10.0.0.1", "must be https"),
        ("http://localhost.example.com", "must be https"),
        ("ftp://example.com", "must be a URL"),
        ("example.com", "must be a URL"),
        ("https://", "must be a URL"),
        ("", "must be a URL"),
        ("https://user:pass@example.com", "a user or a password"),
        ("https://@example.com", "a user or a password"),
        ("https://example.com?a=1", "query"),
        ("https://example.com/#x", "fragment"),
        ("https://exa mple.com", "blanks"),
        ("https://example.com\n", "blanks"),
        ("https://example.com:99999", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("https://10.0.0.1", "private"),
        ("https://192.168.1.1", "private"),
        ("https://169.254.169.254", "private"),
        ("https://[fd00::1]", "private"),
        ("https://[::ffff:10.0.0.1]", "private"),
        ("https://0.0.0.0", "no server can have"),
        ("https://224.0.0.1", "no server can have"),
        # other spellings of 127.0.0.1 and 10.0.0.1 that resolvers understand
        ("https://2130706433", "neither a name nor an IP address"),
        ("https://127.1", "neither a name nor an IP address"),
        ("https://0x0a000001", "neither a name nor an IP address"),
        ("https://012.0.0.1", "neither a name nor an IP address"),
    ],
)
def test_refused_upstreams(url: str, says: str) -> None:
    assert says in (base_url_fault(url) or "allowed")


def test_the_switch_opens_private_addresses_for_https_only() -> None:
    assert base_url_fault("https://10.0.0.1", allow_private=True) is None
    assert "https" in (base_url_fault("http://10.0.0.1", allow_private=True) or "")
    assert base_url_fault("https://0.0.0.0", allow_private=True) is not None


def test_listen_addresses() -> None:
    assert split_listen("127.0.0.1:9100") == ("127.0.0.1", 9100)
    assert split_listen("[::1]:0") == ("::1", 0)
    for wrong in ("9100", ":9100", "::1:9100", "host:", "host:port", "host:70000", "ho st:1", "[::1]"):
        with pytest.raises(ValueError, match="must"):
            split_listen(wrong)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@host:1/0", "redis://********@host:1/0"),
        ("redis://user:p/w?d@host", "redis://********@host"),
        ("redis://host?password=pw&db=1", "redis://host?password=********&db=1"),
        ("redis://host/0", "redis://host/0"),
        ("redis+sentinel://u:pw@a:1,b:2/main/0", "redis+sentinel://********@a:1,b:2/main/0"),
        ("redis+sentinel://a:1/main?sentinel_password=pw", "redis+sentinel://a:1/main?sentinel_password=********"),
        ("rediss+cluster://:pw@a,b", "rediss+cluster://********@a,b"),
        ("rediss://a/0?ssl_keyfile=/k&ssl_password=pw", "rediss://a/0?ssl_keyfile=/k&ssl_password=********"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_the_passwords_of_a_url_are_known_to_the_log() -> None:
    assert passwords_in("redis://user:p%40ss:word@host?password=other") == ["p%40ss:word", "p@ss:word", "other"]
    assert passwords_in("redis://host") == []
    assert passwords_in("redis+sentinel://:one@a:1,b:2/main?sentinel_password=two") == ["one", "two"]


def test_loopback() -> None:
    assert all(is_loopback(host) for host in ("localhost", "LOCALHOST.", "127.0.0.1", "::1", "::ffff:127.0.0.1"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example.com", ""))
