"""`leadenrich status [--watch]`: the running daemons at a glance, once or second by second."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Final

import aiohttp
import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from leadenrich.cli.status import DONE, FAILED
from leadenrich.cli.status_glance import GONE_S, READY_WITHIN_S, Glance, Looker
from leadenrich.cli.store_access import Store, with_store
from leadenrich.cli.terminal import console
from leadenrich.core.job import JobState
from leadenrich.core.times import iso
from leadenrich.daemon.clock import now_ms
from leadenrich.store.errors import StoreUnavailable
from leadenrich.web.story import age

TICK_S: Final = 1.0
_ERROR_SIGNS: Final = 60
_ROOMY: Final = 100  # columns that show whom a failure concerned
_ANY: Final = 1000  # columns: what a table would like to have is asked as if there were room


def run(args: argparse.Namespace) -> int:
    """1 when no daemon is there."""
    return with_store(args, lambda store: _show(store, args))


async def _show(store: Store, args: argparse.Namespace) -> int:
    timeout = aiohttp.ClientTimeout(total=READY_WITHIN_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        looker = Looker(store, session)
        if args.watch:
            return await _watch(store, looker, as_json=args.json)
        glance = await looker.look()
        if args.json:
            print(msgspec.json.encode(glance).decode())
        else:
            out = console()
            out.print(_screen(glance, store, out))
        return DONE if glance.readyz.url or glance.alive(store.config.queue.lease) else FAILED


async def _watch(store: Store, looker: Looker, *, as_json: bool) -> int:
    """Until Ctrl-C, which is how it is meant to end."""
    try:
        if as_json or not sys.stdout.isatty():
            async for glance in _looks(looker):
                print(_line(glance, store, as_json=as_json), flush=True)
        else:
            with Live(console=console(), screen=True, auto_refresh=False) as live:
                last: RenderableType = ""
                async for glance in _looks(looker):
                    if isinstance(glance, Glance):
                        last = _screen(glance, store, live.console)
                        live.update(last, refresh=True)
                    else:  # what was seen last stays in sight
                        live.update(Group(Text(store.clean(str(glance)), "bold red"), last), refresh=True)
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
    return DONE


async def _looks(looker: Looker) -> AsyncIterator[Glance | StoreUnavailable]:
    """One a second; while Redis is away, what keeps us from it."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + TICK_S
        try:
            yield await looker.look()
        except StoreUnavailable as error:
            yield error
        await asyncio.sleep(max(0.0, due - loop.time()))


# --- one line a second ------------------------------------------------------------------------------------------------


def _line(seen: Glance | StoreUnavailable, store: Store, *, as_json: bool) -> str:
    if isinstance(seen, StoreUnavailable):
        told = {"time": iso(now_ms()), "error": store.clean(str(seen))}
        return msgspec.json.encode(told).decode() if as_json else f"{told['time']}  {told['error']}"
    if as_json:
        return msgspec.json.encode(seen).decode()
    counts = seen.stats.lanes
    lanes = [
        f"{lane} {counts[lane]['QUEUED']} waiting, {counts[lane]['PROCESSING']} at work, "
        f"{counts[lane]['RETRY_SCHEDULED']} to retry"
        for lane in counts
    ]
    paused = [name for name, provider in seen.stats.providers.items() if provider.paused]
    paused += ["the queue"] if seen.stats.paused is not None else []
    daemons = len(seen.alive(store.config.queue.lease))
    here = "1 daemon" if daemons == 1 else f"{daemons} daemons"
    said = [*lanes, f"{seen.finished_last_minute} ended in the last minute", here]
    return f"{seen.time}  {'; '.join(said)}{'; PAUSED: ' + ', '.join(paused) if paused else ''}"


# --- the screen -------------------------------------------------------------------------------------------------------


def _screen(glance: Glance, store: Store, out: Console) -> RenderableType:
    return Group(*_blocks(glance, store, out))


def _blocks(glance: Glance, store: Store, out: Console) -> Iterator[RenderableType]:
    clean = store.clean
    yield Text.assemble((f"leadenrich  {glance.queue}", "bold"), f"  {glance.time[:19].replace('T', ' ')} UTC")
    if glance.stats.paused is not None:
        yield Text(f"PAUSED: {clean(glance.stats.paused)}: no job is taken", "bold yellow")
    yield _ready(glance, clean)
    yield Text()
    yield _daemons(glance, store.config.queue.lease, clean)
    yield Text()
    across = _lanes(glance)
    yield (
        across
        if out.measure(across, options=out.options.update(width=_ANY)).maximum <= out.width
        else _lanes_down(glance)
    )
    kept = store.config.queue.keep_succeeded + store.config.queue.keep_failed
    least = "at least " if glance.finished_last_hour >= kept else ""  # older ones are not kept to be counted
    yield Text(
        f"ended: {glance.finished_last_minute} in the last minute, {least}{glance.finished_last_hour} in the last hour"
    )
    yield Text()
    yield _providers(glance, clean)
    if glance.failures:
        yield Text()
        yield _failures(glance, clean, roomy=out.width >= _ROOMY)


def _ready(glance: Glance, clean: Callable[[str], str]) -> Text:
    told = glance.readyz
    if told.url is None:
        return Text("no daemon answers at server.host and server.port", "dim")
    text = Text.assemble(f"{told.url}/readyz: ", ("ready", "green") if told.ready else ("not ready", "bold red"))
    for line in (*told.problems, *(f"{part}: {note}" for part, note in told.notes.items())):
        text.append(f"\n  {clean(line)}")
    return text


def _daemons(glance: Glance, lease_s: float, clean: Callable[[str], str]) -> RenderableType:
    alive = {daemon.name for daemon in glance.alive(lease_s)}
    table = _table("daemon", "host", "boot", "last beat", "")
    for daemon in glance.daemons:
        if daemon.name in alive or daemon.silent_seconds < GONE_S:
            state = Text("alive", "green") if daemon.name in alive else Text("silent", "red")
            ago = f"{age(daemon.silent_seconds)} ago"
            table.add_row(Text(clean(daemon.name)), Text(clean(daemon.host)), daemon.boot, ago, state)
    return table if table.row_count else Text("no daemon works on this queue", "bold red")


def _lanes(glance: Glance) -> Table:
    table = _table("lane", *(state.value for state in JobState), "oldest waits")
    for lane, counts in glance.stats.lanes.items():
        table.add_row(lane, *(str(counts[state.value]) for state in JobState), _oldest(glance, lane))
    return table


def _lanes_down(glance: Glance) -> Table:
    """The same for a narrow terminal: the states' names below each other."""
    lanes = glance.stats.lanes
    table = _table("lane", *lanes)
    for state in JobState:
        table.add_row(state.value, *(str(counts[state.value]) for counts in lanes.values()))
    table.add_row("oldest waits", *(_oldest(glance, lane) for lane in lanes))
    return table


def _oldest(glance: Glance, lane: str) -> str:
    seconds = glance.oldest_waiting_seconds.get(lane)
    return "" if seconds is None else age(seconds)


def _providers(glance: Glance, clean: Callable[[str], str]) -> Table:
    table = _table("provider", "calls", "calls a second", "credits today", "until")
    for name, view in glance.stats.providers.items():
        rate = "no limit" if view.rate == 0 else f"{view.rate:g}" if view.rate else ""
        spent = "" if view.credits_today is None else str(view.credits_today)
        if spent and glance.credits_budget:
            spent += f" of {glance.credits_budget}"
        state = Text(f"paused, {clean(view.paused)}", "yellow") if view.paused else Text("go", "green")
        until = view.until[:19].replace("T", " ") if view.until else ""
        table.add_row(Text(clean(name)), state, rate, spent, until)
    return table


def _failures(glance: Glance, clean: Callable[[str], str], *, roomy: bool) -> Table:
    """Without room the contact is left to `jobs show`: the job's id must be whole for that."""
    table, now = _table("last failures", "reason", *(("contact",) if roomy else ()), "job", "error"), datetime.now(UTC)
    table.columns[-2].no_wrap = True
    for job in glance.failures:
        ago = (now - datetime.fromisoformat(job.finished_at)).total_seconds() if job.finished_at else 0.0
        error = clean(job.error or "")
        short = error if len(error) <= _ERROR_SIGNS else f"{error[: _ERROR_SIGNS - 1]}…"
        contact = (Text(clean(job.contact_id)),) if roomy else ()
        table.add_row(f"{age(max(0.0, ago))} ago", job.reason, *contact, job.job_id, Text(short, "dim"))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, overflow="fold")  # a name that is cut is none
    return table
