"""What costs money is bought once: in one process, over several, and across deaths."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from leadenrich.config import RealEstateApiSettings
from leadenrich.core.address import NormalAddress
from leadenrich.core.errors import LostLease, Permanent, ProviderOut, Throttled, Transient
from leadenrich.core.job import Reason, StepRecord
from leadenrich.core.property import BadAddress, Found, LookupAnswer, NoMatch
from leadenrich.store.boots import Boots
from leadenrich.store.connection import Connection
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.purchases import Purchases
from leadenrich.store.schema import Keys, property_keys

HOME = NormalAddress("742", "EVERGREEN TER", "", "SPRINGFIELD", "IL", "62704")
RECORD = Found({"data": {"id": 1, "note": "é", "none": None, "list": []}}, "1")


@dataclass
class Seller:
    """Sells when it is let; counts the calls that reached it."""

    name: str = "realestateapi"
    answer: LookupAnswer | BaseException = RECORD
    calls: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def lookup(self, address: NormalAddress, *, location_id: str) -> LookupAnswer:
        self.calls += 1
        self.asked.set()
        await self.open.wait()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Notes:
    """One job's checkpoints. `broken` names the verb that fails, and how."""

    def __init__(self, **broken: Exception) -> None:
        self.known: dict[str, StepRecord] = {}
        self.broken = broken
        self.verbs: list[str] = []

    def get(self, name: str) -> StepRecord | None:
        return self.known.get(name)

    def _do(self, verb: str) -> None:
        self.verbs.append(verb)
        if verb in self.broken:
            raise self.broken[verb]

    async def intend(self, name: str) -> None:
        self._do("intend")

    async def withdraw(self, name: str) -> None:
        self._do("withdraw")

    async def record(self, name: str, result: bytes, *, cached: bool = False, credits: int = 0) -> None:
        self._do("record")
        self.known[name] = StepRecord(name, 1, 2, cached, credits, result)


class Shop:
    def __init__(self, connection: Connection, seller: Seller, flight_s: float, settings: dict[str, Any]) -> None:
        self.connection = connection
        self.seller = seller
        self.paid: list[int] = []
        self.purchases = Purchases(
            connection, seller, RealEstateApiSettings(**settings), flight_s=flight_s, on_credit=self.paid.append
        )

    async def buy(self, notes: Notes | None = None, address: NormalAddress = HOME) -> tuple[LookupAnswer, bool]:
        return await self.purchases.buy(address, location_id="loc1", steps=notes or Notes(), step="lookup")

    async def credits(self) -> int:
        [key] = await self.connection.execute("KEYS", "le:{credits:realestateapi}:*") or [b"none"]
        return int(await self.connection.execute("GET", key) or 0)

    async def in_flight(self) -> bool:
        return bool(await self.connection.execute("EXISTS", property_keys("realestateapi", HOME.key)[1]))


OpenShop = Callable[..., Shop]


@pytest.fixture
def seller() -> Seller:
    return Seller()


@pytest.fixture
def open_shop(connection: Connection, seller: Seller) -> OpenShop:
    """One process's purchases; several shops are several processes."""
    return lambda flight_s=30.0, **settings: Shop(connection, seller, flight_s, settings)


# --- one sale for all ----------------------------------------------------------------------------------------------


async def test_many_buyers_in_one_process_share_one_call(open_shop: OpenShop, seller: Seller) -> None:
    shop, notes = open_shop(), [Notes() for _ in range(20)]
    seller.open.clear()
    buyers = [asyncio.create_task(shop.buy(note)) for note in notes]
    await seller.asked.wait()
    seller.open.set()
    answers = await asyncio.gather(*buyers)
    assert seller.calls == 1
    assert [answer for answer, _ in answers] == [RECORD] * 20
    assert sorted(cached for _, cached in answers) == [False] + [True] * 19
    assert sum(note.known["lookup"].credits for note in notes) == 1
    assert (await shop.credits(), shop.paid) == (1, [1])


async def test_buyers_in_two_processes_share_one_call(
    open_shop: OpenShop, seller: Seller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadenrich.store.purchases.FLIGHT_LOOK_S", 0.01)
    first, second = open_shop(), open_shop()
    seller.open.clear()
    one = asyncio.create_task(first.buy())
    await seller.asked.wait()
    others = [asyncio.create_task(second.buy()) for _ in range(5)]
    await asyncio.sleep(0.05)  # several looks of the second process
    assert not any(task.done() for task in others)
    seller.open.set()
    assert await one == (RECORD, False)
    assert await asyncio.gather(*others) == [(RECORD, True)] * 5
    assert (seller.calls, await first.credits()) == (1, 1)


async def test_even_without_a_cache_those_who_waited_share_the_call(open_shop: OpenShop, seller: Seller) -> None:
    shop = open_shop(cache_ttl=0.0)
    seller.open.clear()
    lost = Notes(record=LostLease("gone"))
    buyers = [asyncio.create_task(shop.buy(notes)) for notes in (lost, Notes(), Notes())]
    await seller.asked.wait()
    seller.open.set()
    answers = await asyncio.gather(*buyers, return_exceptions=True)
    assert isinstance(answers[0], LostLease)
    assert answers[1:] == [(RECORD, True)] * 2
    assert seller.calls == 1


async def test_what_was_bought_is_not_bought_again(open_shop: OpenShop, seller: Seller) -> None:
    assert await open_shop().buy() == (RECORD, False)
    assert await open_shop().buy() == (RECORD, True)
    assert seller.calls == 1


async def test_another_house_is_another_purchase(open_shop: OpenShop, seller: Seller) -> None:
    shop = open_shop()
    await shop.buy()
    await shop.buy(address=NormalAddress("744", "EVERGREEN TER", "", "SPRINGFIELD", "IL", "62704"))
    assert seller.calls == 2


async def test_a_run_that_finds_its_own_result_asks_nobody(open_shop: OpenShop, seller: Seller) -> None:
    shop, notes = open_shop(cache_ttl=0.0), Notes()
    await shop.buy(notes)
    notes.verbs.clear()
    assert await shop.buy(notes) == (RECORD, True)
    assert (seller.calls, notes.verbs) == (1, [])


@pytest.mark.parametrize(
    ("answer", "member"),
    [(RECORD, "cache_ttl"), (NoMatch("none"), "cache_miss_ttl"), (BadAddress("zip"), "cache_miss_ttl")],
)
async def test_an_answer_is_kept_as_long_as_its_kind_says(
    open_shop: OpenShop, seller: Seller, answer: LookupAnswer, member: str
) -> None:
    seller.answer = answer
    shop = open_shop(**{member: 50.0})
    await shop.buy()
    record, _ = property_keys("realestateapi", HOME.key)
    assert 0 < await shop.connection.execute("PTTL", record) <= 50_000
    assert await shop.buy() == (answer, True)


@pytest.mark.parametrize(("answer", "member"), [(RECORD, "cache_ttl"), (NoMatch("none"), "cache_miss_ttl")])
async def test_a_time_of_zero_switches_the_cache_off(
    open_shop: OpenShop, seller: Seller, answer: LookupAnswer, member: str
) -> None:
    seller.answer = answer
    shop = open_shop(**{member: 0.0})
    await shop.buy()
    await shop.buy()
    assert seller.calls == 2
    assert await shop.connection.execute("EXISTS", property_keys("realestateapi", HOME.key)[0]) == 0


async def test_the_keys_show_no_addresses(open_shop: OpenShop) -> None:
    shop = open_shop()
    await shop.buy()
    assert not [key for key in await shop.connection.execute("KEYS", "*") if b"EVERGREEN" in key.upper()]


# --- failures ------------------------------------------------------------------------------------------------------

NOT_SOLD = [
    Throttled("429", provider="realestateapi", until_ms=1),
    ProviderOut("402", provider="realestateapi", kind="credit"),
    Transient("503", provider="realestateapi", status=503),
    Transient("refused", provider="realestateapi", sent=False),
    Permanent("422", reason=Reason.REJECTED_BY_PROVIDER),
]
MAYBE_SOLD = [Transient("the answer broke off", provider="realestateapi"), asyncio.CancelledError()]


@pytest.mark.parametrize("error", NOT_SOLD, ids=str)
async def test_a_refusal_gives_the_credit_back_and_frees_the_flight(
    open_shop: OpenShop, seller: Seller, error: Exception
) -> None:
    shop, notes = open_shop(), Notes()
    seller.answer = error
    with pytest.raises(type(error)):
        await shop.buy(notes)
    assert (await shop.credits(), await shop.in_flight(), shop.paid) == (0, False, [])
    assert notes.verbs == ["intend", "withdraw"]
    seller.answer = RECORD
    assert await shop.buy() == (RECORD, False)


@pytest.mark.parametrize("error", MAYBE_SOLD, ids=repr)
async def test_a_call_whose_answer_was_lost_may_have_been_paid(
    open_shop: OpenShop, seller: Seller, error: BaseException
) -> None:
    shop, notes = open_shop(), Notes()
    seller.answer = error
    with pytest.raises(type(error)):
        await shop.buy(notes)
    assert (await shop.credits(), await shop.in_flight()) == (1, False)
    assert notes.verbs == ["intend"]


@pytest.mark.parametrize("error", [LostLease("gone"), StoreUnavailable("away")], ids=repr)
async def test_without_a_written_intent_nothing_is_asked_and_no_credit_spent(
    open_shop: OpenShop, seller: Seller, error: Exception
) -> None:
    shop = open_shop()
    with pytest.raises(type(error)):
        await shop.buy(Notes(intend=error))
    assert (seller.calls, await shop.credits(), await shop.in_flight()) == (0, 0, False)


async def test_a_result_is_kept_although_the_lease_was_lost(open_shop: OpenShop, seller: Seller) -> None:
    shop = open_shop()
    with pytest.raises(LostLease):
        await shop.buy(Notes(record=LostLease("gone")))
    assert await open_shop().buy() == (RECORD, True)
    assert (seller.calls, shop.paid) == (1, [1])


async def test_one_of_those_who_waited_tries_itself_when_the_first_failed(open_shop: OpenShop, seller: Seller) -> None:
    shop = open_shop()
    seller.answer = Transient("503", provider="realestateapi", status=503)
    seller.open.clear()
    buyers = [asyncio.create_task(shop.buy()) for _ in range(3)]
    await seller.asked.wait()
    seller.open.set()
    answers = await asyncio.gather(*buyers, return_exceptions=True)
    assert all(isinstance(answer, Transient) for answer in answers)
    assert (seller.calls, await shop.credits()) == (3, 0)


async def test_a_cancelled_buyer_does_not_lose_the_others(open_shop: OpenShop, seller: Seller) -> None:
    shop = open_shop()
    seller.open.clear()
    first = asyncio.create_task(shop.buy())
    await seller.asked.wait()
    others = [asyncio.create_task(shop.buy()) for _ in range(3)]
    await asyncio.sleep(0)
    others[0].cancel()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    seller.open.set()
    answers = await asyncio.gather(*others[1:])
    assert [answer for answer, _ in answers] == [RECORD] * 2
    assert seller.calls == 2  # the first one's call may have sold; nobody knows


async def test_a_purchase_that_hangs_holds_others_for_the_flights_time_only(
    open_shop: OpenShop, seller: Seller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process died in the call: the mark expires, and another process buys."""
    monkeypatch.setattr("leadenrich.store.purchases.FLIGHT_LOOK_S", 0.01)
    record, flight = property_keys("realestateapi", HOME.key)
    shop = open_shop(flight_s=0.2)
    await shop.connection.execute("SET", flight, "dead", "PX", 200)
    assert await shop.buy() == (RECORD, False)
    await shop.connection.execute("DEL", record)
    await shop.connection.execute("SET", flight, "stuck")
    clock = SimpleNamespace(monotonic=iter(range(0, 1_000_000, 10)).__next__)
    monkeypatch.setattr("leadenrich.store.purchases.time", clock)
    with pytest.raises(Transient, match="another daemon"):
        await shop.buy()


async def test_a_dead_run_of_the_same_job_is_waited_for_only_as_long_as_a_call_takes(open_shop: OpenShop) -> None:
    """Another daemon took the job over: the dead one's mark must not hold it for the whole flight's time."""
    shop, flight = open_shop(timeout=0.3), property_keys("realestateapi", HOME.key)[1]
    await shop.connection.execute("SET", flight, "host:8080/0a1b:mark", "PX", 30_000)
    notes = Notes()
    notes.known["lookup"] = StepRecord("lookup", 1, by="host:8080/0a1b:7")
    stranger = asyncio.create_task(shop.buy())
    began = asyncio.get_running_loop().time()
    assert await open_shop(timeout=0.3).buy(notes) == (RECORD, False)
    assert 0.3 <= asyncio.get_running_loop().time() - began < 5
    assert await stranger == (RECORD, True), "another job waits, and gets what was bought"


async def test_a_process_whose_worker_was_restarted_is_not_waited_for(connection: Connection, seller: Seller) -> None:
    """It is dead, and not only silent: what it meant to buy it buys no more."""
    boots = Boots(connection, Keys("q"))
    await boots.announce("host:8080/0a1b")
    await boots.announce("host:8080/2c3d")
    settings = RealEstateApiSettings(timeout=30.0)
    purchases = Purchases(connection, seller, settings, flight_s=60, worker="other/1", is_over=boots.is_over)
    flight = property_keys("realestateapi", HOME.key)[1]
    await connection.execute("SET", flight, "host:8080/0a1b:mark", "PX", 60_000)
    began = asyncio.get_running_loop().time()  # no intent tells of it: it died before it wrote one
    assert await purchases.buy(HOME, location_id="loc1", steps=Notes(), step="lookup") == (RECORD, False)
    assert asyncio.get_running_loop().time() - began < 5


async def test_a_dead_process_is_waited_for_once_for_all_its_purchases(open_shop: OpenShop) -> None:
    """Its jobs come back one after the other: five look-ups cut off must not cost five waits."""
    shop, began = open_shop(timeout=0.5), asyncio.get_running_loop().time()
    for number in range(5):
        home = replace(HOME, house=str(number))
        flight = property_keys("realestateapi", home.key)[1]
        await shop.connection.execute("SET", flight, f"host:8080/0a1b:mark{number}", "PX", 30_000)
        notes = Notes()
        notes.known["lookup"] = StepRecord("lookup", 1, by=f"host:8080/0a1b:{number}")
        assert await shop.buy(notes, home) == (RECORD, False)
    assert 0.5 <= asyncio.get_running_loop().time() - began < 1.5


async def test_a_process_that_slept_before_is_waited_for_again(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It woke meanwhile and sleeps again: its answer may be on the way as before."""
    monkeypatch.setattr("leadenrich.store.purchases.FLIGHT_LOOK_S", 0.01)
    shop, waits = open_shop(timeout=0.2), []
    for number in range(2):
        await asyncio.sleep(0.3 * number)  # longer than a call takes, without a job of its
        home = replace(HOME, house=str(number))
        flight = property_keys("realestateapi", home.key)[1]
        await shop.connection.execute("SET", flight, f"host:8080/0a1b:mark{number}", "PX", 30_000)
        notes = Notes()
        notes.known["lookup"] = StepRecord("lookup", 1, by=f"host:8080/0a1b:{number}")
        began = asyncio.get_running_loop().time()
        await shop.buy(notes, home)
        waits.append(asyncio.get_running_loop().time() - began)
    assert min(waits) >= 0.2


# --- the budget ----------------------------------------------------------------------------------------------------


async def test_the_budget_of_a_day_is_kept_by_all_processes(open_shop: OpenShop, seller: Seller) -> None:
    shops = [open_shop(daily_credits=3, cache_ttl=0.0) for _ in range(2)]
    homes = [NormalAddress(str(number), "ELM ST", "", "SPRINGFIELD", "IL", "62704") for number in range(8)]
    answers = await asyncio.gather(
        *(shops[number % 2].buy(address=home) for number, home in enumerate(homes)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, ProviderOut)]
    assert (seller.calls, len(refused)) == (3, 5)
    assert {error.kind for error in refused} == {"budget"}
    assert all(error.until_ms for error in refused)
    assert await shops[0].credits() == 3


async def test_what_is_cached_needs_no_budget(open_shop: OpenShop) -> None:
    shop = open_shop(daily_credits=1)
    await shop.buy()
    assert await shop.buy() == (RECORD, True)


async def test_a_spent_budget_frees_the_flight(open_shop: OpenShop) -> None:
    shop = open_shop(daily_credits=1, cache_ttl=0.0)
    await shop.buy()
    with pytest.raises(ProviderOut):
        await shop.buy()
    assert not await shop.in_flight()


async def test_the_days_count_does_not_stay_for_ever(open_shop: OpenShop) -> None:
    shop = open_shop()
    await shop.buy()
    [key] = await shop.connection.execute("KEYS", "le:{credits:*")
    assert 86_400_000 < await shop.connection.execute("PTTL", key) <= 3 * 86_400_000
