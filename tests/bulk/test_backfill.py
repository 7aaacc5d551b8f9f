"""The contacts that a location had before the daemon came: which are wanted, and how their pages are read."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as aioredis
from daemon_process import as_toml, new_sandbox, people, settings_for
from redis_server import RedisServer

from leadenrich.bulk.backfill import ENRICHED, NO_ADDRESS, NO_TAG, TOO_OLD, TRIES, Chosen, pages
from leadenrich.cli.bulk_store import UNCHECKED
from leadenrich.core.contact import Contact
from leadenrich.core.errors import Throttled, Transient
from leadenrich.core.lead import PostalAddress
from leadenrich.providers.ghl_shapes import ContactPage, ListedContact, PageMark
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox

HOUSE = PostalAddress("742 Evergreen Ter", "Springfield", "IL", "62704")
DAY_MS = 86_400_000


def listed(added_day: int | None = 9, **more) -> ListedContact:
    contact = Contact(**{"contact_id": "c1", "location_id": "loc1", "address": HOUSE, **more})
    return ListedContact(contact, None if added_day is None else added_day * DAY_MS)


def chosen(**more) -> Chosen:
    usual = {
        "tag": "",
        "since_ms": 0,
        "status_fields": frozenset({"s1"}),
        "our_tags": frozenset({"qualified"}),
        "address_fields": frozenset({"a1"}),
    }
    return Chosen(**{**usual, **more})


@pytest.mark.parametrize(
    ("contact", "why"),
    [
        ({}, ""),
        ({"custom_fields": {"s1": "QUALIFIED"}}, ENRICHED),
        ({"custom_fields": {"s1": "NO_MATCH"}}, ENRICHED),
        ({"custom_fields": {"s1": "FAILED"}}, ""),  # for a reason of ours: again
        ({"tags": ("vip", "qualified")}, ENRICHED),
        ({"tags": ("qualified",), "custom_fields": {"s1": "FAILED"}}, ""),  # of an earlier run
        ({"tags": ("vip",), "custom_fields": {"other": "QUALIFIED"}}, ""),
        ({"address": PostalAddress()}, NO_ADDRESS),
        ({"address": PostalAddress(), "custom_fields": {"a1": "1 Elm St, Springfield, IL"}}, ""),
    ],
)
def test_enriched_contacts_and_those_without_an_address_are_left_out(contact, why: str) -> None:
    assert chosen().left_out(listed(**contact)) == why


def test_a_tag_and_a_date_choose() -> None:
    assert chosen(tag="vip").left_out(listed(tags=("vip",))) == ""
    assert chosen(tag="vip").left_out(listed()) == NO_TAG
    assert chosen(since_ms=10 * DAY_MS).left_out(listed(9)) == TOO_OLD
    assert chosen(since_ms=9 * DAY_MS).left_out(listed(9)) == ""
    assert chosen(since_ms=9 * DAY_MS).left_out(listed(None)) == "", "what tells no date is not lost for it"


class Search:
    """Answers pages, or raises, in turn."""

    def __init__(self, *answers: ContactPage | Exception) -> None:
        self.answers = list(answers)
        self.marks: list[PageMark | None] = []

    async def contact_page(self, location_id: str, mark: PageMark | None = None) -> ContactPage:
        self.marks.append(mark)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def page(*days: int, last: bool = False) -> ContactPage:
    return ContactPage(tuple(listed(day) for day in days), None if last else PageMark(1, (days[-1],)))


class Reader:
    """Reads all pages, noting waits instead of waiting."""

    def __init__(self, *pauses: str) -> None:
        self.pauses, self.told, self.slept = list(pauses), list[str](), list[float]()

    async def read(self, search: Search, since_day: int = 0) -> int:
        async def paused() -> str:
            return self.pauses.pop(0) if self.pauses else ""

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        found = pages(search, "loc1", since_ms=since_day * DAY_MS, paused=paused, on_wait=self.told.append, sleep=sleep)
        return len([it async for it in found])


async def test_each_page_is_asked_for_with_the_mark_of_the_one_before() -> None:
    search = Search(page(9, 8), page(7, 6), page(5, last=True))
    assert await Reader().read(search) == 3
    assert search.marks == [None, PageMark(1, (8,)), PageMark(1, (6,))]


async def test_it_stops_where_all_that_follow_are_too_old() -> None:
    assert await Reader().read(Search(page(9, 8), page(7, 6), page(5, 4)), since_day=7) == 2


@pytest.mark.parametrize("first", [page(3, 9), page(5, 4)])
async def test_it_does_not_stop_where_the_answers_are_in_another_order(first: ContactPage) -> None:
    """The order is asked for, and not documented: where it is not kept, newer ones may come behind older ones."""
    reader = Reader()
    search = Search(page(6, 6), first, page(9, 2), page(8, last=True))
    assert await reader.read(search, since_day=5) == (4 if first.contacts[0].added_ms == 3 * DAY_MS else 2)


async def test_a_throttle_or_a_page_that_fails_is_waited_for_and_told() -> None:
    reader, now_ms = Reader(), datetime.now(UTC).timestamp() * 1000
    throttled = Throttled("slow down", provider="ghl:loc1", until_ms=round(now_ms + 5_000))
    search = Search(throttled, Transient("cut off"), Transient("cut off"), page(9, last=True))
    assert await reader.read(search) == 1
    assert [why for why in reader.told if why] == ["slow down", "cut off", "cut off"]
    assert (round(reader.slept[0]), reader.slept[1:]) == (5, [1.0, 2.0])


async def test_a_vendor_that_stays_away_ends_it() -> None:
    search = Search(*[Transient("away")] * TRIES)
    with pytest.raises(Transient, match="away"):
        await Reader().read(search)


async def test_while_the_location_is_paused_nothing_is_asked() -> None:
    reader = Reader("paused: clean-up", "paused: clean-up")
    assert await reader.read(Search(page(9, last=True))) == 1
    assert (reader.told[:2], len(reader.slept)) == (["paused: clean-up"] * 2, 2)


# --- the command, against the fake vendor ---------------------------------------------------------------------------


def fill(sandbox: Sandbox) -> None:
    """250 contacts, a minute apart: 3 enriched, 2 without an address, 1 tagged."""
    found = people(sandbox, 250)
    for age, contact in enumerate(found):
        contact.added_at -= timedelta(minutes=age)
    for contact, status in zip(found[:3], ("QUALIFIED", "REVIEW", "NO_MATCH"), strict=True):
        field = sandbox.ghl.locations[sandbox.location_id].named("enrichment_status")
        assert field is not None
        contact.values[field.field_id] = status
    for contact in found[3:5]:
        contact.details.pop("address1")
    found[200].add_tags(["Old List"])


@pytest.fixture
def backfill(leadenrich, capsys: pytest.CaptureFixture[str]):
    """The command beside the fake vendor; its status and summary."""

    async def run(config: Path, *words: str) -> tuple[int, dict[str, Any]]:
        status = await asyncio.to_thread(leadenrich, "backfill", "--json", *words, config=config)
        told = capsys.readouterr()
        return status, json.loads(told.out) if told.out else {"said": told.err}

    return run


async def test_a_location_is_read_to_its_end_and_each_contact_is_one_job(
    backfill, redis_server: RedisServer, tmp_path: Path
) -> None:
    async with new_sandbox() as sandbox:
        fill(sandbox)
        config = tmp_path / "config.toml"
        config.write_text(as_toml(settings_for(sandbox, redis_server.url, queue={"name": tmp_path.name})))
        status, told = await backfill(config, "--dry-run")
        assert (status, told["would_queue"], told["left_out"]) == (0, 245, {ENRICHED: 3, NO_ADDRESS: 2})
        assert (told["duplicates"], told["note"]) == (None, UNCHECKED)
        status, told = await backfill(config, "--tag", "old list")
        assert (status, told["queued"], told["left_out"][NO_TAG]) == (0, 1, 249)
        status, told = await backfill(config, "--since", (datetime.now(UTC) - timedelta(minutes=9.5)).isoformat())
        assert (status, told["queued"]) == (0, 5)  # ten in these minutes, five of them left out
        status, told = await backfill(config, "--location", sandbox.location_id)
        assert (status, told["queued"], told["duplicates"]) == (0, 239, 6)
        calls = [(call.method, call.path) for call in sandbox.ghl.calls]
    assert set(calls) == {("GET", f"/locations/{sandbox.location_id}/customFields"), ("POST", "/contacts/search")}
    assert calls.count(("POST", "/contacts/search")) == 3 + 3 + 1 + 3
    async with aioredis.Redis.from_url(redis_server.url) as client:
        prefix = f"le:{{{tmp_path.name}}}:"
        assert await client.llen(f"{prefix}wait:bulk") == len(await client.keys(f"{prefix}job:*")) == 245
        [(_, entry), *_] = await client.xrevrange(f"{prefix}audit", count=1)
    assert (entry[b"action"], entry[b"target"]) == (b"backfill", f"ghl:{sandbox.location_id}".encode())


async def test_without_a_limit_of_ours_the_vendors_own_is_heard(
    backfill, redis_server: RedisServer, tmp_path: Path
) -> None:
    """`ghl.requests_per_10s = 0`: its headers and its 429 hold us, and half of its window stays for live leads."""
    async with new_sandbox(ghl_per_10s=8) as sandbox:
        people(sandbox, 900)
        window = sandbox.ghl.windows[sandbox.location_id]
        window.interval_s = 0.4
        settings = settings_for(sandbox, redis_server.url, queue={"name": tmp_path.name})
        assert settings["ghl"]["requests_per_10s"] == 0
        config = tmp_path / "config.toml"
        config.write_text(as_toml(settings))
        refused = [
            sandbox.faults.add(Fault("throttle", retry_after=1), times=1, match=Match(path=path))
            for path in ("/customFields", "/contacts/search")  # the very first call, and one of the pages'
        ]
        status, told = await backfill(config)
        assert (status, told["queued"], told["rejected"]) == (0, 900, 0)
        assert [fault.fired for fault in refused] == [1, 1]
        assert told["seconds"] >= 2, "as long as each 429 asked for"
        assert window.highest <= 5, "the half, and the call whose answer told that it was used"


async def test_a_token_that_is_refused_is_told(backfill, redis_server: RedisServer, tmp_path: Path) -> None:
    async with new_sandbox() as sandbox:
        settings = settings_for(sandbox, redis_server.url, queue={"name": tmp_path.name})
        settings["ghl"]["locations"][0]["token"] = "another"
        config = tmp_path / "config.toml"
        config.write_text(as_toml(settings))
        status, told = await backfill(config)
    assert status == 1
    assert "401" in told["said"]
    assert "run the same command again" in told["said"]
