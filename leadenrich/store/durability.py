"""What the Redis found would keep over a crash or a power cut, and what is said about it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.exceptions import ResponseError

from leadenrich.store.errors import StoreDenied, StoreRefused

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
    servers = await ask("INFO")  # several sections in one call only Redis 7 gives
    fsyncs = ["unknown"]
    with contextlib.suppress(ResponseError, StoreDenied):  # an ACL user may not read the configuration
        fsyncs = [_fsync(answer) for answer in await ask("CONFIG", "GET", "appendfsync")]
    return Durability(
        version=min(tuple(int(part) for part in str(info["redis_version"]).split(".")[:3]) for info in servers),
        append_only=all(bool(info.get("aof_enabled")) for info in servers),
        append_fsync=min(fsyncs, key=lambda word: _WORST_FIRST.index(word) if word in _WORST_FIRST else 0),
        policy=_worst_policy(_text(info.get("maxmemory_policy", "unknown")) for info in servers),
    )


@dataclass(frozen=True, slots=True)
class Risk:
    """What a crash, a power cut or a full memory can cost with this Redis, and the cure. `event` names its log line."""

    event: str
    cost: str
    cure: str
    refused: bool = False  # the daemon does not start with it
    facts: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.cost}: {self.cure}" if self.cure else self.cost


def judge(durability: Durability, *, allow_volatile: bool) -> None:
    """Says what a crash can cost with this Redis. Raises: StoreRefused."""
    for risk in risks(durability, allow_volatile=allow_volatile):
        if risk.refused:
            raise StoreRefused(str(risk))
        log.warning(risk.event, **risk.facts, note=str(risk))


def risks(durability: Durability, *, allow_volatile: bool) -> list[Risk]:
    """All of them, the worst first; none when everything acknowledged is kept."""
    if durability.embedded:
        return [Risk("redis_embedded", "embedded Redis: nothing outlives this process", "")]
    found = []
    if durability.version < OLDEST_VERSION:
        version = ".".join(map(str, durability.version))
        found.append(Risk("redis_old", f"Redis {version} is too old", "6.2 or newer is needed", refused=True))
    found += [risk for risk in (_of_the_file(durability, allow_volatile), _of_the_memory(durability)) if risk]
    return found


def _of_the_file(durability: Durability, allow_volatile: bool) -> Risk | None:
    if not durability.append_only and not allow_volatile:
        return Risk(
            "redis_volatile",
            "Redis keeps no append-only file, so acknowledged leads would be lost with it",
            "set `appendonly yes` in redis.conf, or redis.allow_volatile = true if losing them is acceptable",
            refused=True,
        )
    if not durability.append_only:
        cost = "Redis keeps no append-only file: every lead that waits is lost when it ends"
        return Risk("redis_volatile", cost, "set `appendonly yes` in redis.conf")
    facts = {"appendfsync": durability.append_fsync}
    if durability.append_fsync == "unknown":
        cost = "whether a power cut can cost acknowledged leads is unknown, for Redis does not tell its appendfsync"
        return Risk("redis_fsync", cost, "allow this user `+config|get`, and set `appendfsync always`", facts=facts)
    if durability.append_fsync == "no":
        cost = "a power cut can cost the last half minute of acknowledged leads"
        return Risk("redis_fsync", cost, "set `appendfsync always` to keep all", facts=facts)
    if durability.append_fsync != "always":
        cost = "a power cut can cost the last second or two of acknowledged leads"
        return Risk("redis_fsync", cost, "set `appendfsync always` to keep all", facts=facts)
    return None


def _of_the_memory(durability: Durability) -> Risk | None:
    if durability.policy in ("noeviction", "unknown"):
        return None
    return Risk(
        "redis_evicts",
        "Redis may evict leads when memory is short",
        "set `maxmemory-policy noeviction`",
        facts={"maxmemory_policy": durability.policy},
    )


def _fsync(answer: Any) -> str:
    pairs = dict(answer)
    return _text(pairs.get("appendfsync") or pairs.get(b"appendfsync") or b"unknown")


def _worst_policy(policies: Iterable[str]) -> str:
    """The first that evicts; else whether one would not say."""
    return min(policies, key=lambda policy: {"noeviction": 2, "unknown": 1}.get(policy, 0))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
