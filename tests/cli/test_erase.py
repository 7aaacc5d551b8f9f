"""`leadenrich erase`: asked first, told what went and what stays; a real lead, and then no trace of it in Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from daemon_process import people
from queue_desk import Desk
from redis_server import running
from shell import Shell

from leadenrich.sandbox.crm import FakeContact
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.audit import Audit
from leadenrich.store.schema import digest

ACL = Path(__file__).parents[2] / "systemd" / "redis-leadenrich-acl.conf"


async def dumped(desk: Desk) -> str:
    return repr(await desk.dump()) + repr(await desk.connection.execute("XRANGE", desk.keys.events, "-", "+"))


@pytest.fixture
def person(connected: Shell, vendors: Sandbox) -> FakeContact:
    """Enriched by an address that no event told."""
    [contact] = people(vendors, 1, start=7000)
    connected.done("enrich", contact.contact_id)
    return contact


def test_after_it_redis_does_not_know_the_person(connected: Shell, person: FakeContact) -> None:
    contact = person.contact_id
    assert contact in connected.desk(dumped)
    asked = connected.run("erase", contact)
    assert (asked.status, asked.out) == (1, "")
    assert f"Erase contact {contact}: 1 job of it and all that is remembered? Not a terminal" in asked.err
    told = connected.done("erase", contact, "--yes")
    assert [line.strip() for line in told.lines[1:5]] == [
        "1 job, with its lead, timeline and steps",
        "1 memory of the contact's last event",
        "1 mention among those who had an address",
        "1 bought record of its address; another contact who comes with it has it bought again",
    ]
    assert "HighLevel: the contact itself" in told.out
    assert "bgrewriteaof" in told.out
    assert contact not in connected.desk(dumped)

    async def audit(desk: Desk) -> list[tuple[str, str, int]]:
        entries = (await Audit(desk.connection, desk.keys).read()).entries
        return [(entry.action, entry.target, entry.done) for entry in entries]

    assert connected.desk(audit) == [("erase", f"contact:{digest(contact)}", 1)]
    again = connected.run("erase", contact, "--yes")
    assert (again.status, again.out) == (1, "")
    assert again.err == f"leadenrich: nothing is kept of contact {contact}: is the id right?\n"
    again = connected.run("erase", contact, "--yes", "--json")
    assert (again.status, json.loads(again.out)["jobs"]) == (1, 0)


def test_while_a_job_is_worked_on_it_refuses(shell: Shell) -> None:
    async def work(desk: Desk) -> str:
        await desk.new("c1")
        return (await desk.one()).job_id

    job_id = shell.desk(work)
    told = shell.run("erase", "c1", "--yes")
    assert (told.status, told.out) == (1, "")
    assert told.err.startswith(f"leadenrich: job {job_id} of this contact is worked on: nothing was erased")


def test_a_spool_that_may_hold_leads_is_told(shell: Shell, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.write_bytes(b"leadenrich spool 1\n" + b"a lead")
    shell.config.write_text(f'{shell.config.read_text()}[server]\nspool = "{spool}"\n')
    told = shell.run("erase", "c1", "--yes")
    assert (told.status, told.out) == (1, "")
    assert f"Leads in the spool {spool}" in told.err


def test_the_shipped_redis_user_may_erase_and_is_told_what_it_cannot_find(
    connected: Shell, vendors: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "acl.conf").write_text(ACL.read_text("utf-8").replace("CHANGE-ME", "the-password"))
    [contact] = people(vendors, 1, start=7100)
    with running(tmp_path, "--include", str(tmp_path / "acl.conf")) as server:
        text = connected.config.read_text().splitlines()
        url = f"redis://leadenrich:the-password@127.0.0.1:{server.port}/0"
        connected.config.write_text("\n".join(f'url = "{url}"' if line.startswith("url =") else line for line in text))
        connected.done("enrich", contact.contact_id)
        told = connected.done("erase", contact.contact_id, "--yes").out
    assert "this Redis user may not use SCAN" in told
    assert "    1 job, with its lead" in told


def test_of_several_jobs_it_tells_the_number(shell: Shell) -> None:
    async def two_jobs(desk: Desk) -> None:
        for street in ("1 First St", "2 Second St"):
            await desk.new("c1", street)

    shell.desk(two_jobs)
    assert shell.done("erase", "c1", "--yes").lines[1] == "      2 jobs, with their leads, timelines and steps"
