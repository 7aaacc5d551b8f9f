"""Which forms `redis.url` may have, and what is said about those it may not."""

from __future__ import annotations

import pytest

from leadenrich.config.redis_urls import RedisAddress, redis_address, redis_url_fault


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "rediss://user:pa%2Fss@redis.example.com",
        "redis://[::1]:6380/2",
        "unix:///run/redis/redis.sock",
        "unix://user:pass@/run/redis.sock?db=2",
        "fakeredis://",
        "redis://:a@b@host/1?db=2",
        "redis://host/0?password=a@b",
        "redis+sentinel://host/main",
        "redis+sentinel://user:pass@[::1]:26379,b.example.com:26380/main/3?sentinel_username=s&sentinel_password=p",
        "rediss+sentinel://host:26379/main?ssl_ca_certs=/etc/ca.pem",
        "redis+cluster://:pass@a:6379,b:6379",
        "rediss+cluster://a,b,c/0",
    ],
)
def test_addresses_that_the_store_opens(url: str) -> None:
    assert redis_url_fault(url) is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "must begin with one of redis://"),
        ("127.0.0.1", "must begin"),
        ("http://x", "found http://"),
        ("redis+sentry://a", "found redis+sentry://"),
        ("unix://", "socket's path"),
        ("redis://", "names no host"),
        ("redis://a:b", "port"),
        ("redis://a:0", "port"),
        ("redis://a/live", "number of a database"),
        ("redis://a?db=live", "number of a database"),
        ("redis://a:1,b:1", "redis+sentinel:// or redis+cluster://"),
        ("redis://user:a/b@host", "%2F"),
        ("redis://user:a?b@host", "%3F"),
        ("redis+sentinel://a:1", "must name the service"),
        ("redis+sentinel://a:1/", "must name the service"),
        ("redis+sentinel://a:1/main/live", "number of a database"),
        ("redis+sentinel://a:1,,b:1/main", "names no host"),
        ("redis+sentinel://u:p@a:1,u:p@b:1/main", "once, before the first host"),
        ("redis+sentinel://a:1/main?socket_timeout=9", "not known here: socket_timeout"),
        ("redis://a/0?socket_timeout=9", "not known here: socket_timeout"),
        ("rediss://a/0?ssl_ca_cert=/etc/ca.pem", "not known here: ssl_ca_cert"),
        ("redis://a/0?ssl_ca_certs=/etc/ca.pem", "must begin with rediss, for ssl_ca_certs is about TLS"),
        ("unix:///run/redis.sock?ssl_ca_certs=/etc/ca.pem", "must begin with rediss"),
        ("unix:///run/redis.sock?timeout=1", "not known here: timeout"),
        ("redis+cluster://a:1/1", "database 0 only"),
        ("redis+cluster://a:1?sentinel_password=p", "not known here: sentinel_password"),
        ("redis+cluster://", "names no host"),
        ("redis+cluster://a b:1", "neither a name nor an IP address"),
    ],
)
def test_addresses_that_it_does_not(url: str, says: str) -> None:
    fault = redis_url_fault(url) or "none"
    assert says in fault
    assert "user:a" not in fault


def test_what_a_sentinel_address_says() -> None:
    address = redis_address("rediss+sentinel://user:p%40ss@a:1,[::1],c/main%20one/3?ssl_ca_certs=x")
    assert address == RedisAddress(
        "sentinel",
        "rediss://user:p%40ss@a:1/3?ssl_ca_certs=x",
        (("a", 1), ("::1", 26379), ("c", 26379)),
        "main one",
    )


def test_what_a_cluster_address_says() -> None:
    assert redis_address("redis+cluster://[::1]:7,b") == RedisAddress(
        "cluster", "redis://[::1]:7/", (("::1", 7), ("b", 6379))
    )
