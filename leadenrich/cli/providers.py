"""`leadenrich providers list|pause|resume`: who is paused and why; stop and start calls, for every daemon."""

from __future__ import annotations

import argparse
import sys

import msgspec
from rich.table import Table

from leadenrich.cli.parser import PROVIDER_NAMES as NAMES
from leadenrich.cli.status import DONE, FAILED, USAGE
from leadenrich.cli.store_access import Store, whoever, with_store
from leadenrich.cli.terminal import console
from leadenrich.store.interventions import UNTOLD, UnknownProvider
from leadenrich.store.views import Stats


def run(args: argparse.Namespace) -> int:
    """1 when a provider to resume was not paused, 2 for no name, or one that nobody has."""
    if args.action != "list" and args.name is None:
        print(f"leadenrich: providers {args.action}: name the provider: {NAMES}", file=sys.stderr)
        return USAGE
    return with_store(args, lambda store: _act(store, args))


async def _act(store: Store, args: argparse.Namespace) -> int:
    if args.action == "list":
        _print(await store.views.stats(), as_json=args.json)
        return DONE
    try:
        return await _switch(store, args)
    except UnknownProvider as error:
        print(f"leadenrich: {args.name}: {error}", file=sys.stderr)
        return USAGE


async def _switch(store: Store, args: argparse.Namespace) -> int:
    """Raises: UnknownProvider."""
    if args.action == "pause":
        await store.controls.pause_provider(args.name, args.reason or UNTOLD, whoever())
        print(f"{args.name} is paused; its leads wait until `leadenrich providers resume {args.name}`.")
        return DONE
    if not await store.controls.resume_provider(args.name, whoever()):
        print(f"leadenrich: {args.name} was not paused", file=sys.stderr)
        return FAILED
    print(f"{args.name} goes on.")
    return DONE


def _print(stats: Stats, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(stats.providers).decode())
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("provider", no_wrap=True, overflow="fold")  # the name that `pause` and `resume` want
    for heading in ("paused", "until", "calls a second", "credits today"):
        table.add_column(heading)
    for name, view in stats.providers.items():
        rate = "no limit" if view.rate == 0 else str(view.rate or "")
        credits = "" if view.credits_today is None else str(view.credits_today)
        table.add_row(name, view.paused or "no", view.until or "", rate, credits)
    console().print(table)
