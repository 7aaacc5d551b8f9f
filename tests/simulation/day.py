"""A day in seconds: windows that open and close, retention, the budget that begins anew at midnight UTC."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from leadenrich.config import QueueSettings, RealEstateApiSettings
from simulation.clock import BEGIN_S
from simulation.daemon import Setting
from simulation.people import People
from simulation.truths import Truths
from simulation.vendors import Vendors, Weather
from simulation.world import World

HOUR_S = 3600.0
DEDUP_H, DELIVERY_H, RETENTION_H, CACHE_H = 6, 12, 3, 8
KEEP_SUCCEEDED, KEEP_FAILED = 20, 4
# Of one contact whose address stays the same: known still, run again from the cache, run again and bought again.
REPEATS = {1.0: "duplicate", DEDUP_H + 1.0: "queued", 2 * DEDUP_H + 2.0: "queued"}
SPEND = 0.7  # the share of a day's leads that the budget pays for


class Day(World):
    """26 hours of good weather from 23:55 on: a lead each `lead_every_s`, windows of hours instead of days."""

    def __init__(self, *, lead_every_s: float, lease_s: float) -> None:
        super().__init__(1, minutes=26 * 60)
        self.lead_every_s = lead_every_s
        self.budget = round(SPEND * 24 * HOUR_S / lead_every_s)
        self.setting = Setting(
            QueueSettings(
                lease=lease_s,
                dedup_window=DEDUP_H * HOUR_S,
                delivery_window=DELIVERY_H * HOUR_S,
                payload_retention=RETENTION_H * HOUR_S,
                keep_succeeded=KEEP_SUCCEEDED,
                keep_failed=KEEP_FAILED,
            ),
            RealEstateApiSettings(daily_credits=self.budget, cache_ttl=CACHE_H * HOUR_S, cache_miss_ttl=HOUR_S),
            concurrency=5,
            duplicates=False,
            jitter=0.0,
        )
        good = Weather(self.rng, self.clock, calm_at=self.clock.now, storms=0, wildness=0.0)
        self.vendors = Vendors(self.clock, self.rng, good)
        window_s = DELIVERY_H * HOUR_S
        self.people = People(self.clock, self.rng, self.vendors, self.deliver, delivery_window_s=window_s)
        self.waiting: list[tuple[float, int]] = []
        self.answered_at: dict[str, float] = {}

    async def _run(self) -> None:
        self._boot("host0:8080")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._leads())
            group.create_task(self._one_again_and_again())
        await self._rest()
        for daemon in self._live.values():
            daemon.end()
            await daemon.gone()

    async def _leads(self) -> None:
        number = 1
        while self.clock.now < self.end_at - HOUR_S:
            self.people.create(f"c{number:05d}")
            number += 1
            await asyncio.sleep(self.lead_every_s)
            self.waiting.append((self.hour, len(self.redis.execute("ZRANGE", self.keys.sched, 0, -1))
                                 + self.redis.execute("LLEN", self.keys.wait_live)))  # fmt: skip

    @property
    def hour(self) -> float:
        """Hours since the beginning, which is five minutes before midnight."""
        return (self.clock.now - 1000.0) / HOUR_S

    async def _one_again_and_again(self) -> None:
        self.people.create("again", "9999 Evergreen Terrace")
        for hour in REPEATS:
            await asyncio.sleep(hour * HOUR_S - (self.clock.now - 1000.0))
            self.people.tell("again", "create")


class TruthsOfTheDay(Truths):
    """What must be true after a day. What retention removed cannot be asked any more, the rest must fit the model."""

    def __init__(self, day: Day) -> None:
        super().__init__(day)
        self._day = day

    def contradictions(self) -> list[str]:
        return self._held_against(
            self.one_place_each, self.counts_are_right_for_what_is_kept, self.keys_are_bounded, self.retention,
            self.the_budget, self.the_repeats, self.windows,
        )  # fmt: skip

    def counts_are_right_for_what_is_kept(self) -> Iterator[str]:
        real = Counter(f"{job['lane']}:{job['state']}" for job in self.jobs.values())
        told = self._hash(self._keys.counts)
        for name, value in told.items():
            if name.startswith(("live:", "bulk:")) and int(value) != real[name]:
                yield f"{name} is {value}, really {real[name]}"

    def retention(self) -> Iterator[str]:
        done, dead = self._ask("ZCARD", self._keys.done), self._ask("ZCARD", self._keys.dead)
        if (done, dead) != (KEEP_SUCCEEDED, KEEP_FAILED):
            yield f"{done} succeeded and {dead} failed jobs are kept"
        now_ms = self._world.clock.true_ms()
        for job_id, job in self.jobs.items():
            kept = self._ask("EXISTS", self._keys.load(job_id)) == 1
            age_h = (now_ms - int(job["finished"])) / 3_600_000
            if kept != (age_h < RETENTION_H):
                yield f"{job_id}'s payload is {'kept' if kept else 'gone'} {age_h:.1f} h after its end"

    def the_budget(self) -> Iterator[str]:
        days = Counter(datetime.fromtimestamp(BEGIN_S + it.at - 1000, UTC).date() for it in self._world.vendors.sales)
        if len(days) != 3:
            yield f"sales on {sorted(days)}"
        if max(days.values()) != self._day.budget:
            yield f"{days} sales with a budget of {self._day.budget}: it was never spent, or overspent"
        if not any(hour < 24 and many > 2 for hour, many in self._day.waiting):
            yield "nobody waited for midnight"

    def the_repeats(self) -> Iterator[str]:
        verbs: dict[str, str] = {}
        for submission, receipt in self._world.people.answers:
            if submission.lead.contact_id == "again" and submission.lead.kind == "create":
                first = verbs.get(submission.delivery_key) == "queued" or receipt.verb == "queued"
                verbs[submission.delivery_key] = "queued" if first else receipt.verb
        if list(verbs.values()) != ["queued", *REPEATS.values()]:
            yield f"the same lead again was answered {list(verbs.values())}"
        sold = sum(sale.address_key.startswith("9999|") for sale in self._world.vendors.sales)
        if sold != 2:
            yield f"its house was sold {sold} times"

    def windows(self) -> Iterator[str]:
        """As many deliveries and properties are remembered as came within their windows."""
        marks = sum(name.startswith(self._keys.dedup("")) for name in self.names)
        began_at = self._world.clock.now - DELIVERY_H * HOUR_S
        recent = [when for when in self._world.people.kept.values() if when > began_at]
        if marks != len(recent):
            yield f"{marks} deliveries are remembered, {len(recent)} came within the window"
        records = sum(name.endswith(":record") for name in self.names)
        since = self._world.clock.now - CACHE_H * HOUR_S
        found = {it.address_key for it in self._world.vendors.sales if it.at > since and it.found}
        missed = {it.address_key for it in self._world.vendors.sales
                  if it.at > self._world.clock.now - HOUR_S and not it.found}  # fmt: skip
        if records != len(found | missed):
            yield f"{records} properties are cached, {len(found | missed)} were sold within the window"
