"""The acting half of the API on a real store: what is done, who may, and what the audit log says of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from queue_desk import Desk
from store_office import office_store

from leadenrich.core.job import Lane, Reason
from leadenrich.store.audit import Actor
from leadenrich.store.errors import StoreUnavailable

Web = Any
ADMIN = {"Authorization": "Bearer the-admin-token", "X-Operator": "Ada\tL."}
VIEWER = {"Authorization": "Bearer the-viewer-token"}
ACTOR = Actor("admin", "Ada")
ACTIONS = [
    "/api/v1/jobs/JOB/retry",
    "/api/v1/jobs/JOB/cancel",
    "/api/v1/jobs/retry",
    "/api/v1/jobs/cancel",
    "/api/v1/queue/pause",
    "/api/v1/queue/resume",
    "/api/v1/providers/realestateapi/pause",
    "/api/v1/providers/realestateapi/resume",
]


@dataclass
class Office:
    """A web half whose queue is on the embedded Redis, and the desk beside it."""

    web: Web
    desk: Desk

    async def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        more = {} if body is None else {"json": body}
        response, answer = await self.web.call("POST", path, headers=ADMIN if headers is None else headers, **more)
        return response.status, answer

    async def audit(self) -> list[tuple[str, str, int, int]]:
        """Action, target, done, skipped; the oldest first."""
        response, answer = await self.web.call("GET", "/api/v1/audit", headers=VIEWER)
        assert response.status == 200
        rows = [(row["action"], row["target"], row["done"], row["skipped"]) for row in answer["entries"]]
        return rows[::-1]

    async def failed(self, count: int, reason: Reason = Reason.ATTEMPTS_EXHAUSTED) -> list[str]:
        for number in range(count):
            await self.desk.new(f"{reason}{number}")
        claims = await self.desk.claim(count)
        for claim in claims:
            await self.desk.bury(claim, reason)
        return [claim.job_id for claim in claims]


@pytest.fixture
async def office(start_web: Any) -> AsyncIterator[Office]:
    async with office_store() as (desk, operations, _), start_web(views=desk.views, operations=operations) as web:
        yield Office(web, desk)


async def test_a_failed_job_runs_again(office: Office) -> None:
    [job_id] = await office.failed(1)
    status, job = await office.post(f"/api/v1/jobs/{job_id}/retry")
    assert (status, job["id"], job["state"], job["attempts_made"]) == (200, job_id, "QUEUED", 0)
    assert job["timeline"][-1]["why"] == "retried by Ada L."
    assert [claim.job_id for claim in await office.desk.claim(1)] == [job_id]


async def test_a_waiting_job_ends(office: Office) -> None:
    job_id = await office.desk.new()
    status, job = await office.post(f"/api/v1/jobs/{job_id}/cancel")
    assert (status, job["state"], job["reason"]) == (200, "FAILED_FINAL", "cancelled")
    assert await office.audit() == [("cancel", f"job:{job_id}", 1, 0)]


async def test_a_job_in_another_state_is_left_as_it_is(office: Office) -> None:
    """And nothing is in the audit log, for nothing was done."""
    waiting, running = await office.desk.new("c1"), await office.desk.new("c2")
    await office.desk.queue.cancel(waiting, by="test")
    await office.desk.claim(1)
    for job_id, verb in ((running, "retry"), (running, "cancel"), (waiting, "cancel")):
        status, answer = await office.post(f"/api/v1/jobs/{job_id}/{verb}")
        assert (status, answer["status"]) == (409, 409), verb
        assert "state" in answer["detail"]
    assert await office.audit() == []


async def test_a_lead_that_is_kept_no_longer_cannot_run_again(office: Office) -> None:
    [job_id] = await office.failed(1)
    await office.desk.connection.execute("DEL", office.desk.keys.load(job_id))
    status, answer = await office.post(f"/api/v1/jobs/{job_id}/retry")
    assert status == 409
    assert "queue.payload_retention" in answer["detail"]


@pytest.mark.parametrize("verb", ["retry", "cancel"])
@pytest.mark.parametrize("job_id", ["unknown", "%00", "a%2Fb", "x" * 500])
async def test_an_unknown_job_is_not_found(office: Office, verb: str, job_id: str) -> None:
    assert (await office.post(f"/api/v1/jobs/{job_id}/{verb}"))[0] == 404


@pytest.mark.parametrize("path", ACTIONS)
async def test_only_an_admins_token_acts(office: Office, path: str) -> None:
    before = await office.desk.dump()
    for headers, status in (
        ({}, 401),
        (VIEWER, 403),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Cookie": "leadenrich_session=the-admin-token"}, 401),
    ):
        assert (await office.post(path, {}, headers))[0] == status
    assert await office.desk.dump() == before


async def test_a_log_in_of_a_browser_does_not_act(office: Office) -> None:
    """Browsers send the cookie whoever asks them to."""
    form = {"token": "the-admin-token"}
    assert (await office.web.call("POST", "/login", data=form))[0].status == 303
    assert (await office.web.call("GET", "/api/v1/audit"))[0].status == 200
    assert (await office.post("/api/v1/queue/pause", headers={}))[0] == 401


async def test_many_are_counted_first_and_then_run_again(office: Office) -> None:
    tired = await office.failed(60)
    await office.failed(5, Reason.STALLED)
    body = {"reason": "attempts_exhausted", "dry_run": True}
    status, tally = await office.post("/api/v1/jobs/retry", body)
    assert (status, tally) == (
        200,
        {
            "matched": 60, "done": 0, "skipped": 0, "dry_run": True, "reasons": {"attempts_exhausted": 60},
            "failures_removed": 0, "next_cursor": None,
        },
    )  # fmt: skip
    assert await office.audit() == []
    status, tally = await office.post("/api/v1/jobs/retry", body | {"dry_run": False})
    assert (status, tally["matched"], tally["done"], tally["skipped"]) == (200, 60, 60, 0)
    assert {claim.job_id for claim in await office.desk.claim(200)} == set(tired)
    assert await office.audit() == [("retry", "jobs", 60, 0)]


async def test_many_are_dealt_with_part_by_part(office: Office) -> None:
    await office.failed(25)
    cursor, parts = None, []
    while True:
        body = {"limit": 10} | ({"cursor": cursor} if cursor else {})
        status, tally = await office.post("/api/v1/jobs/retry", body)
        assert status == 200
        parts.append(tally["done"])
        cursor = tally["next_cursor"]
        if cursor is None:
            break
    assert parts[:3] == [10, 10, 5]
    assert sum(parts) == 25


async def test_those_that_cannot_are_skipped(office: Office) -> None:
    ids = await office.failed(3)
    await office.desk.connection.execute("DEL", office.desk.keys.load(ids[1]))
    status, tally = await office.post("/api/v1/jobs/retry", {})
    assert (status, tally["matched"], tally["done"], tally["skipped"]) == (200, 3, 2, 1)
    assert await office.audit() == [("retry", "jobs", 2, 1)]


async def test_many_that_wait_are_ended_and_no_other(office: Office) -> None:
    live = await office.desk.new("live")
    retried, running = await office.desk.new("again", lane=Lane.BULK), await office.desk.new("runs", lane=Lane.BULK)
    by_id = {claim.job_id: claim for claim in await office.desk.claim(3)}
    await office.desk.retry(by_id[retried])
    await office.desk.release(by_id[live])
    bulk = [await office.desk.new(f"bulk{number}", lane=Lane.BULK) for number in range(4)]
    status, tally = await office.post("/api/v1/jobs/cancel", {"lane": "bulk"})
    assert (status, tally["matched"], tally["done"]) == (200, 5, 5)
    states = {job_id: await office.desk.state(job_id) for job_id in (live, running, retried, *bulk)}
    assert {states[job_id] for job_id in (retried, *bulk)} == {"FAILED_FINAL"}
    assert (states[live], states[running]) == ("QUEUED", "PROCESSING")


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("retry", {"state": "QUEUED"}),
        ("cancel", {"state": "PROCESSING"}),
        ("retry", {"reson": "stalled"}),  # a misspelled filter must not mean all
        ("retry", {"limit": 0}),
        ("retry", {"since": "yesterday"}),
        ("retry", {"cursor": "nonsense"}),
        ("cancel", {"cursor": ""}),  # a script that lost its place must not begin again
        ("retry", []),
    ],
)
async def test_a_filter_that_means_nothing_acts_on_nothing(office: Office, verb: str, body: Any) -> None:
    await office.failed(2)
    before = await office.desk.dump()
    assert (await office.post(f"/api/v1/jobs/{verb}", body))[0] == 422
    assert await office.desk.dump() == before


async def test_the_queue_stands_still_and_goes_on(office: Office) -> None:
    await office.desk.new()
    assert await office.post("/api/v1/queue/pause", {"reason": "clean\nup"}) == (
        200, {"paused": "clean up", "changed": True}
    )  # fmt: skip
    assert (await office.desk.grant(1)).hold == "paused"
    assert (await office.desk.views.stats()).paused == "clean up"
    assert (await office.post("/api/v1/queue/pause"))[1]["changed"] is False
    assert await office.post("/api/v1/queue/resume") == (200, {"paused": None, "changed": True})
    assert len(await office.desk.claim(1)) == 1
    assert await office.post("/api/v1/queue/resume") == (200, {"paused": None, "changed": False})
    assert [(action, done) for action, _, done, _ in await office.audit()] == [
        ("pause", 1), ("pause", 0), ("resume", 1), ("resume", 0)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["realestateapi", "ghl:loc1"])
async def test_a_provider_stands_still_and_goes_on(office: Office, name: str) -> None:
    status, answer = await office.post(f"/api/v1/providers/{name}/pause", {"reason": "moving"})
    assert (status, answer) == (200, {"paused": "moving", "changed": True})
    assert (await office.desk.views.stats()).providers[name].paused == "operator: moving"
    assert (await office.post(f"/api/v1/providers/{name}/resume"))[1]["changed"] is True
    assert await office.audit() == [("pause", f"provider:{name}", 1, 0), ("resume", f"provider:{name}", 1, 0)]


async def test_a_provider_that_nobody_has_is_told_with_those_that_are(office: Office) -> None:
    status, answer = await office.post("/api/v1/providers/zillow/pause")
    assert status == 404
    assert "ghl:loc1, realestateapi" in answer["detail"]


async def test_the_audit_log_tells_who_and_is_read_in_parts(office: Office) -> None:
    with structlog.testing.capture_logs() as lines:
        await office.post("/api/v1/queue/pause", {"reason": "first"})
        await office.post("/api/v1/queue/resume", headers={"Authorization": ADMIN["Authorization"]})
    [told, _] = [line for line in lines if line["event"] == "operator_action"]
    assert (told["role"], told["name"], told["action"], told["target"], told["detail"]) == (
        "admin", "Ada L.", "pause", "queue", "first"
    )  # fmt: skip
    _, first = await office.web.call("GET", "/api/v1/audit?limit=1", headers=VIEWER)
    _, second = await office.web.call("GET", f"/api/v1/audit?limit=1&cursor={first['next_cursor']}", headers=VIEWER)
    assert [first["entries"][0]["name"], second["entries"][0]["name"]] == ["127.0.0.1", "Ada L."]
    _, rest = await office.web.call("GET", f"/api/v1/audit?cursor={second['next_cursor']}", headers=VIEWER)
    assert rest == {"entries": [], "next_cursor": None}
    for nonsense in ("cursor=x", "cursor=1-", "limit=0"):
        assert (await office.web.call("GET", f"/api/v1/audit?{nonsense}", headers=VIEWER))[0].status == 400


async def test_the_audit_log_is_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadenrich.store.audit.AUDIT_ENTRIES", 10)
    for _ in range(150):
        await office.web.parts.operations.audit.keep(ACTOR, "pause", "queue")
    assert int(await office.desk.connection.execute("XLEN", office.desk.keys.audit)) <= 120  # a node of the stream more


async def test_what_was_done_before_redis_went_away_is_told(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = await office.failed(120)
    revive, calls = office.desk.queue.revive, []

    async def revive_until_it_goes_away(job_id: str, *, by: str) -> None:
        calls.append(job_id)
        if len(calls) > 70:
            raise StoreUnavailable("gone")
        await revive(job_id, by=by)

    monkeypatch.setattr(office.desk.queue, "revive", revive_until_it_goes_away)
    status, answer = await office.post("/api/v1/jobs/retry", {})
    assert status == 503
    assert "70 were done" in answer["detail"]
    assert await office.audit() == [("retry", "jobs", 70, 0)]
    assert len(ids) == 120


async def test_an_action_is_done_although_the_log_cannot_keep_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full Redis must not keep anybody from resuming."""
    connection = office.desk.connection
    execute = connection.execute

    async def full(*command: Any) -> Any:
        if command[0] == "XADD":
            raise StoreUnavailable("OOM")
        return await execute(*command)

    monkeypatch.setattr(connection, "execute", full)
    with structlog.testing.capture_logs() as lines:
        assert (await office.post("/api/v1/queue/pause"))[0] == 200
    assert json.dumps(lines).count("audit_not_kept") == 1
