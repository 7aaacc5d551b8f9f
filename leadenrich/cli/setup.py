"""`leadenrich setup`: the custom fields that the mapping needs, created in HighLevel. Twice changes nothing."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table

from leadenrich.cli.configuration import mapping_of, refuse, usable
from leadenrich.cli.loop import run_loop
from leadenrich.cli.question import agreed
from leadenrich.cli.status import DONE, FAILED
from leadenrich.config import Config, Fault
from leadenrich.core.errors import Trouble
from leadenrich.daemon.clock import now_ms
from leadenrich.doctor import FieldPlan, plan_fields
from leadenrich.providers.ghl import Ghl


def run(args: argparse.Namespace) -> int:
    """Shows the plan, asks, creates. 78 where a location has no token; 1 where HighLevel refused."""
    config = usable(args).config
    locations = [location.id for location in config.ghl.locations if args.location in (None, location.id)]
    if not locations:
        wanted = f"no location {args.location!r} is configured" if args.location else "no location is configured"
        refuse([Fault("ghl.locations", f"{wanted}: add [[ghl.locations]] with its id and token")])
    if missing := [location.id for location in config.ghl.locations if location.id in locations and not location.token]:
        refuse([Fault(f"ghl.locations.{location}.token", "is needed to create fields there") for location in missing])
    try:
        return run_loop(_set_up(config, locations, yes=args.yes))
    except Trouble as error:
        print(f"leadenrich: {error}", file=sys.stderr)
        return FAILED


async def _set_up(config: Config, locations: list[str], *, yes: bool) -> int:
    console = Console()
    async with Ghl(config.ghl, now_ms=now_ms, allow_private=config.server.allow_private_upstreams) as crm:
        plans = [await plan_fields(crm, location, mapping_of(config).entries) for location in locations]
        for plan in plans:
            _print(console, plan)
        missing = sum(len(plan.missing) for plan in plans)
        if not missing:
            return FAILED if any(plan.misfits for plan in plans) else DONE
        if not agreed(f"Create {missing} custom fields?", yes=yes):
            print("Nothing was created.")
            return DONE
        for plan in plans:
            for entry in plan.missing:
                made = await crm.create_custom_field(plan.location_id, entry.name, entry.data_type)
                print(f"{plan.location_id}: created {entry.name} ({made.key or entry.key})", flush=True)
    return FAILED if any(plan.misfits for plan in plans) else DONE


def _print(console: Console, plan: FieldPlan) -> None:
    there = len(plan.present)
    console.print(f"{plan.location_id}: {there} fields are there, {len(plan.missing)} to create.", highlight=False)
    if plan.missing:
        table = Table("name", "type", "key", box=None, pad_edge=False)
        for entry in plan.missing:
            table.add_row(entry.name, entry.data_type, entry.key)
        console.print(table)
    for entry, field in plan.misfits:
        console.print(
            f"  {entry.name}: is {field.data_type} in HighLevel, {entry.data_type} is needed. Rename or delete that "
            f'field there, or set mapping.{entry.key}.data_type = "{field.data_type}".',
            highlight=False,
        )
