"""What the Redis found would keep over a crash or a power cut, and what is said about it at start."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog
from redis.exceptions import ResponseError

from leadenrich.store.errors import StoreRefused

OLDEST_VERSION = (6, 2)
_WORST_FIRST = ("no", "unknown", "everysec", "always")

log = structlog.get_logger("leadenrich.store")


@dataclass(frozen=True, slots=True)
class Durability:
    """Of several servers the worst that any of them told."""

    version: tuple[int, ...]
    append_only: bool
    append_fsync: str
    policy: str
    embedded: bool = False


EMBEDDED = Durability((7, 0), False, "no", "noeviction", embedded=True)


async def ask_durability(ask: Callable[..., Awaitable[list[Any]]]) -> Durability:
    """`ask` sends a command to every server that takes writes and answers one answer each."""
    servers = await ask("INFO", "server")
    persistence, memory = await ask("INFO", "persistence"), await ask("INFO", "memory")
    fsyncs = ["unknown"]
    with contextlib.suppress(ResponseError):  # an ACL user may not read the configuration
        fsyncs = [_fsync(answer) for answer in await ask("CONFIG", "GET", "appendfsync")]
    return Durability(
        version=min(tuple(int(part) for part in str(info["redis_version"]).split(".")[:3]) for info in servers),
        append_only=all(bool(info.get("aof_enabled")) for info in persistence),
        append_fsync=min(fsyncs, key=lambda word: _WORST_FIRST.index(word) if word in _WORST_FIRST else 0),
        policy=_worst_policy(_text(info.get("maxmemory_policy", "unknown")) for info in memory),
    )


def judge(durability: Durability, *, allow_volatile: bool) -> None:
    """Says what a crash can cost with this Redis. Raises: StoreRefused."""
    if durability.embedded:
        log.warning("redis_embedded", note="embedded Redis: nothing outlives this process")
        return
    version = ".".join(map(str, durability.version))
    if durability.version < OLDEST_VERSION:
        raise StoreRefused(f"Redis {version} is too old: 6.2 or newer is needed")
    if not durability.append_only:
        if not allow_volatile:
            raise StoreRefused(
                "Redis keeps no append-only file, so acknowledged leads would be lost with it: set `appendonly yes` "
                "in redis.conf, or redis.allow_volatile = true if losing them is acceptable"
            )
        log.warning("redis_volatile", note="no append-only file: leads are lost when Redis ends")
    elif durability.append_fsync != "always":
        log.warning(
            "redis_fsync",
            appendfsync=durability.append_fsync,
            note="a power cut can cost the last second or two of acknowledged leads; `appendfsync always` keeps all",
        )
    if durability.policy not in ("noeviction", "unknown"):
        log.warning(
            "redis_evicts",
            maxmemory_policy=durability.policy,
            note="Redis may evict leads when memory is short: set `maxmemory-policy noeviction`",
        )


def _fsync(answer: Any) -> str:
    pairs = dict(answer)
    return _text(pairs.get("appendfsync") or pairs.get(b"appendfsync") or b"unknown")


def _worst_policy(policies: Iterable[str]) -> str:
    """The first that evicts; else whether one would not say."""
    return min(policies, key=lambda policy: {"noeviction": 2, "unknown": 1}.get(policy, 0))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
