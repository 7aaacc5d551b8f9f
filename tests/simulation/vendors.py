"""HighLevel and the seller of records, in memory: they do what they are asked, unless the weather is bad."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from pipeline_world import SAMPLE

from leadenrich.core.address import NormalAddress
from leadenrich.core.contact import Contact, CustomField
from leadenrich.core.errors import Permanent, ProviderOut, Throttled, Transient, Trouble
from leadenrich.core.job import Reason
from leadenrich.core.lead import FieldValue
from leadenrich.core.property import Found, LookupAnswer, NoMatch
from leadenrich.enrich.mapping import compile_mapping
from simulation.clock import VirtualTime

LOCATION = "loc1"
SELLER, GHL = "realestateapi", f"ghl:{LOCATION}"
TIMEOUT_S = 15.0
DATES_OF_RUN = frozenset({"id_enriched_at"})
STATUS = "id_enrichment_status"


@dataclass(frozen=True, slots=True)
class Sale:
    address_key: str
    job_id: str
    at: float
    found: bool


@dataclass(frozen=True, slots=True)
class Write:
    """A write as HighLevel carried it out. `news`: it changed something besides the date of the run."""

    kind: str
    contact_id: str
    job_id: str
    news: bool
    value: str
    at: float


class Weather:
    """What is wrong with a provider, and from when to when; drawn by the seed, over at `calm_at`."""

    def __init__(self, rng: Random, clock: VirtualTime, *, calm_at: float, storms: int, wildness: float) -> None:
        self._rng, self._clock, self._calm_at, self._wildness = rng, clock, calm_at, wildness
        kinds = ("throttle", "5xx", "hang", "lost", "auth", "refused", "credit-or-403")
        self._storms: dict[str, list[tuple[float, float, str]]] = {SELLER: [], GHL: []}
        for _ in range(storms):
            begin = clock.now + rng.uniform(5, max(6.0, (calm_at - clock.now) * 0.9))
            name = rng.choice((SELLER, GHL))
            self._storms[name].append((begin, min(begin + rng.uniform(2, 60), calm_at), rng.choice(kinds)))

    def order(self, kind: str, *, for_s: float, provider: str = SELLER) -> None:
        """A storm from now on."""
        self._storms[provider].append((self._clock.now, self._clock.now + for_s, kind))

    def of(self, provider: str) -> str:
        """The fault that the next call meets; "" for none."""
        now = self._clock.now
        for begin, end, kind in self._storms[provider]:
            if begin <= now < end:
                return kind
        if now < self._calm_at and self._rng.random() < self._wildness:
            return self._rng.choice(("5xx", "hang", "lost", "throttle", "refused"))
        return ""


class Vendors:
    """Both, for all daemons. `no_match` decides by address which houses the seller does not know."""

    def __init__(self, clock: VirtualTime, rng: Random, weather: Weather) -> None:
        self.clock, self.rng, self.weather = clock, rng, weather
        self.contacts: dict[str, Contact] = {}
        entries = compile_mapping("standard", {}).entries
        self.fields = {it.key: CustomField(f"id_{it.key}", it.key, it.name, it.data_type) for it in entries}
        self.sales: list[Sale] = []
        self.writes: list[Write] = []
        self.calls: Counter[str] = Counter()

    def sell(self, address: NormalAddress, job_id: str) -> LookupAnswer:
        found = known_to_seller(address.house)
        self.sales.append(Sale(address.key, job_id, self.clock.now, found))
        if found:
            return Found(record_of(address), str(190_000_000 + house_number(address.house)))
        return NoMatch("no such house")

    def contact(self, contact_id: str) -> Contact:
        if contact_id not in self.contacts:
            raise Permanent("contact not found", reason=Reason.CONTACT_NOT_FOUND, provider=GHL, status=400)
        return self.contacts[contact_id]

    def put(self, contact_id: str, fields: Mapping[str, FieldValue], job_id: str) -> Mapping[str, FieldValue]:
        contact = self.contact(contact_id)
        held = {**contact.custom_fields, **fields}
        changed = {name for name in fields if contact.custom_fields.get(name) != fields[name]} - DATES_OF_RUN
        kind = "mark" if fields.keys() == {STATUS} else "put"
        self._wrote(kind, contact_id, job_id, bool(changed), str(fields.get("id_estimated_value", "")))
        self.contacts[contact_id] = replace(contact, custom_fields=held)
        return held

    def tag(self, contact_id: str, add: Sequence[str], remove: Sequence[str], job_id: str) -> None:
        contact = self.contact(contact_id)
        gone = {tag.casefold() for tag in remove}
        tags = tuple(dict.fromkeys([*(it for it in contact.tags if it not in gone), *(it.casefold() for it in add)]))
        self._wrote("tags", contact_id, job_id, tags != contact.tags, ",".join((*add, *(f"-{it}" for it in remove))))
        self.contacts[contact_id] = replace(contact, tags=tags)

    def _wrote(self, kind: str, contact_id: str, job_id: str, news: bool, value: str) -> None:
        self.writes.append(Write(kind, contact_id, job_id, news, value, self.clock.now))


class Port:
    """One daemon's clients for both vendors, as enrich.needs.Crm and PropertySource ask for them."""

    name = SELLER

    def __init__(self, vendors: Vendors) -> None:
        self._vendors = vendors
        self.cut = False

    async def contact(self, location_id: str, contact_id: str) -> Contact:
        return await self._call(GHL, "contact", lambda: self._vendors.contact(contact_id))

    async def custom_fields(self, location_id: str, *, refresh: bool = False) -> Mapping[str, CustomField]:
        return self._vendors.fields

    async def update_fields(
        self, location_id: str, contact_id: str, fields: Mapping[str, FieldValue]
    ) -> Mapping[str, FieldValue]:
        job_id, sent = job_in_hand(), dict(fields)
        return await self._call(GHL, "put", lambda: self._vendors.put(contact_id, sent, job_id))

    async def add_tags(self, location_id: str, contact_id: str, tags: Sequence[str]) -> None:
        job_id = job_in_hand()
        await self._call(GHL, "tags", lambda: self._vendors.tag(contact_id, tags, (), job_id))

    async def remove_tags(self, location_id: str, contact_id: str, tags: Sequence[str]) -> None:
        job_id = job_in_hand()
        await self._call(GHL, "tags", lambda: self._vendors.tag(contact_id, (), tags, job_id))

    async def notes(self, location_id: str, contact_id: str) -> Sequence[str]:
        raise AssertionError("notes are off")

    async def add_note(self, location_id: str, contact_id: str, body: str) -> None:
        raise AssertionError("notes are off")

    async def lookup(self, address: NormalAddress, *, location_id: str) -> LookupAnswer:
        job_id = job_in_hand()
        return await self._call(SELLER, "lookup", lambda: self._vendors.sell(address, job_id))

    async def check(self, provider: str) -> None:
        """One free call that tells whether the provider serves us."""
        await self._call(provider, "check", lambda: None)

    async def _call(self, provider: str, what: str, act: Callable[[], Any]) -> Any:
        """A request that has left is carried out, whether or not somebody still waits for its answer."""
        if self.cut:
            raise asyncio.CancelledError
        world, loop = self._vendors, asyncio.get_running_loop()
        world.calls[what] += 1
        fault = world.weather.of(provider)
        answer: asyncio.Future[Any] = loop.create_future()
        there_s, back_s = world.rng.choice((0.02, 0.1, 0.4)), world.rng.choice((0.02, 0.1, 0.4, 2.0))
        if fault == "refused":
            raise Transient("connection refused", provider=provider, sent=False)
        loop.call_later(there_s, self._carry_out, act, answer, fault, back_s, provider)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await answer
        except TimeoutError:
            raise Transient("no answer in time", provider=provider) from None

    def _carry_out(
        self, act: Callable[[], Any], answer: asyncio.Future[Any], fault: str, back_s: float, provider: str
    ) -> None:
        loop, until_ms = asyncio.get_running_loop(), self._vendors.clock.true_ms() + 12_000
        troubles: dict[str, Trouble] = {
            "5xx": Transient("HTTP 502", provider=provider, status=502),
            "throttle": Throttled("HTTP 429", provider=provider, until_ms=until_ms),
            "auth": ProviderOut("HTTP 401", provider=provider, kind="auth", status=401),
            "credit-or-403": ProviderOut("HTTP 403", provider=provider, kind="auth", status=403),
        }
        if fault in troubles:
            loop.call_later(back_s, _settle, answer, troubles[fault])
            return
        try:
            value = act()
        except Permanent as error:
            value = error
        if fault == "lost":
            value = Transient("the connection broke before the answer", provider=provider)
        if fault != "hang":
            loop.call_later(back_s, _settle, answer, value)


def _settle(answer: asyncio.Future[Any], value: Any) -> None:
    if answer.done():
        return
    if isinstance(value, Exception):
        answer.set_exception(value)
        answer.exception()  # whoever asked may be gone
    else:
        answer.set_result(value)


def job_in_hand() -> str:
    """The job that the running task is about; "" for a mark that the watch leaves."""
    task = asyncio.current_task()
    name = task.get_name() if task else ""
    return name.removeprefix("job-") if name.startswith("job-") else ""


def house_number(house: str) -> int:
    return int(re.sub(r"\D", "", house) or 0)


def known_to_seller(house: str) -> bool:
    return house_number(house) % 7 != 0


def value_of(house: str) -> int:
    """What the seller says a house is worth: it tells records apart."""
    return 300_000 + house_number(house)


def record_of(address: NormalAddress) -> dict[str, Any]:
    data = SAMPLE["data"]
    place = {"house": address.house, "city": address.city, "state": address.state, "zip": address.zip5}
    info = {**data["propertyInfo"], "address": {**data["propertyInfo"]["address"], **place}}
    return {"live": True, "data": {**data, "estimatedValue": value_of(address.house), "propertyInfo": info}}
