"""POST /api/v1/leads: who may, what is answered for one lead and for many, and what the store is asked to keep."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from leadenrich.config import GhlSettings, LocationSettings, QueueSettings, RedisSettings, Secret
from leadenrich.core.job import Lane
from leadenrich.core.lead import PostalAddress
from leadenrich.store.connection import open_redis
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Queue, Receipt, Submission
from leadenrich.web.app import reconfigure
from leadenrich.web.leads import GROUP

LOCATION = "ve9EPM428h8vShlRW1KT"
LEAD: dict[str, Any] = {
    "contact_id": "c1",
    "location_id": LOCATION,
    "address1": "742 Example Ave",
    "city": "Austin",
    "state": "TX",
    "postal_code": "78701",
}
ADMIN = {"Authorization": "Bearer the-admin-token"}
TWO = {"locations": (LocationSettings(id=LOCATION), LocationSettings(id="other"))}

Web = Any


def lead(number: int, **members: Any) -> dict[str, Any]:
    return LEAD | {"contact_id": f"c{number}"} | members


class LeavingIntake:
    """Takes `kept` leads, then the store is away. Knows how many were at it at the same time."""

    def __init__(self, kept: int = 1_000_000) -> None:
        self.left = kept
        self.taken: list[Submission] = []
        self.here = 0
        self.here_max = 0

    async def submit(self, submission: Submission) -> Receipt:
        self.here += 1
        self.here_max = max(self.here, self.here_max)
        try:
            await asyncio.sleep(0)
            if self.left == 0:
                raise StoreUnavailable("gone")
            self.left -= 1
            self.taken.append(submission)
            return Receipt("queued", f"job{len(self.taken)}")
        finally:
            self.here -= 1


# --- one lead ----------------------------------------------------------------------------------------------------


async def test_a_program_brings_a_lead(web: Web) -> None:
    assert await web.lead(LEAD) == (202, {"job_id": "job1", "status": "QUEUED"})
    [submission] = web.intake.taken
    assert (submission.lane, submission.delivery_key, submission.delivery_window_s) == (Lane.LIVE, "", 0.0)
    told = submission.lead
    assert (told.kind, told.contact_id, told.location_id) == ("api", "c1", LOCATION)
    assert told.address == PostalAddress("742 Example Ave", "Austin", "TX", "78701")
    assert web.receipts == [(submission, Receipt("queued", "job1"))]
    assert web.answers == [("/api/v1/leads", 202)]


async def test_it_may_tell_what_a_workflow_tells(web: Web) -> None:
    """The same members by the same parser: an address in one line, a person, tags as text or list."""
    more = {
        "full_address": "1 Main St, Austin, TX",
        "first_name": "Pat",
        "phone": "+15125550142",
        "tags": "Hot, Seller",
    }
    assert (await web.lead({"contact_id": "c1", "location": {"id": LOCATION}, **more, "Roof age": 12}))[0] == 202
    told = web.intake.lead
    assert (told.address.full, told.first_name, told.phone, told.tags) == (
        "1 Main St, Austin, TX", "Pat", "+15125550142", ("hot", "seller")
    )  # fmt: skip


async def test_a_lead_known_already_is_a_duplicate(web: Web) -> None:
    web.intake.next = Receipt("duplicate", "j")
    assert await web.lead(LEAD) == (200, {"job_id": "j", "duplicate": True})


async def test_the_lane_is_asked_for(web: Web) -> None:
    for query in ("?lane=bulk", "?lane=live", "?lane="):
        assert (await web.lead(LEAD, query))[0] == 202
    assert [submission.lane for submission in web.intake.taken] == [Lane.BULK, Lane.LIVE, Lane.LIVE]
    for query in ("?lane=fast", "?lane=BULK"):
        assert (await web.lead(LEAD, query))[0] == 400
    assert (await web.lines(LEAD, query="?lane=fast"))[0] == 400
    assert len(web.intake.taken) == 3


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"contact_id": "c1"}\n{"contact_id": "c2"}', 400),  # many, without saying so by the type
        (b'{"contact_id": "\xff"}', 400),
        (b"[" * 5000, 400),
        (b"[]", 422),
        (b"{}", 422),
        ({**LEAD, "contact_id": 7}, 422),
        ({**LEAD, "contact_id": "../c1"}, 422),
        ({**LEAD, "location_id": "a b"}, 422),
        ({**LEAD, "location_id": "stranger"}, 422),
    ],
)
async def test_what_is_no_lead_of_ours_is_refused(web: Web, body: Any, status: int) -> None:
    code, answer = await web.lead(body)
    assert (code, answer["status"]) == (status, status)
    assert set(answer) == {"type", "title", "status", "detail"}
    assert web.intake.taken == []


async def test_an_unknown_location_is_named(web: Web) -> None:
    """A webhook for it is ignored; a program that asks for it must hear that it got it wrong."""
    _, answer = await web.lead(LEAD | {"location_id": "stranger"})
    assert answer["detail"] == "The location stranger is none of ghl.locations."


async def test_the_location_may_be_left_out_where_there_is_one(web: Web, start_web: Any) -> None:
    nowhere = {"contact_id": "c1", "address1": "742 Example Ave"}
    assert (await web.lead(nowhere))[0] == 202
    assert web.intake.lead.location_id == LOCATION
    async with start_web(ghl=TWO) as two:
        assert (await two.lead(nowhere))[0] == 422
        assert (await two.lead(nowhere | {"location_id": "other"}))[0] == 202


async def test_without_redis_the_lead_must_come_again(web: Web) -> None:
    web.intake.next = StoreUnavailable("gone")
    response, answer = await web.call("POST", "/api/v1/leads", json=LEAD, headers=ADMIN)
    assert (response.status, answer["status"]) == (429, 429)
    assert response.headers["Retry-After"]
    assert web.receipts == []


async def test_size_and_type_are_those_of_the_webhooks(start_web: Any) -> None:
    async with start_web(server={"max_body_bytes": 1000}) as web:
        assert (await web.lead(b" " * 1001))[0] == 413
        assert (await web.lead(gzip.compress(b" " * 1001), Content_Encoding="gzip"))[0] == 413
        assert (await web.lines(b" " * 1001))[0] == 413
        assert (await web.lead(gzip.compress(json.dumps(LEAD).encode()), Content_Encoding="gzip"))[0] == 202
        status, answer = await web.lead(LEAD, Content_Type="text/plain")
        assert status == 415
        assert "application/x-ndjson" in answer["detail"]
        assert (await web.hook(b"{}", Content_Type="application/x-ndjson"))[0] == 415  # webhooks take no lists


# --- who may -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Basic dGhlLWFkbWluLXRva2Vu"}, 401),
        ({"X-Webhook-Token": "shared-secret-goes-here"}, 401),
        ({"Authorization": "Bearer shared-secret-goes-here"}, 401),
        ({"Authorization": "Bearer the-viewer-token"}, 403),
    ],
)
async def test_only_the_admin_token_brings_leads(web: Web, headers: dict[str, str], status: int) -> None:
    response, answer = await web.call("POST", "/api/v1/leads", json=LEAD, headers=headers)
    assert (response.status, answer["status"]) == (status, status)
    assert ("WWW-Authenticate" in response.headers) is (status == 401)
    assert web.intake.taken == []


async def test_strangers_are_refused_before_their_json_is_judged(web: Web) -> None:
    assert (await web.lead(b"not json", Authorization="Bearer wrong"))[0] == 401
    assert (await web.lead(LEAD, "?lane=fast", Authorization="Bearer wrong"))[0] == 401


async def test_a_log_in_of_the_page_brings_no_leads(web: Web) -> None:
    """A browser sends its cookie whoever asks it to: here only the token itself counts."""
    assert (await web.call("POST", "/login", data={"token": "the-admin-token"}))[0].status == 303
    assert (await web.call("GET", "/api/v1/stats"))[0].status == 200
    response, _ = await web.call("POST", "/api/v1/leads", json=LEAD)
    assert response.status == 401
    assert web.intake.taken == []


async def test_without_tokens_the_loopback_may_and_pages_of_others_may_not(start_web: Any) -> None:
    async with start_web(server={"admin_token": None, "viewer_token": None}) as web:
        assert (await web.call("POST", "/api/v1/leads", json=LEAD))[0].status == 202
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await web.call("POST", "/api/v1/leads", json=LEAD, headers=headers))[0].status == 403
        assert (await web.call("POST", "/api/v1/leads", json=LEAD, headers={"Host": "evil.example"}))[0].status == 403
        assert len(web.intake.taken) == 1


async def test_with_a_viewer_token_alone_nobody_brings_leads(start_web: Any) -> None:
    async with start_web(server={"admin_token": None}) as web:
        assert (await web.call("POST", "/api/v1/leads", json=LEAD))[0].status == 401
        assert (await web.lead(LEAD, Authorization="Bearer the-viewer-token"))[0] == 403


async def test_locations_and_windows_can_be_changed_while_it_serves(web: Web) -> None:
    ghl = GhlSettings(locations=(LocationSettings(id="new"),))
    reconfigure(web.app, web.parts.server, ghl, QueueSettings(delivery_window=60))
    assert (await web.lead(LEAD))[0] == 422
    assert (await web.lead(LEAD | {"location_id": "new"}, Idempotency_Key="k"))[0] == 202
    assert web.intake.taken[0].delivery_window_s == 60
    server = type(web.parts.server)(admin_token=Secret("another"))
    reconfigure(web.app, server, ghl, QueueSettings())
    assert (await web.lead(LEAD))[0] == 401


# --- Idempotency-Key ---------------------------------------------------------------------------------------------


async def test_a_key_names_the_delivery(web: Web) -> None:
    assert (await web.lead(LEAD, Idempotency_Key="order 66"))[0] == 202
    [submission] = web.intake.taken
    assert submission.delivery_key == "idem:order 66"
    assert submission.delivery_window_s == QueueSettings().delivery_window


async def test_each_line_has_its_own_key(web: Web) -> None:
    """And no key of one lead can be spelled like that of a line."""
    await web.lines(lead(1), b"", lead(3), Idempotency_Key="k")
    await web.lead(LEAD, Idempotency_Key="k1")
    await web.lead(LEAD, Idempotency_Key="k:1")
    keys = [submission.delivery_key for submission in web.intake.taken]
    assert keys == ["idem:k\n1", "idem:k\n3", "idem:k1", "idem:k:1"]


@pytest.mark.parametrize("key", ["", "x" * 201, "schlüssel", "a\tb"])
async def test_a_key_is_short_printable_ascii(web: Web, key: str) -> None:
    status, answer = await web.lead(LEAD, Idempotency_Key=key)
    assert status == 400
    assert "Idempotency-Key" in answer["detail"]
    assert web.intake.taken == []
    assert (await web.lead(LEAD, Idempotency_Key="x" * 200))[0] == 202


async def test_two_keys_are_none(web: Web) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), *ADMIN.items()]
    assert (await web.call("POST", "/api/v1/leads", json=LEAD, headers=headers))[0].status == 400


# --- many leads --------------------------------------------------------------------------------------------------


async def test_many_leads_are_answered_line_by_line(web: Web) -> None:
    status, answer = await web.lines(lead(1), lead(2), query="?lane=bulk")
    assert (status, answer) == (
        200,
        {
            "accepted": 2,
            "duplicates": 0,
            "rejected": 0,
            "leads": [{"line": 1, "job_id": "job1"}, {"line": 2, "job_id": "job2"}],
        },
    )
    assert [submission.lane for submission in web.intake.taken] == [Lane.BULK, Lane.BULK]
    assert [receipt.verb for _, receipt in web.receipts] == ["queued", "queued"]
    assert web.answers == [("/api/v1/leads", 200)]


async def test_a_bad_line_stops_no_other(web: Web) -> None:
    bad = [b"not json", b"[]", b"{}", b'{"contact_id": "\xff"}', b"[" * 5000, lead(7, location_id="stranger")]
    status, answer = await web.lines(*bad, b"", b"\r", lead(9))
    assert status == 200
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (1, 0, 6)
    *told, last = answer["leads"]
    assert last == {"line": 9, "job_id": "job1"}
    assert [set(line) for line in told] == [{"line", "error"}] * 6
    assert [line["line"] for line in told] == [1, 2, 3, 4, 5, 6]
    assert "JSON" in told[0]["error"]
    assert "stranger" in told[5]["error"]


async def test_duplicates_are_counted_apart(web: Web) -> None:
    web.intake.next = Receipt("duplicate", "j")
    status, answer = await web.lines(lead(1), lead(1))
    assert status == 200
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (0, 2, 0)
    assert answer["leads"] == [{"line": line, "job_id": "j", "duplicate": True} for line in (1, 2)]


async def test_no_line_is_no_error(web: Web) -> None:
    for body in (b"", b"\n\r\n\n"):
        assert await web.lines(body) == (200, {"accepted": 0, "duplicates": 0, "rejected": 0, "leads": []})


async def test_windows_line_ends_and_the_other_name_of_the_type(web: Web) -> None:
    body = b"\r\n".join(json.dumps(lead(number)).encode() for number in (1, 2)) + b"\r\n"
    assert (await web.lead(body, Content_Type="application/ndjson; charset=utf-8"))[1]["accepted"] == 2


async def test_lines_travel_in_bounded_groups(start_web: Any) -> None:
    intake = LeavingIntake()
    async with start_web(intake=intake) as web:
        status, answer = await web.lines(*(lead(number) for number in range(2 * GROUP + 10)))
    assert (status, answer["accepted"]) == (200, 2 * GROUP + 10)
    assert intake.here_max == GROUP
    assert [submission.lead.contact_id for submission in intake.taken] == [f"c{n}" for n in range(2 * GROUP + 10)]
    assert [line["line"] for line in answer["leads"]] == list(range(1, 2 * GROUP + 11))


async def test_where_redis_leaves_midway_the_answer_says_how_far_it_came(start_web: Any) -> None:
    intake = LeavingIntake(kept=GROUP + 5)
    async with start_web(intake=intake) as web:
        body = [lead(number) for number in range(3 * GROUP)]
        status, answer = await web.lines(b"not json", *body)
        assert (status, answer["status"], answer["accepted"], answer["rejected"]) == (429, 429, GROUP + 5, 1)
        assert answer["next_line"] == GROUP + 7  # the bad line, and those that were kept
        assert answer["leads"][-1] == {"line": GROUP + 6, "job_id": f"job{GROUP + 5}"}
        assert len(web.receipts) == GROUP + 5
        assert len(intake.taken) == GROUP + 5  # the last group was not even tried


async def test_all_of_it_may_be_sent_again(start_web: Any) -> None:
    """With the real queue behind: the second time everything is a duplicate, by content or by key."""
    async with open_redis(RedisSettings(url="fakeredis://")) as connection:
        queue = Queue(connection, QueueSettings(), worker="w")
        await queue.open()
        async with start_web(intake=queue) as web:
            body = [lead(number) for number in range(20)]
            _, first = await web.lines(*body, query="?lane=bulk")
            assert (first["accepted"], first["duplicates"]) == (20, 0)
            _, again = await web.lines(*body, lead(20), query="?lane=bulk")
            assert (again["accepted"], again["duplicates"]) == (1, 20)
            assert [line["job_id"] for line in again["leads"][:20]] == [line["job_id"] for line in first["leads"]]

            moved = [lead(1, address1="1 Old Rd"), lead(1, address1="2 New Rd")]
            _, keyed = await web.lines(*moved, Idempotency_Key="moved")
            assert keyed["accepted"] == 2  # one contact, two addresses: by content the first would be news again
            _, keyed_again = await web.lines(*moved, Idempotency_Key="moved")
            assert (keyed_again["accepted"], keyed_again["duplicates"]) == (0, 2)
            assert (await web.lead(LEAD, Idempotency_Key="moved"))[0] == 202  # of one lead: not a line's key
