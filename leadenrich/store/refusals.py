"""What Redis, or the TLS in front of it, says against us, and the way out. Waiting changes nothing then."""

from __future__ import annotations

import re

from redis.exceptions import AuthenticationError, ConnectionError as RedisConnectionError, ResponseError

_COMMANDS = "allow this user the commands that systemd/redis-leadenrich-acl.conf lists"
_TLS_FILE = re.compile(r"Error \d+ connecting to (?!unix:).*: ?\d+\. (No such file|Permission denied|Is a directory)")

# Of users: where the command stands outside of a script and in one, in Redis' words from 6.2 to 8 and Valkey's.
_PERMISSIONS = (
    ("no permissions to run", _COMMANDS),
    ("can't run this command", _COMMANDS),
    ("o permissions to access", "allow this user the keys le:*, as systemd/redis-leadenrich-acl.conf does"),
    ("no permissions to access", "allow this user the keys le:*, as systemd/redis-leadenrich-acl.conf does"),
    ("can't access at least one", "allow this user the keys le:*, as systemd/redis-leadenrich-acl.conf does"),
)
_TLS = (
    ("ostname mismatch", "name the host in redis.url as Redis' certificate names it"),
    ("IP address mismatch", "name the host in redis.url as Redis' certificate names it"),
    ("certificate has expired", "renew Redis' certificate, or set this machine's clock"),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "name the CA that signed Redis' certificate: rediss://…?ssl_ca_certs=/path/to/ca.pem",
    ),
    (
        "CERTIFICATE_REQUIRED",
        "Redis asks who we are: rediss://…?ssl_certfile=/path/to/our.pem&ssl_keyfile=/path/to/our.key",
    ),
    ("alert", "Redis does not take our certificate: check ssl_certfile and ssl_keyfile in redis.url"),
    ("[SSL", "check the ssl_ options of redis.url"),
)
_CURES = (
    ("protected mode", "give Redis a password, or let it listen on the loopback"),
    ("DB index is out of range", "end redis.url in a database that it has: /0 is always there"),
    ("no password is set", "take the password out of redis.url, or give Redis one"),
    ("without any password configured", "take the password out of redis.url, or give Redis one"),
    ("invalid username-password", "check user and password in redis.url"),
    ("invalid password", "check the password in redis.url"),
    ("Authentication required", "put the password in front of the host in redis.url"),
    ("wrong number of arguments for", "take the user out of redis.url: this Redis knows passwords only"),
    *_PERMISSIONS,
    ("unknown command", "Redis 6.2 or newer is needed"),
    *_TLS,
)


def is_refusal(error: Exception) -> bool:
    """Whether it is us who are not wanted: a wrong password, a missing permission, a certificate."""
    text = str(error)
    if isinstance(error, ResponseError):
        return any(sign in text for sign, _ in _PERMISSIONS)
    if isinstance(error, RedisConnectionError) and ("[SSL:" in text or _TLS_FILE.search(text)):
        return True
    return isinstance(error, AuthenticationError)


def what_to_change(error: Exception) -> str:
    """What it said, and what to do about it."""
    said = str(error).rstrip(".")
    if _TLS_FILE.search(said):
        return f"Redis: {said}: a file that the ssl_ options of redis.url name cannot be read"
    cure = next((cure for sign, cure in _CURES if sign in said), "check redis.url, and what its user is allowed to do")
    return f"Redis refuses: {said}: {cure}"
