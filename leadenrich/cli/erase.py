"""`leadenrich erase CONTACT_ID`: a person leaves; what is removed, and what is not ours to remove."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from leadenrich.cli.configuration import rules_of
from leadenrich.cli.question import agreed
from leadenrich.cli.status import DONE, FAILED
from leadenrich.cli.store_access import Store, whoever, with_store
from leadenrich.store.audit import Audit
from leadenrich.store.erasure import AtWork, Erased, Erasure, StillComing
from leadenrich.store.schema import Keys, digest
from leadenrich.store.spool_file import HEADER


def run(args: argparse.Namespace) -> int:
    """1 while a job of the contact is worked on, when nobody agreed, or when nothing was kept of it."""
    return with_store(args, lambda store: _erase(store, args))


async def _erase(store: Store, args: argparse.Namespace) -> int:
    contact, keys = args.contact, Keys(store.config.queue.name)
    erasure = Erasure(store.connection, keys)
    jobs = await erasure.jobs(contact, args.location)
    waiting = sum(job.finished_at is None for job in jobs)
    open_ones = f", {waiting} of them not ended," if waiting else ""
    what = f"{_jobs(len(jobs))} of it{open_ones} and all that is remembered"
    if not agreed(f"Erase contact {store.clean(contact)}: {what}?", yes=args.yes):
        print("Nothing was erased.", file=sys.stderr)
        return FAILED
    places = [args.location] if args.location else [place.id for place in store.config.ghl.locations]
    try:
        erased = await erasure.erase(contact, places, args.location)
    except AtWork as busy:
        print(f"leadenrich: {busy}: nothing was erased; run it again when the job has ended", file=sys.stderr)
        return FAILED
    except StillComing:
        print("leadenrich: new jobs of this contact keep coming in: stop who sends them, run it again", file=sys.stderr)
        return FAILED
    # By a hash: who knows the id can prove that it was erased, and the log names nobody.
    audit = Audit(store.connection, keys)
    await audit.keep(whoever(), "erase", f"contact:{digest(contact)}", done=erased.jobs)
    if args.json:
        print(msgspec.json.encode(erased).decode())
    elif not erased.nothing:
        _tell(erased, store)
    return _of_nobody(erased, store, args) if erased.nothing else DONE


def _of_nobody(erased: Erased, store: Store, args: argparse.Namespace) -> int:
    where = f" in location {args.location}" if args.location else ""
    told = store.clean(f"nothing is kept of contact {args.contact}{where}: is the id right?")
    print(f"leadenrich: {told}", *_unseen(erased, store), sep="\n  ", file=sys.stderr)
    return FAILED


def _jobs(count: int) -> str:
    return {0: "no job", 1: "1 job"}.get(count, f"{count} jobs")


def _tell(erased: Erased, store: Store) -> None:
    print("Erased:")
    for count, one, many in (
        (erased.jobs, "job, with its lead, timeline and steps", "jobs, with their leads, timelines and steps"),
        (erased.contacts, "memory of the contact's last event", "memories of the contact's last event"),
        (erased.sightings, "mention among those who had an address", "mentions among those who had an address"),
        (
            erased.records,
            "bought record of its address; another contact who comes with it has it bought again",
            "bought records of its addresses; another contact who comes with one has it bought again",
        ),
        (
            erased.events,
            "entry of the events stream, with up to seven events of others",
            "entries of the events stream, each with up to seven events of others",
        ),
        (erased.actions, "entry of the audit log that named it", "entries of the audit log that named it"),
    ):
        print(f"  {count:>5} {one if count == 1 else many}")
    print("Not erased:")
    for line in _left(erased, store):
        print(f"  {line}")


def _left(erased: Erased, store: Store) -> Iterator[str]:
    yield "HighLevel: the contact itself, its fields, tags and notes; delete it there."
    yield "The log of each daemon, which names ids: as long as journald, or whoever collects it, keeps it."
    yield "Redis' append-only file, until Redis writes it anew: redis-cli bgrewriteaof; and your backups."
    yield "Marks of deliveries, a hash and a job's id each, until their window ends: what is sent again starts nothing."
    yield "A hash of the contact's id, for 180 days: an import or backfill that brings it anew is a new lead."
    yield from _unseen(erased, store)
    for name in erased.pauses:
        yield f"The reason why {name} is paused, which names it: it goes with the pause."


def _unseen(erased: Erased, store: Store) -> Iterator[str]:
    """Where more of it may be than this run could see."""
    config = store.config
    if not erased.searched:
        days = rules_of(config).duplicate_days or 0
        yield (
            "Mentions under addresses that no kept lead tells: this Redis user may not use SCAN. They end by "
            f"themselves after {days} days; or run this again with a redis.url whose user may."
        )
    if config.server.spool and _holds_leads(Path(config.server.spool)):
        yield f"Leads in the spool {config.server.spool} that Redis does not have yet: run this again when it has them."


def _holds_leads(spool: Path) -> bool:
    try:
        return spool.stat().st_size > len(HEADER)
    except OSError:  # of another machine, or not ours to see
        return False
