"""The first hour: what is wrong, what to do about it, and what a HighLevel location lacks.

Each check asks for itself and ends by itself: one that fails says nothing about the others. Nothing is changed, and
nothing posted but where it was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from leadenrich.alerts.alerting import title
from leadenrich.alerts.webhook import NotPosted, Webhook
from leadenrich.config import Config, LocationSettings, RedisSettings, notices, without_password
from leadenrich.core.contact import CustomField
from leadenrich.core.errors import ProviderOut, Throttled, Trouble
from leadenrich.enrich.known_contact import find_field
from leadenrich.enrich.mapping import FieldEntry
from leadenrich.providers.ghl import Ghl
from leadenrich.providers.realestateapi import KeyInfo, RealEstateApi
from leadenrich.store.connection import ask_redis
from leadenrich.store.durability import Durability, risks
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.memory import HIGH_WATER, Memory

CHECK_S = 10.0  # how long one check may take
LOOK_UP_SCOPE = "PropertyDetail"

Verdict: TypeAlias = Literal["ok", "warning", "problem"]

# HighLevel cannot change a field's type; a value of one kind fits into these.
_FITS: Mapping[str, frozenset[str]] = {
    "TEXT": frozenset({"TEXT", "LARGE_TEXT", "SINGLE_OPTIONS", "RADIO"}),
    "LARGE_TEXT": frozenset({"LARGE_TEXT", "TEXT"}),
    "NUMERICAL": frozenset({"NUMERICAL", "MONETORY"}),
    "DATE": frozenset({"DATE"}),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: what was looked at, how it is, and what to do where it is not well."""

    what: str
    verdict: Verdict
    found: str
    todo: str = ""


# --- what a location lacks -------------------------------------------------------------------------------------------


class FieldReader(Protocol):
    """What the plan needs of HighLevel. Raises: Trouble."""

    async def custom_fields(self, location_id: str, *, refresh: bool = False) -> Mapping[str, CustomField]: ...


class FieldMaker(FieldReader, Protocol):
    """What the set-up needs of it. Raises: Trouble."""

    async def create_custom_field(self, location_id: str, name: str, data_type: str) -> CustomField: ...


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """What a location lacks. `misfits` are fields that are there with a type that cannot hold the value."""

    location_id: str
    missing: tuple[FieldEntry, ...]
    present: tuple[FieldEntry, ...]
    misfits: tuple[tuple[FieldEntry, CustomField], ...]


async def plan_fields(crm: FieldReader, location_id: str, entries: Sequence[FieldEntry]) -> FieldPlan:
    """Compares the mapping with the location's fields as they are now. Raises: Trouble."""
    fields = await crm.custom_fields(location_id, refresh=True)
    missing, present, misfits = [], [], []
    for entry in entries:
        if not entry.enabled:
            continue
        field = find_field(fields, entry.key, entry.name)
        if field is None:
            missing.append(entry)
        elif field.data_type not in _FITS.get(entry.data_type, frozenset({entry.data_type})):
            misfits.append((entry, field))
        else:
            present.append(entry)
    return FieldPlan(location_id, tuple(missing), tuple(present), tuple(misfits))


# --- the whole look --------------------------------------------------------------------------------------------------


async def examine(
    config: Config,
    entries: Sequence[FieldEntry],
    *,
    now_ms: Callable[[], int],
    within_s: float = CHECK_S,
    alert: bool = False,
    unset: str = "",
) -> list[Finding]:
    """Every check, side by side, in the order of the report. What cannot be asked is a finding, not an error.

    `alert` posts a message to `alerts.url`; `unset` is said where a secret is not set.
    """
    private = config.server.allow_private_upstreams
    # Nothing is bought and hardly anything asked: the pace of the configuration does not matter here.
    rea = RealEstateApi(config.realestateapi, now_ms=now_ms, allow_private=private)
    ghl = Ghl(config.ghl, now_ms=now_ms, allow_private=private)
    async with rea, ghl:
        checks = [
            _bounded("Redis", within_s, _redis(config)),
            _bounded("RealEstateAPI", within_s, _seller(config, rea, unset)),
            *(
                _bounded(f"HighLevel {location.id}", within_s, _location(location, ghl, entries, unset))
                for location in config.ghl.locations
            ),
            *([_bounded("alerts", within_s, _alerts(config))] if alert else []),
        ]
        found = [finding for findings in await asyncio.gather(*checks) for finding in findings]
    if not config.ghl.locations:
        todo = f"add [[ghl.locations]]: id, token{unset}"
        found.append(Finding("HighLevel", "problem", "no location is configured", todo))
    return [*_configuration(config, unset), *found]


async def _bounded(what: str, within_s: float, check: Coroutine[None, None, list[Finding]]) -> list[Finding]:
    try:
        async with asyncio.timeout(within_s):
            return await check
    except TimeoutError:
        return [Finding(what, "problem", f"did not answer within {within_s:g} s", "see whether it can be reached")]


def _configuration(config: Config, unset: str) -> list[Finding]:
    found = [
        Finding(f"configuration {notice.key}", "warning", notice.message, "see config.example.toml")
        for notice in notices(config)
    ]
    if config.ghl.webhook_token is None:
        told = "is not set: workflow webhooks are answered 401, only the app's signed ones are taken"
        found.append(
            Finding("configuration ghl.webhook_token", "warning", told, f"set it if workflows send leads{unset}")
        )
    return found or [Finding("configuration", "ok", "nothing stands out")]


# --- Redis -----------------------------------------------------------------------------------------------------------


async def _redis(config: Config) -> list[Finding]:
    try:
        durability, memory = await ask_redis(config.redis)
    except StoreUnavailable as error:
        where = without_password(config.redis.url)
        return [Finding("Redis", "problem", f"{error} ({where})", "start Redis, or set redis.url to where it is")]
    if durability.embedded:
        return [Finding("Redis", "warning", "embedded: nothing outlives the process", "set redis.url for real work")]
    version = ".".join(map(str, durability.version))
    return [
        _of_risk("Redis version", "redis_old", durability, config.redis, f"{version}"),
        _of_risk("Redis append-only file", "redis_volatile", durability, config.redis, "on"),
        *([_fsync(durability, config.redis)] if durability.append_only else []),
        _of_risk("Redis maxmemory-policy", "redis_evicts", durability, config.redis, durability.policy),
        _memory(memory),
    ]


def _fsync(durability: Durability, settings: RedisSettings) -> Finding:
    fine = f"{durability.append_fsync}: a power cut costs nothing that was acknowledged"
    return _of_risk("Redis appendfsync", "redis_fsync", durability, settings, fine)


def _of_risk(what: str, event: str, durability: Durability, settings: RedisSettings, fine: str) -> Finding:
    for risk in risks(durability, allow_volatile=settings.allow_volatile):
        if risk.event == event:
            return Finding(what, "problem" if risk.refused else "warning", risk.cost, risk.cure)
    return Finding(what, "ok", fine)


def _memory(memory: Memory) -> Finding:
    if memory.is_short:
        cure = f"raise maxmemory: new leads are answered 429 above {HIGH_WATER:.0%}"
        return Finding("Redis memory", "problem", str(memory), cure)
    return Finding("Redis memory", "ok", str(memory))


# --- alerts ----------------------------------------------------------------------------------------------------------


async def _alerts(config: Config) -> list[Finding]:
    if config.alerts.url is None:
        return [
            Finding("alerts", "problem", "alerts.url is not set", "set it to an incoming webhook as Slack has them")
        ]
    webhook = Webhook(config.alerts.url, allow_private=config.server.allow_private_upstreams, tries=1)
    try:
        await webhook.post(title(config.queue.name, "This is a try: alerts arrive here. Do: nothing."))
    except NotPosted as error:
        return [Finding("alerts", "problem", str(error), "make a new webhook, or check the address in alerts.url")]
    return [Finding("alerts", "ok", f"a message was posted to {webhook.host}: look whether it is there")]


# --- the vendors -----------------------------------------------------------------------------------------------------


async def _seller(config: Config, rea: RealEstateApi, unset: str) -> list[Finding]:
    """One call, and a free one."""
    if not config.realestateapi.api_key:
        return [
            Finding("RealEstateAPI key", "problem", "no api_key is configured", f"set realestateapi.api_key{unset}")
        ]
    try:
        info = await rea.key_info()
    except Trouble as error:
        return [_trouble("RealEstateAPI key", error, "realestateapi.api_key", "realestateapi.base_url")]
    bounds = [rate for rate in (config.realestateapi.rate_per_second, config.worker.rate_per_second) if rate]
    return [_key(info), _rate(info, min(bounds, default=0.0))]


def _key(info: KeyInfo) -> Finding:
    if info.scopes and LOOK_UP_SCOPE not in info.scopes:
        told = f"the key lacks the scope {LOOK_UP_SCOPE}; it has {', '.join(info.scopes)}"
        return Finding("RealEstateAPI key", "problem", told, "have the scope added to the key's plan")
    if not info.live:
        return Finding("RealEstateAPI key", "warning", "a test key: its records are made up", "use a live key")
    return Finding("RealEstateAPI key", "ok", "live, may look up properties")


def _rate(info: KeyInfo, ours: float) -> Finding:
    """`ours` is what may leave us in a second, 0 for no bound."""
    theirs = info.requests_per_second
    if theirs is None:
        return Finding("RealEstateAPI rate", "ok", "the key names no limit")
    if theirs and (ours > theirs or not ours):
        told = f"we send up to {f'{ours:g}' if ours else 'any number'} a second, the key allows {theirs:g}"
        cure = f"set realestateapi.rate_per_second = {theirs:g} or less"
        return Finding("RealEstateAPI rate", "warning", told, cure)
    return Finding("RealEstateAPI rate", "ok", f"{ours:g} a second, the key allows {theirs:g}")


async def _location(location: LocationSettings, ghl: Ghl, entries: Sequence[FieldEntry], unset: str) -> list[Finding]:
    who = f"HighLevel {location.id}"
    if not location.token:
        todo = f"create a private integration token{unset}"
        return [Finding(f"{who} token", "problem", "no token is configured", todo)]
    found = []
    for look in (_token, _fields):  # the token's scopes are apart: it may read the location and not its fields
        try:
            found.append(await look(who, location.id, ghl, entries))
        except Trouble as error:
            part = "token" if look is _token else "fields"
            found.append(_trouble(f"{who} {part}", error, f"the token of location {location.id}", "ghl.base_url"))
    return found


async def _token(who: str, location_id: str, ghl: Ghl, entries: Sequence[FieldEntry]) -> Finding:
    named = (await ghl.location(location_id)).name
    return Finding(f"{who} token", "ok", f"reads the location {named}".rstrip())


async def _fields(who: str, location_id: str, ghl: Ghl, entries: Sequence[FieldEntry]) -> Finding:
    plan = await plan_fields(ghl, location_id, entries)
    there = f"{len(plan.present)} of {len(plan.present) + len(plan.missing) + len(plan.misfits)} fields are there"
    if plan.misfits:
        wrong = [f"{entry.key} is {field.data_type}, not {entry.data_type}" for entry, field in plan.misfits]
        told = f"{there}; {_some(wrong)}; values of those are lost"
        return Finding(f"{who} fields", "problem", told, "rename or delete them there, then `leadenrich setup`")
    if plan.missing:
        told = f"{there}; missing: {_some([entry.key for entry in plan.missing])}; values of those are not written"
        return Finding(f"{who} fields", "problem", told, f"leadenrich setup --location {location_id}")
    return Finding(f"{who} fields", "ok", there)


def _some(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _trouble(what: str, error: Trouble, secret: str, url: str) -> Finding:
    if isinstance(error, ProviderOut) and error.kind == "auth":
        return Finding(what, "problem", str(error), f"check {secret}: it was refused, or lacks a scope")
    if isinstance(error, ProviderOut) and error.kind == "credit":
        return Finding(what, "problem", str(error), "add credit to the account")
    if isinstance(error, Throttled):
        return Finding(what, "warning", str(error), "ask again later: the limit is used up")
    return Finding(what, "problem", str(error), f"see whether {url} is right and can be reached from here")
