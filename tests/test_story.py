"""One lead, from HighLevel's webhook to the fields and tags on its contact. Read this test first."""

from __future__ import annotations

from pathlib import Path

from daemon_process import events_of, inside, look_ups, new_sandbox, settings_for, writes
from redis_server import running

from leadenrich.core.lead import PostalAddress
from leadenrich.sandbox.events import contact_event


async def test_a_lead_comes_in_and_its_contact_knows_the_house(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with running(tmp_path / "redis") as redis:
        async with new_sandbox() as sandbox, inside(sandbox, tmp_path, settings_for(sandbox, redis.url)) as daemon:
            sandbox.echo_to(f"{daemon.url}/webhooks/ghl")  # HighLevel tells us of every write, our own too

            # Alex fills in a form: HighLevel has a new contact, and says so.
            address = PostalAddress("742 Evergreen Terrace", "Springfield", "Illinois", "62704")
            alex = sandbox.ghl.add_contact(
                "ContactAlex", sandbox.location_id, address=address, first_name="Alex", last_name="Sample", tags=["VIP"]
            )
            event = contact_event("ContactCreate", alex)
            status, answer = await daemon.hook(event)

            # The lead is in Redis before the answer leaves.
            assert status == 202
            job_id = answer["job_id"]
            assert answer == {"job_id": job_id, "status": "QUEUED"}

            # A worker takes it, and it ends well at the first try.
            [job] = await daemon.ended([job_id])
            assert (job["state"], job["outcome"], job["reason"]) == ("SUCCEEDED", "QUALIFIED", None)
            assert (job["attempts_made"], job["max_attempts"], job["stalled_count"]) == (1, 3, 0)
            assert (job["lane"], job["contact_id"], job["location_id"]) == ("live", "ContactAlex", sandbox.location_id)

            # The property was bought, once, and what became of the lead can be read.
            assert sandbox.rea.paid == {"742|EVERGREEN TER||62704": 1}
            assert events_of(job) == ["queued", "started", "completed"]
            assert {step["name"]: step["credits"] for step in job["steps"]} == {
                "address": 0,
                "lookup": 1,
                "fields": 0,
                "tags": 0,
            }

            # The contact has the record in its custom fields, our tag beside its own, and nothing else was touched.
            fields = sandbox.ghl.values("ContactAlex")
            assert fields["enrichment_status"] == "QUALIFIED"
            assert (fields["bedrooms"], fields["living_sqft"], fields["estimated_value"]) == (3, 1710, 342000)
            assert fields["property_address_matched"] == "742 Evergreen Ter, Springfield, IL 62704"
            assert alex.tags == ["vip", "qualified"]
            assert alex.details["address1"] == "742 Evergreen Terrace"
            assert writes(sandbox, "ContactAlex") == ["PUT", "POST /tags"]

            # HighLevel's echo of our own writes starts nothing: a ContactUpdate, a ContactTagUpdate.
            await sandbox.echo.settled()
            assert [(it.kind, it.status) for it in sandbox.echo.deliveries] == [
                ("ContactUpdate", 200),
                ("ContactTagUpdate", 200),
            ]

            # HighLevel delivers the same event again, for it may: it hears which job that is, and no work begins.
            assert await daemon.hook(event) == (200, {"job_id": job_id, "duplicate": True})

            # The daemon is at rest, with one job in its books and one look-up on the bill.
            assert list(await daemon.jobs()) == [job_id]
            assert len(look_ups(sandbox)) == 1
