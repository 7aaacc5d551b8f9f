"""What must be true of a world at its end, whatever the seed drew: each truth gives the sentences against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from leadenrich.core.job import TERMINAL
from leadenrich.core.lead import PostalAddress
from leadenrich.store.job_view import TimelineEntry, job_view
from leadenrich.store.schema import credits_key
from simulation.vendors import LOCATION, SELLER, value_of
from simulation.world import World

ENDS = frozenset({"completed", "failed"})
TAGS_OF_OUTCOMES = frozenset({"qualified", "review", "enrich_no_match", "enrich_no_address"})


class Truths:
    def __init__(self, world: World) -> None:
        self._world = world
        self._keys = world.keys

    def contradictions(self) -> list[str]:
        return self._held_against(
            self.all_ended, self.one_place_each, self.counts_are_right, self.ended_once, self.nobody_alive_was_robbed,
            self.paid_once, self.credits_cover_sales, self.no_write_twice, self.contacts_show_their_last_job,
            self.keys_are_bounded,
        )  # fmt: skip

    def _held_against(self, *checks: Callable[[], Iterator[str]]) -> list[str]:
        with self._world.clock.installed():  # Redis is asked at the world's time, not at ours
            return [f"{check.__name__}: {sentence}" for check in checks for sentence in check()]

    def _ask(self, *command: Any) -> Any:
        return self._world.redis.execute(*command)

    @cached_property
    def names(self) -> list[str]:
        return sorted(name.decode() for name in self._ask("KEYS", "*"))

    @cached_property
    def jobs(self) -> dict[str, dict[str, str]]:
        mark = self._keys.job("")
        return {name.removeprefix(mark): self._hash(name) for name in self.names if name.startswith(mark)}

    def _hash(self, name: str) -> dict[str, str]:
        return {key.decode(): value.decode("utf-8", "replace") for key, value in self._ask("HGETALL", name).items()}

    def _timeline(self, job_id: str) -> list[TimelineEntry]:
        raw, lines = self._ask("HGETALL", self._keys.job(job_id)), self._ask("GET", self._keys.timeline(job_id))
        view = job_view(job_id, raw, None, lines, {})
        return view.timeline if view else []

    # --- nothing is lost -------------------------------------------------------------------------------------------

    def all_ended(self) -> Iterator[str]:
        accepted = {receipt.job_id for _, receipt in self._world.people.answers if receipt.job_id}
        if lost := accepted - self.jobs.keys():
            yield f"accepted, but unknown at the end: {sorted(lost)}"
        for job_id, job in self.jobs.items():
            if job.get("state") not in TERMINAL:
                yield f"{job_id} is {job.get('state')}"

    def one_place_each(self) -> Iterator[str]:
        sets = {"SUCCEEDED": self._keys.done, "FAILED_FINAL": self._keys.dead}
        members = {state: {it.decode() for it in self._ask("ZRANGE", key, 0, -1)} for state, key in sets.items()}
        for state, ids in members.items():
            wanted = {job_id for job_id, job in self.jobs.items() if job["state"] == state}
            if ids != wanted:
                yield f"{state}: {sorted(ids ^ wanted)} is there or in the job's own words, not both"
        if self._world.busy():
            yield f"still busy: {self._world.busy()}"

    def counts_are_right(self) -> Iterator[str]:
        real = Counter(f"{job['lane']}:{job['state']}" for job in self.jobs.values())
        told = {name: int(value) for name, value in self._hash(self._keys.counts).items()}
        for lane in ("live", "bulk"):
            for state in ("QUEUED", "PROCESSING", "RETRY_SCHEDULED", "SUCCEEDED", "FAILED_FINAL"):
                name = f"{lane}:{state}"
                if told.get(name, 0) != real[name]:
                    yield f"{name} is {told.get(name, 0)}, really {real[name]}"
        reasons = Counter(f"reason:{job['reason']}" for job in self.jobs.values() if job.get("reason"))
        for name, many in reasons.items():
            if told.get(name, 0) != many:
                yield f"{name} is {told.get(name, 0)}, really {many}"

    def ended_once(self) -> Iterator[str]:
        for job_id in self.jobs:
            events = [entry["event"] for entry in self._timeline(job_id)]
            if sum(event in ENDS for event in events) != 1 or events[-1] not in ENDS:
                yield f"{job_id} ended otherwise than once: {events}"

    def nobody_alive_was_robbed(self) -> Iterator[str]:
        """Only a job whose process is gone is taken back: killed, or ended while a claim's answer was lost."""
        gone = {boot.owner for boot in self._world.boots if boot.gone_at is not None}
        for job_id in self.jobs:
            for entry in self._timeline(job_id):
                if entry["event"] == "stalled" and entry["by"] not in gone:
                    yield f"{job_id} was taken from {entry['by']}, which lived"

    # --- nothing is bought twice -----------------------------------------------------------------------------------

    def paid_once(self) -> Iterator[str]:
        """An address is sold once, and once more for each purchase that is shown as unknown."""
        sales = Counter(sale.address_key for sale in self._world.vendors.sales)
        for address, many in sales.items():
            buyers = {sale.job_id for sale in self._world.vendors.sales if sale.address_key == address}
            shown = sum(self._unknown(job_id) for job_id in buyers)
            if many > 1 + shown:
                yield f"{address} was sold {many} times, {shown} of them shown as unknown, to {sorted(buyers)}"

    def _unknown(self, job_id: str) -> int:
        """Look-ups of a job whose answer nobody got: those that were counted, and one that nobody asked about again."""
        shown = 0
        for name, value in self._hash(self._keys.steps(job_id)).items():
            if name.startswith("lookup") and ":" not in name:
                _, ended, _, _, unknown = value.split("|")
                shown += int(unknown) + (not ended)
        return shown

    def credits_cover_sales(self) -> Iterator[str]:
        """The budget may count a call that never reached the seller, but none may escape it."""
        names = [name for name in self.names if name.startswith(credits_key(SELLER, ""))]
        counted, sold = sum(int(self._ask("GET", name)) for name in names), len(self._world.vendors.sales)
        if counted < sold:
            yield f"{sold} sales, {counted} counted"

    # --- nothing is written twice ----------------------------------------------------------------------------------

    def no_write_twice(self) -> Iterator[str]:
        """A run after the first one reads the contact and writes only what is missing; one answer, one write."""
        for write in self._world.vendors.writes:
            runs = sum(at <= write.at for at in self._world.starts.get(write.job_id, ()))
            if write.kind != "mark" and not write.news and runs > 1:
                yield f"{write} changed nothing, in run {runs}"
        puts = Counter((it.job_id, it.value) for it in self._world.vendors.writes if it.kind == "put" and it.value)
        for (job_id, value), many in puts.items():
            if many > 1:
                yield f"{job_id} wrote the record of {value} {many} times"

    def contacts_show_their_last_job(self) -> Iterator[str]:
        """A contact whose last job found its house carries that house's record and one tag of an outcome."""
        for contact_id, contact in self._world.vendors.contacts.items():
            job = self.jobs.get(self._hash(self._keys.seen(LOCATION, contact_id)).get("job", ""))
            if job is None or job.get("outcome") not in ("QUALIFIED", "REVIEW"):
                continue
            wanted = expected_value(contact.address)
            held = str(contact.custom_fields.get("id_estimated_value"))
            if wanted is not None and held != str(wanted):
                yield f"{contact_id} shows {held}, its house has {wanted}"
            if len(TAGS_OF_OUTCOMES & set(contact.tags)) != 1:
                yield f"{contact_id} is tagged {contact.tags}"

    # --- nothing grows for ever ------------------------------------------------------------------------------------

    def keys_are_bounded(self) -> Iterator[str]:
        keys = self._keys
        bounded = {keys.done, keys.dead, keys.events, keys.counts, keys.meta, keys.workers, keys.wake}
        parts = (keys.job, keys.load, keys.timeline, keys.steps)
        of_jobs = {part(job_id) for job_id in self.jobs for part in parts}
        for name in self.names:
            if name not in bounded and name not in of_jobs and self._ask("PTTL", name) < 0:
                yield f"{name} lives for ever"
        for job_id in self.jobs:
            for name in (keys.load(job_id), keys.steps(job_id)):
                if name in self.names and self._ask("PTTL", name) < 0:
                    yield f"{name} outlives its job's end"


def expected_value(address: PostalAddress) -> int | None:
    house = address.line1.partition(" ")[0]
    return value_of(house) if house.isdigit() else None
