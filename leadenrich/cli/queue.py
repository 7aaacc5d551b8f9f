"""`leadenrich queue status|pause|resume`: how much waits; stop and start taking jobs, for every daemon."""

from __future__ import annotations

import argparse
import sys

import msgspec
from rich.table import Table

from leadenrich.cli.status import DONE, FAILED
from leadenrich.cli.store_access import Store, whoever, with_store
from leadenrich.cli.terminal import console
from leadenrich.core.job import JobState
from leadenrich.store.interventions import UNTOLD
from leadenrich.store.views import Stats


def run(args: argparse.Namespace) -> int:
    """1 when a queue to resume was not paused."""
    return with_store(args, lambda store: _act(store, args))


async def _act(store: Store, args: argparse.Namespace) -> int:
    if args.action == "status":
        _print(await store.views.stats(), as_json=args.json)
        return DONE
    if args.action == "pause":
        await store.controls.pause_queue(args.reason or UNTOLD, whoever())
        print("No job is taken until `leadenrich queue resume`; webhooks are still kept.")
        return DONE
    if not await store.controls.resume_queue(whoever()):
        print("leadenrich: the queue was not paused", file=sys.stderr)
        return FAILED
    print("The queue goes on.")
    return DONE


def _print(stats: Stats, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(stats).decode())
        return
    table = Table("state", *stats.lanes, box=None, pad_edge=False)
    for state in JobState:
        table.add_row(state.value, *(str(counts[state.value]) for counts in stats.lanes.values()))
    out = console()
    out.print(table)
    age = stats.oldest_waiting_seconds
    out.print("nothing waits" if age is None else f"oldest waiting: {age:.0f} s", highlight=False)
    if stats.paused is not None:
        out.print(f"PAUSED: {stats.paused}", highlight=False)
