"""From a lead's bill to what a rate needs, and to where it meets a limit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from bench.ingest import SIGNED
from bench.samples import OURS, Sample

from scale.bill import Bill

RATES: Final = (1, 100, 10_000)  # leads a second
DAY_S: Final = 86_400
FULL: Final = 0.6  # of a core, a network or a disk: what is planned for, so that a burst finds room
MEMORY_FULL: Final = 0.7  # imports stop here, live leads at 0.8

# What the vendors publish, November 2026.
LOCATION_CALLS_PER_S: Final = 10.0  # HighLevel: 100 in 10 s for an app and a location
LOCATION_CALLS_PER_DAY: Final = 200_000
KEY_CALLS_PER_S: Final = 60.0  # RealEstateAPI: of a key
KEY_CREDITS_PER_DAY: Final = (500_000, 1_000_000)  # an older and a newer page; plans have less
PACE_PER_S: Final = 5.0  # worker.rate_per_second as shipped
CALLS_A_LEAD_MOST: Final = 4  # the contact read, fields, tags, a note
JOB_S: Final = 1.0  # taken for granted: what the vendors let a lead wait
SLOTS_MOST: Final = 500  # worker.concurrency
DOOR_US: Final = 126.0  # of a signed webhook, as the profile tells it, until `make bench` has a full run of ingest

QUEUE_KEPT: Final = 20_000  # queue.keep_succeeded and queue.keep_failed
# How long each kind of key lives, in days; None: as long as its job is among those that are kept.
LIVES_DAYS: Final[Mapping[str, float | None]] = {
    "job": None, "lead": None, "steps": None, "timeline": None, "contact": 180, "delivery": 7, "record": 7,
    "address": 60, "credit mark": 60 / DAY_S,
}  # fmt: skip
OUTSIDE: Final = ("record", "address", "credit mark")  # have hash tags of their own, and lie all over a Cluster


class Queue(msgspec.Struct, frozen=True):
    """What of performance.json counts here. `door_us` is None where ingest has no full run yet."""

    on: str
    waiting_bytes: float
    noop_redis_us: float
    noop_daemon_us: float
    enqueue_redis_us: float
    door_us: float | None


def queue_figures(phases: Mapping[str, Mapping[str, Sample]], on: str) -> Queue:
    """Raises: KeyError where drain or memory have no run."""
    drained, memory = phases["drain-5"][OURS], phases["memory"][OURS]
    return Queue(
        on=on,
        waiting_bytes=memory["waiting_bytes"],
        noop_redis_us=drained["redis_us"],
        noop_daemon_us=drained["worker_us"],
        enqueue_redis_us=drained["enqueue_redis_us"],
        door_us=phases.get("ingest", {}).get(SIGNED, {}).get("server_us"),
    )


@dataclass(frozen=True, slots=True)
class Lead:
    """What one lead takes, all in all. CPU in µs, the rest in bytes, commands and calls."""

    bill: Bill
    queue: Queue

    @property
    def door_us(self) -> float:
        return DOOR_US if self.queue.door_us is None else self.queue.door_us

    @property
    def worker_us(self) -> float:
        return self.bill.worked_off.daemon_us

    @property
    def redis_us(self) -> float:
        return self.bill.taken_in.redis_us + self.bill.worked_off.redis_us

    @property
    def commands(self) -> float:
        return self.bill.taken_in.commands + self.bill.worked_off.commands

    @property
    def redis_wire(self) -> float:
        parts = self.bill.taken_in, self.bill.worked_off
        return sum(part.to_redis + part.from_redis for part in parts)

    @property
    def disk(self) -> float:
        return self.bill.taken_in.disk + self.bill.worked_off.disk

    @property
    def vendor_wire(self) -> float:
        return sum(sum(ways.values()) for ways in self.bill.wire.values())

    @property
    def crm_calls(self) -> float:
        return sum(count for name, count in self.bill.calls.items() if name.startswith("ghl "))

    def kept(self, per_s: float, kind: str) -> tuple[float, float]:
        """Keys of a kind, and their bytes, once as many end as come: each lead of a contact never seen before."""
        it, days = self.bill.kinds.get(kind), LIVES_DAYS[kind]
        if it is None:
            return 0.0, 0.0
        keys = it.a_lead * (QUEUE_KEPT if days is None else per_s * days * DAY_S)
        return keys, keys * it.bytes_each

    def memory(self, per_s: float) -> float:
        """Bytes of Redis at a steady rate, nothing waiting."""
        return sum(self.kept(per_s, kind)[1] for kind in LIVES_DAYS)


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a rate ends: leads a second, sustained; and what makes it so."""

    what: str
    per_s: float
    why: str


def limits(lead: Lead) -> list[Limit]:
    """The lowest first."""
    return sorted([*_vendors_limits(lead), *_own_limits(lead)], key=lambda it: it.per_s)


def _vendors_limits(lead: Lead) -> list[Limit]:
    calls, most = lead.crm_calls, CALLS_A_LEAD_MOST
    day = LOCATION_CALLS_PER_DAY / DAY_S
    low, high = KEY_CREDITS_PER_DAY
    return [
        Limit(
            "one HighLevel location, all day",
            day / calls,
            f"{LOCATION_CALLS_PER_DAY:,} calls a day, {calls:.0f} a lead; {day / most:.2f} with {most}",
        ),
        Limit(
            "one HighLevel location, for a while",
            LOCATION_CALLS_PER_S / calls,
            f"100 calls in 10 s, {calls:.0f} a lead; {LOCATION_CALLS_PER_S / most:.1f} with {most}",
        ),
        Limit(
            "one RealEstateAPI key, all day",
            low / DAY_S,
            f"{low:,} credits a day on one page; {high / DAY_S:.1f} with {high:,} on another; plans have less",
        ),
        Limit("one RealEstateAPI key, for a while", KEY_CALLS_PER_S, "60 calls a second, as published"),
    ]


def _own_limits(lead: Lead) -> list[Limit]:
    core, line = FULL * 1e6, FULL * 125e6
    growth = lead.memory(1) - lead.memory(0)
    return [
        Limit("the pace as shipped", PACE_PER_S, "`worker.rate_per_second`; yours to raise"),
        Limit("a worker process, by its core", core / lead.worker_us, f"{lead.worker_us:,.0f} µs of Python a lead"),
        Limit("a worker process, by its slots", SLOTS_MOST / JOB_S, f"{SLOTS_MOST} slots, {JOB_S:g} s a lead"),
        Limit("a web process, by its core", core / lead.door_us, f"{lead.door_us:,.0f} µs of Python a signed webhook"),
        Limit(
            "one Redis, by its core",
            core / lead.redis_us,
            f"{lead.redis_us:,.0f} µs and {lead.commands:,.0f} commands a lead",
        ),
        Limit("1 Gbit/s to the vendors", line / lead.vendor_wire, f"{lead.vendor_wire / 1000:.1f} kB a lead"),
        Limit("1 Gbit/s to Redis", line / lead.redis_wire, f"{lead.redis_wire / 1000:.1f} kB a lead"),
        Limit(
            "one Redis of 16 GB, by what it remembers",
            MEMORY_FULL * 16e9 / growth,
            f"{growth / 1e9:.1f} GB for each lead a second, day and night, all of contacts never seen before",
        ),
    ]


@dataclass(frozen=True, slots=True)
class Need:
    """What a steady rate takes."""

    per_s: float
    lead: Lead

    @property
    def web_cores(self) -> float:
        return self.per_s * self.lead.door_us / 1e6

    @property
    def worker_cores(self) -> float:
        return self.per_s * self.lead.worker_us / 1e6

    @property
    def redis_cores(self) -> float:
        return self.per_s * self.lead.redis_us / 1e6

    @property
    def worker_processes(self) -> int:
        return max(1, math.ceil(self.worker_cores / FULL), math.ceil(self.per_s * JOB_S / SLOTS_MOST))

    @property
    def web_processes(self) -> int:
        return max(1, math.ceil(self.web_cores / FULL))

    @property
    def masters_by_core(self) -> int:
        return max(1, math.ceil(self.redis_cores / FULL))

    @property
    def memory(self) -> float:
        """Bytes of RAM for all masters together."""
        return self.lead.memory(self.per_s) / MEMORY_FULL

    @property
    def locations(self) -> int:
        """At least so many, were they all alike."""
        return math.ceil(self.per_s * self.lead.crm_calls * DAY_S / LOCATION_CALLS_PER_DAY)

    @property
    def keys(self) -> tuple[int, int]:
        """RealEstateAPI's keys, by calls a second and by the day's credits: of the newer page, and of the older."""
        low, high = KEY_CREDITS_PER_DAY
        return self._keys(high), self._keys(low)

    def _keys(self, credits_a_day: int) -> int:
        return math.ceil(max(self.per_s / KEY_CALLS_PER_S, self.per_s * DAY_S / credits_a_day))
