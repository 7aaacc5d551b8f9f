"""`leadenrich backfill`: the contacts that a location had before the daemon came, as jobs on the bulk lane."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from itertools import islice

import msgspec

from leadenrich.bulk.backfill import SHARE, Chosen, choose, lead_of, pages, patiently
from leadenrich.bulk.feeder import Feeder
from leadenrich.bulk.tally import Tally
from leadenrich.cli.bulk_screen import BulkScreen
from leadenrich.cli.bulk_store import (
    UNCHECKED,
    BulkStore,
    location_of,
    progress_console,
    summed_up,
    tell_examples,
    to_its_end,
    with_queue,
)
from leadenrich.cli.configuration import mapping_of, refuse, rules_of, usable
from leadenrich.cli.loop import run_loop
from leadenrich.cli.status import DONE, FAILED, USAGE
from leadenrich.config import Config, Fault
from leadenrich.core.errors import Trouble
from leadenrich.core.lead import Lead
from leadenrich.daemon.clock import now_ms
from leadenrich.providers.ghl import Ghl, provider_name
from leadenrich.providers.ghl_shapes import ContactPage
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.switches import Switches

PREVIEWED = 3

Paused = Callable[[], Awaitable[str]]
TakePage = Callable[[list[Lead]], Awaitable[None]]


def run(args: argparse.Namespace) -> int:
    """1 where HighLevel refused or did not answer; 78 where the location has no token."""
    config = usable(args).config
    location_id = location_of(config, args.location)
    if not location_id:
        print("leadenrich: several locations are configured: name one with --location ID", file=sys.stderr)
        return USAGE
    if not next(location for location in config.ghl.locations if location.id == location_id).token:
        refuse([Fault(f"ghl.locations.{location_id}.token", "is needed to read its contacts")])
    try:
        if args.dry_run:
            return run_loop(_preview(config, location_id, args))
        return with_queue(config, lambda store: _backfill(config, location_id, args, store))
    except Trouble as error:
        print(f"leadenrich: {error}. What is queued stays; run the same command again to go on.", file=sys.stderr)
        return FAILED


async def _backfill(config: Config, location_id: str, args: argparse.Namespace, store: BulkStore) -> int:
    """Raises: Trouble."""
    tally, target = Tally(), provider_name(location_id)
    switches = Switches(store.connection, store.queue.keys)

    async def paused() -> str:
        try:
            pause = (await switches.all()).get(target)
        except StoreUnavailable as error:
            return str(error)
        return f"{target} is paused: {pause.reason}" if pause else ""

    with BulkScreen(location_id, tally, None, console=progress_console(as_json=args.json)) as screen:
        # Long enough to go on with a run that was broken off; later what failed may be brought again.
        window_s = config.queue.delivery_window
        feeder = Feeder(store.queue, origin="backfill", window_s=window_s, on_wait=screen.wait)

        async def take(leads: list[Lead]) -> None:
            tally.count(await feeder.feed(leads))

        await to_its_end(
            _through(config, location_id, args, tally, screen, paused, take),
            screen,
            lambda: store.keep("backfill", target, tally, whole=False),
        )
        seconds = screen.seconds
    await store.keep("backfill", target, tally, whole=True)
    return summed_up(tally, location_id, seconds, as_json=args.json, more={"location": location_id})


async def _preview(config: Config, location_id: str, args: argparse.Namespace) -> int:
    """Reads the contacts and writes nothing. Raises: Trouble."""
    tally, first = Tally(), list[Lead]()

    async def take(leads: list[Lead]) -> None:
        tally.queued += len(leads)
        first.extend(islice(leads, PREVIEWED - len(first)))

    async def never() -> str:
        return ""

    with BulkScreen(location_id, tally, None, console=progress_console(as_json=args.json)) as screen:
        await _through(config, location_id, args, tally, screen, never, take)
    if args.json:
        told = {
            "location": location_id,
            "dry_run": True,
            "would_queue": tally.queued,
            "duplicates": None,
            "note": UNCHECKED,
            "rejected": tally.rejected,
            "left_out": dict(tally.left_out),
            "leads": first,
        }
        print(msgspec.json.encode(told).decode())
        return FAILED if tally.rejected else DONE
    for lead in first:
        print(f"  {lead.contact_id}  {lead.address.line1}, {lead.address.city}, {lead.address.state}")
    contacts = "1 contact" if tally.queued == 1 else f"{tally.queued:,} contacts"
    print(f"{contacts} would be queued. Nothing was written.")
    print(UNCHECKED)
    for reason, count in tally.left_out.most_common():
        print(f"  left out: {count:,} {reason}")
    tell_examples(tally)
    return FAILED if tally.rejected else DONE


async def _through(
    config: Config,
    location_id: str,
    args: argparse.Namespace,
    tally: Tally,
    screen: BulkScreen,
    paused: Paused,
    take: TakePage,
) -> None:
    """Every page of the location: what is wanted goes to `take`, the rest is counted. Raises: Trouble."""
    private = config.server.allow_private_upstreams
    # The daemon's calls count against the same limit: it must find its half whenever a live lead comes.
    async with Ghl(config.ghl, now_ms=now_ms, allow_private=private, share=SHARE) as crm:
        chosen = choose(
            await patiently(lambda: crm.custom_fields(location_id), screen.wait),
            mapping_of(config),
            rules_of(config),
            tag=args.tag or "",
            since_ms=args.since or 0,
            address_fields=config.ghl.address_fields,
        )
        read = 0
        async for page in pages(crm, location_id, since_ms=chosen.since_ms, paused=paused, on_wait=screen.wait):
            leads = _wanted(page, chosen, tally)
            if leads:
                await take(leads)
            read += len(page.contacts)
            screen.show(read, page.total)


def _wanted(page: ContactPage, chosen: Chosen, tally: Tally) -> list[Lead]:
    leads = []
    for listed in page.contacts:
        if why := chosen.left_out(listed):
            tally.left_out[why] += 1
        elif lead := lead_of(listed.contact):
            leads.append(lead)
        else:
            tally.reject(f"contact {listed.contact.contact_id[:40]!r}", "its id is none")
    return leads
