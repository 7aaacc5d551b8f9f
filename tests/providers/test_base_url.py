"""Where a key may be sent to: never somewhere a setting should not reach."""

import pytest

from leadenrich.config import GhlSettings, RealEstateApiSettings
from leadenrich.providers.http import check_base_url


@pytest.mark.parametrize(
    "url",
    [
        "https://api.realestateapi.com",
        "https://services.leadconnectorhq.com/",
        "https://example.com:8443/some/path",
        "https://8.8.8.8",
        "https://[2606:4700::1111]",
        "http://127.0.0.1:8099",
        "http://localhost:1",
        "http://[::1]:8099",
        "http://127.9.9.9",
        "https://localhost",
    ],
)
def test_good_ones(url):
    assert check_base_url(url, allow_private=False) is None


@pytest.mark.parametrize("url", [RealEstateApiSettings().base_url, GhlSettings().base_url])
def test_the_defaults_are_good(url):
    assert check_base_url(url, allow_private=False) is None


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("", "https"),
        ("example.com", "https"),
        ("ftp://example.com", "https"),
        ("file:///etc/passwd", "https"),
        ("https://", "https"),
        ("http://example.com", "loopback"),
        ("http://10.0.0.1", "loopback"),
        ("http://localhost.example.com", "loopback"),
        ("https://user:pw@example.com", "password"),
        ("https://token@example.com", "password"),
        ("https://@example.com", "password"),
        ("https://example.com?x=1", "query"),
        ("https://example.com/#f", "fragment"),
        ("https://exa mple.com", "characters"),
        ("https://example.com\n", "characters"),
        ("https://example.com\\@evil.com", "characters"),
        ("https://１２７.0.0.1", "characters"),
        ("https://exämple.com", "characters"),
        ("https://example.com:99999", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://127.1", "canonical"),
        ("https://2130706433", "canonical"),
        ("https://0x7f.0.0.1", "canonical"),
        ("https://0x7f000001", "canonical"),
        ("https://0177.0.0.1", "canonical"),
        ("https://%31%32%37.0.0.1", "canonical"),
        ("https://a..b", "canonical"),
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
def test_bad_ones_whatever_is_allowed(url, part, allow_private):
    fault = check_base_url(url, allow_private=allow_private)
    assert fault is not None
    assert part in fault


@pytest.mark.parametrize(
    "host",
    [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "[fd00::1]",
        "[fe80::1]",
        "[::]",
        "[::ffff:10.0.0.1]",
        "intranet",
        "api.corp",
        "metadata.google.internal",
        "printer.local.",
    ],
)
def test_private_ones_need_the_switch(host):
    assert "allow_private_upstreams" in (check_base_url(f"https://{host}", allow_private=False) or "")
    assert check_base_url(f"https://{host}", allow_private=True) is None


def test_a_mapped_loopback_is_a_loopback():
    assert check_base_url("http://[::ffff:127.0.0.1]:80", allow_private=False) is None
