"""Which events start work: each row of the table, over HTTP, with the real queue on a real Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from daemon_process import ENDED, Inside, events_of, inside, look_ups, new_sandbox, people, settings_for, until, writes
from redis_server import running

from leadenrich.sandbox.crm import FakeContact, iso
from leadenrich.sandbox.events import contact_event
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.switches import Switches

HOME, OTHER = "742 Evergreen Ter", "31 Withdrawn Way"


@asynccontextmanager
async def serving(folder: Path, *, resting: bool = False, **ghl: Any) -> AsyncIterator[Inside]:
    """A daemon on an empty Redis of its own. `resting`: the queue is paused, so that what is queued stays so."""
    (folder / "redis").mkdir()
    with running(folder / "redis") as redis:
        async with (
            new_sandbox() as sandbox,
            inside(sandbox, folder, settings_for(sandbox, redis.url, ghl=ghl)) as daemon,
        ):
            if resting:
                await switches(daemon).pause_queue("the test looks")
            yield daemon


def switches(daemon: Inside) -> Switches:
    return Switches(daemon.running.connection, daemon.running.queue.keys)


def somebody(sandbox: Sandbox, number: int = 0) -> FakeContact:
    [contact] = people(sandbox, 1, start=number)
    return contact


def event(kind: str, contact: FakeContact, *, street: str = "", ahead_s: float = 0.0, **members: Any) -> dict[str, Any]:
    """The event's members as HighLevel delivers them, changed; None leaves a member out."""
    if street:
        contact.details["address1"] = street
    told = json.loads(contact_event("ContactUpdate", contact)) | {"type": kind} | members
    if ahead_s:
        told["timestamp"] = iso(datetime.now(UTC) + timedelta(seconds=ahead_s))
    return {name: value for name, value in told.items() if value is not None}


def queued(answer: tuple[int, Any]) -> str:
    status, body = answer
    assert status == 202, body
    assert body == {"job_id": body["job_id"], "status": "QUEUED"}
    return str(body["job_id"])


async def test_a_delivery_seen_before_answers_the_first_job(tmp_path: Path) -> None:
    """Any event type, whatever else it says now, and also when its job failed."""
    async with serving(tmp_path) as daemon:
        contact = somebody(daemon.sandbox)
        first = event("ContactCreate", contact)
        job_id = queued(await daemon.hook(first))
        again = {**first, "address1": OTHER}
        assert await daemon.hook(again) == (200, {"job_id": job_id, "duplicate": True})
        await daemon.ended([job_id])
        assert await daemon.hook(first) == (200, {"job_id": job_id, "duplicate": True})

        lost = event("ContactCreate", contact, id="GoneContact", address1="")
        lost_id = queued(await daemon.hook(lost))
        [job] = await daemon.ended([lost_id])
        assert job["state"] == "FAILED_FINAL"
        assert await daemon.hook(lost) == (200, {"job_id": lost_id, "duplicate": True})


async def test_ten_copies_at_once_are_one_job(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        body = event("ContactCreate", somebody(daemon.sandbox))
        answers = await asyncio.gather(*(daemon.hook(body) for _ in range(10)))
        assert sorted(status for status, _ in answers) == [200] * 9 + [202]
        assert len({answer["job_id"] for _, answer in answers}) == 1
        assert len(await daemon.jobs()) == 1


async def test_create_again_with_the_same_address_is_a_duplicate(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        contact = somebody(daemon.sandbox)
        job_id = queued(await daemon.hook(event("ContactCreate", contact)))
        told = {"job_id": job_id, "duplicate": True}
        assert await daemon.hook(event("ContactCreate", contact, address1="100 MAPLE, st.")) == (200, told)
        await daemon.ended([job_id])
        assert await daemon.hook(event("ContactCreate", contact)) == (200, told)
        flow = {"contact_id": contact.contact_id, "location": {"id": contact.location_id}, "address1": "100 Maple St"}
        place = {"city": "Springfield", "state": "IL", "postal_code": "62704-0001"}
        assert await daemon.workflow({**flow, **place}) == (200, told)
        assert queued(await daemon.hook(event("ContactCreate", contact, street=OTHER))) != job_id


async def test_create_again_after_a_failure_is_a_new_job(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        contact = somebody(daemon.sandbox)
        job_id = queued(await daemon.hook(event("ContactCreate", contact, street="404 Nowhere Ln")))
        [job] = await daemon.ended([job_id])
        assert job["reason"] == "property_not_found"
        assert queued(await daemon.hook(event("ContactCreate", contact))) != job_id


async def test_the_workflow_window(tmp_path: Path) -> None:
    """The same contact, workflow and address is one delivery; another workflow still finds the contact's last job."""
    async with serving(tmp_path) as daemon:
        flow = {
            "contact_id": somebody(daemon.sandbox).contact_id,
            "location": {"id": daemon.sandbox.location_id},
            "workflow": {"id": "flow-1"},
            "address1": HOME,
            "city": "Springfield",
            "state": "IL",
            "postal_code": "62704",
        }
        job_id = queued(await daemon.workflow(flow, "?lane=bulk"))
        told = {"job_id": job_id, "duplicate": True}
        assert await daemon.workflow(flow) == (200, told)
        assert await daemon.workflow({**flow, "workflow": {"id": "flow-2"}}) == (200, told)
        assert (await daemon.job(job_id))["lane"] == "bulk"
        assert queued(await daemon.workflow({**flow, "address1": OTHER})) != job_id


async def test_an_update_with_another_address_starts_work(tmp_path: Path) -> None:
    """A to B to A: the third is enriched again, from what was bought for the first."""
    async with serving(tmp_path) as daemon:
        contact = somebody(daemon.sandbox)
        ids = [queued(await daemon.hook(event("ContactCreate", contact, street=HOME)))]
        await daemon.ended(ids)
        for second, street in enumerate((OTHER, HOME), start=1):
            ids.append(queued(await daemon.hook(event("ContactUpdate", contact, street=street, ahead_s=second))))
            await daemon.ended(ids)
        assert len(set(ids)) == 3
        assert len(look_ups(daemon.sandbox)) == 2
        last = await daemon.job(ids[2])
        assert [step["cached"] for step in last["steps"] if step["name"] == "lookup"] == [True]
        matched = daemon.sandbox.ghl.values(contact.contact_id)["property_address_matched"]
        assert matched == "742 Evergreen Ter, Springfield, IL 62704"


async def test_an_update_replaces_the_address_of_a_waiting_job(tmp_path: Path) -> None:
    async with serving(tmp_path, resting=True) as daemon:
        contact = somebody(daemon.sandbox)
        job_id = queued(await daemon.hook(event("ContactCreate", contact, street=HOME)))
        update = event("ContactUpdate", contact, street=OTHER, ahead_s=1)
        assert await daemon.hook(update) == (200, {"job_id": job_id, "duplicate": True})
        await switches(daemon).resume_queue()
        await daemon.ended([job_id])
        assert [call.address_key for call in look_ups(daemon.sandbox)] == ["31|WITHDRAWN WAY||62704"]


async def test_an_update_of_a_contact_at_work_waits_for_its_turn(tmp_path: Path) -> None:
    """One job a contact at a time, in the order of the events."""
    async with serving(tmp_path) as daemon:
        sandbox = daemon.sandbox
        slow = sandbox.faults.add(Fault("slow", seconds=0.5), match=Match(address="EVERGREEN"))
        contact = somebody(sandbox)
        first = queued(await daemon.hook(event("ContactCreate", contact, street=HOME)))
        await until(lambda: slow.fired, "the first look-up under way")
        second = queued(await daemon.hook(event("ContactUpdate", contact, street=OTHER, ahead_s=1)))
        assert (await daemon.job(second))["state"] == "QUEUED"
        jobs = await daemon.ended([first, second])
        assert jobs[1]["started_at"] >= jobs[0]["finished_at"]
        matched = sandbox.ghl.values(contact.contact_id)["property_address_matched"]
        assert matched == "31 Withdrawn Way, Springfield, IL 62704"


async def test_an_update_with_the_last_known_address_is_ignored(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        contact = somebody(daemon.sandbox)
        job_id = queued(await daemon.hook(event("ContactCreate", contact)))
        await daemon.ended([job_id])
        same = event("ContactUpdate", contact, ahead_s=1, firstName="Patricia")
        assert await daemon.hook(same) == (200, {"ignored": "address unchanged"})
        older = event("ContactUpdate", contact, street=OTHER, ahead_s=-3600)
        assert (await daemon.hook(older))[1].keys() == {"ignored"}
        assert len(await daemon.jobs()) == 1


@pytest.mark.parametrize(("wanted", "status"), [(False, 200), (True, 202)])
async def test_an_update_of_a_contact_never_seen(tmp_path: Path, wanted: bool, status: int) -> None:
    async with serving(tmp_path, enrich_unknown_updates=wanted) as daemon:
        answer = await daemon.hook(event("ContactUpdate", somebody(daemon.sandbox)))
        assert answer[0] == status
        assert answer[1] == {"ignored": "contact never seen"} if status == 200 else queued(answer)


async def test_tags_start_work_only_when_they_are_triggers_and_new(tmp_path: Path) -> None:
    async with serving(tmp_path, trigger_tags=["Enrich"]) as daemon:
        contact = somebody(daemon.sandbox)
        nothing = (200, {"ignored": "no new trigger tag"})
        assert await daemon.hook(event("ContactTagUpdate", contact, tags=["vip"])) == nothing
        job_id = queued(await daemon.hook(event("ContactTagUpdate", contact, tags=["vip", "enrich"], ahead_s=1)))
        [job] = await daemon.ended([job_id])
        assert job["outcome"] == "QUALIFIED"
        assert await daemon.hook(event("ContactTagUpdate", contact, tags=["enrich", "x"], ahead_s=2)) == nothing
        assert await daemon.hook(event("ContactTagUpdate", contact, tags=[], ahead_s=3)) == nothing
        assert queued(await daemon.hook(event("ContactTagUpdate", contact, tags=["enrich"], ahead_s=4))) != job_id


async def test_tags_start_nothing_by_default(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        tagged = event("ContactTagUpdate", somebody(daemon.sandbox), tags=["enrich"])
        assert await daemon.hook(tagged) == (200, {"ignored": "no new trigger tag"})


async def test_an_opportunity_enriches_its_contact(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        contact = somebody(daemon.sandbox)
        deal = {
            "type": "OpportunityCreate",
            "id": "Opportunity1",
            "locationId": contact.location_id,
            "webhookId": "deal-1",
            "name": "123 Other St",
        }
        assert await daemon.hook({**deal, "webhookId": "deal-0"}) == (
            200,
            {"ignored": "the opportunity has no contact"},
        )
        job_id = queued(await daemon.hook({**deal, "contactId": contact.contact_id}))
        [job] = await daemon.ended([job_id])
        assert (job["outcome"], job["contact_id"]) == ("QUALIFIED", contact.contact_id)
        assert [call.address_key for call in look_ups(daemon.sandbox)] == ["100|MAPLE ST||62704"]


async def test_a_deleted_contact_ends_what_waits_for_it(tmp_path: Path) -> None:
    async with serving(tmp_path, resting=True) as daemon:
        contact, neighbour = people(daemon.sandbox, 2)
        job_id = queued(await daemon.hook(event("ContactCreate", contact)))
        other = queued(await daemon.hook(event("ContactCreate", neighbour)))
        assert await daemon.hook(event("ContactDelete", contact)) == (200, {"ignored": "contact deleted"})
        [job] = await daemon.ended([job_id])
        assert (job["state"], job["reason"]) == ("FAILED_FINAL", "contact_not_found")
        assert events_of(job) == ["queued", "failed"]
        assert (await daemon.job(other))["state"] == "QUEUED"
        assert look_ups(daemon.sandbox) == []


async def test_all_others_are_ignored(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        contact = somebody(daemon.sandbox)
        for kind in ("INSTALL", "UNINSTALL", "ContactDndUpdate", "NoteCreate", "OpportunityUpdate", "SomethingNew"):
            status, answer = await daemon.hook(event(kind, contact))
            assert (status, answer) == (200, {"ignored": f"{kind} is not a lead"})
        elsewhere = event("ContactCreate", contact, locationId="AnotherAgency")
        assert await daemon.hook(elsewhere) == (200, {"ignored": "unknown location"})
        assert await daemon.jobs() == {}


async def test_a_body_without_a_location(tmp_path: Path) -> None:
    """It means the only one that is configured; with several nobody can know."""
    async with serving(tmp_path) as daemon:
        contact = somebody(daemon.sandbox)
        job_id = queued(await daemon.hook(event("ContactCreate", contact, locationId=None)))
        assert (await daemon.job(job_id))["location_id"] == contact.location_id
    folder = tmp_path / "two"
    folder.mkdir()
    async with serving(folder, locations=[{"id": "One", "token": "a"}, {"id": "Two", "token": "b"}]) as daemon:
        status, answer = await daemon.hook(event("ContactCreate", contact, locationId=None))
        assert (status, answer["status"]) == (422, 422)


async def test_the_echo_of_our_own_writes_goes_nowhere(tmp_path: Path) -> None:
    """HighLevel tells of every PUT and tag: after 20 contacts there are 20 jobs, and no write came twice."""
    async with serving(tmp_path, trigger_tags=["enrich"]) as daemon:
        sandbox = daemon.sandbox
        sandbox.echo_to(f"{daemon.url}/webhooks/ghl")
        contacts = people(sandbox, 20)
        ids = [await daemon.tell(contact) for contact in contacts]
        assert {job["state"] for job in await daemon.ended(ids)} <= ENDED
        await sandbox.echo.settled()
        assert {delivery.status for delivery in sandbox.echo.deliveries} == {200}
        assert len(sandbox.echo.deliveries) == 40
        assert len(await daemon.jobs()) == 20
        assert all(writes(sandbox, contact.contact_id) == ["PUT", "POST /tags"] for contact in contacts)
