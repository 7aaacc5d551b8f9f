"""`leadenrich jobs list|show|retry|cancel`: what the API tells of jobs and does to them, at a shell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from leadenrich.cli.job_filter import FILTERS, WrongFilter, filter_of, is_told
from leadenrich.cli.job_told import print_job, print_jobs
from leadenrich.cli.question import agreed
from leadenrich.cli.status import DONE, FAILED, USAGE
from leadenrich.cli.store_access import Store, whoever, with_store
from leadenrich.store.audit import Actor, Audit
from leadenrich.store.errors import JobGone, WrongState
from leadenrich.store.interventions import MANY_MAX, CancelMany, CutOff, Interventions, RetryMany, Tally
from leadenrich.store.job_list import PAGE_MAX, JobList, JobQuery
from leadenrich.store.job_view import JobView
from leadenrich.store.queue import Queue

Act: TypeAlias = Callable[[Store], Awaitable[int]]

BATCH: Final = 500
SHOWN: Final = 50  # jobs in a list, without --limit
_GONE: Final = "there is no such job; finished ones are kept for a while only"
_WRONG_STATE: Final = {
    "no_payload": "the lead itself is kept no longer (queue.payload_retention): send it again",
    "retry": "only a job in FAILED_FINAL can be retried",
    "cancel": "only a job that waits (QUEUED, RETRY_SCHEDULED) can be cancelled",
}


def run(args: argparse.Namespace) -> int:
    """1 when a job is not there or in another state, or nobody agreed; 2 for a filter that cannot be read, or none."""
    try:
        wrong = _misuse(args)
        if wrong is None:
            return with_store(args, _ACTIONS[args.action](args))
    except WrongFilter as error:
        wrong = str(error)
    print(f"leadenrich: jobs {args.action}: {wrong}", file=sys.stderr)
    return USAGE


def _misuse(args: argparse.Namespace) -> str | None:
    """What is wrong with the words, where something is."""
    if args.action == "list" and args.ids:
        return "takes no ids: leadenrich jobs show ID"
    if args.action == "show" and (not args.ids or is_told(args)):
        return "name the jobs by their ids; leadenrich jobs list finds them"
    if args.action in ("retry", "cancel") and bool(args.ids) == is_told(args):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in FILTERS)
        return f"name the jobs by their ids, or say which by a filter ({options}), one of both"
    return None


# --- looking ----------------------------------------------------------------------------------------------------------


def _listed(args: argparse.Namespace) -> Act:
    query, limit = filter_of(args, JobQuery), args.limit or SHOWN

    async def act(store: Store) -> int:
        found = _found(store, query, limit + 1)
        if args.json:
            at = 0
            async for job in found:
                if (at := at + 1) <= limit:
                    print(msgspec.json.encode(job).decode())
            return DONE
        jobs = [job async for job in found]
        print_jobs(jobs[:limit], store.clean)
        if len(jobs) > limit:
            print(f"leadenrich: there are more than these {limit}: --limit N shows N", file=sys.stderr)
        return DONE

    return act


async def _found(store: Store, query: JobQuery, most: int) -> AsyncIterator[JobView]:
    left = most
    while left > 0:
        page = await store.views.jobs(replace(query, limit=min(left, PAGE_MAX)))
        for job in page.jobs:
            yield job
        left -= len(page.jobs)
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)


def _shown(args: argparse.Namespace) -> Act:
    async def act(store: Store) -> int:
        status, shown = DONE, 0
        for job_id in args.ids:
            job = await store.views.job(job_id)
            if job is None:
                status = FAILED
                print(f"leadenrich: {job_id}: {_GONE}", file=sys.stderr)
            elif args.json:
                print(msgspec.json.encode(job).decode())
            else:
                print("\n" if shown else "", end="")
                shown += 1
                print_job(job, await store.views.pauses(), store.clean)
        return status

    return act


# --- acting -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Deed:
    """One of the two, in words: `asked` and `done` have a place for what, and for how many."""

    verb: str
    asked: str
    what: str
    done: str
    one: Callable[[str, Actor], Awaitable[None]]
    many: Callable[[bool, int, str | None], Awaitable[Tally]]
    lost: Callable[[int], Awaitable[int]] | None = None  # older failures that so many would push out
    keep: int | None = None  # how many of those that it ends are kept


def _retried(args: argparse.Namespace) -> Act:
    wanted = filter_of(args, RetryMany)

    async def act(store: Store) -> int:
        do = _interventions(store)

        def many(dry_run: bool, limit: int, cursor: str | None) -> Awaitable[Tally]:
            return do.retry_many(replace(wanted, dry_run=dry_run, limit=limit, cursor=cursor), whoever())

        return await _do(args, _Deed("retry", "Run {} again?", "failed job", "{} run again", do.retry, many))

    return act


def _cancelled(args: argparse.Namespace) -> Act:
    wanted = filter_of(args, CancelMany)

    async def act(store: Store) -> int:
        do = _interventions(store)

        def many(dry_run: bool, limit: int, cursor: str | None) -> Awaitable[Tally]:
            return do.cancel_many(replace(wanted, dry_run=dry_run, limit=limit, cursor=cursor), whoever())

        deed = _Deed("cancel", "End {}?", "waiting job", "{} cancelled", do.cancel, many, do.at_stake, do.keep_failed)
        return await _do(args, deed)

    return act


def _interventions(store: Store) -> Interventions:
    """The same code that the API calls."""
    queue = Queue(store.connection, store.config.queue, worker="cli")
    return Interventions(queue, JobList(store.connection, queue.keys), Audit(store.connection, queue.keys))


async def _do(args: argparse.Namespace, deed: _Deed) -> int:
    if args.ids:
        return await _one_by_one(args, deed)
    most = args.limit or sys.maxsize
    counted = await _count(deed, most)
    matched = counted.matched
    if not matched:
        _tell(Tally(), deed, args)
        return DONE
    if not agreed(_question(counted, deed, args), yes=args.yes):
        print("Nothing was changed.", file=sys.stderr)
        return FAILED
    total, cursor = Tally(), None
    while total.matched < most:
        try:
            part = await deed.many(False, min(BATCH, most - total.matched), cursor)
        except CutOff as error:
            _add(total, error.tally)
            _tell(total, deed, args)
            print("leadenrich: Redis went away in the middle: run it again for the rest", file=sys.stderr)
            return FAILED
        _add(total, part)
        cursor = part.next_cursor
        if cursor is None:
            break
        if sys.stderr.isatty():  # a script waits for the end, and its log is no place for every step
            print(f"{total.done} of {matched}", file=sys.stderr, flush=True)
    _tell(total, deed, args)
    return DONE


async def _count(deed: _Deed, most: int) -> Tally:
    total, cursor = Tally(), None
    while True:
        part = await deed.many(True, min(MANY_MAX, most - total.matched), cursor)
        _add(total, part)
        cursor = part.next_cursor
        if cursor is None or total.matched >= most:
            break
    total.failures_removed = await deed.lost(total.matched) if deed.lost else 0
    return total


def _question(counted: Tally, deed: _Deed, args: argparse.Namespace) -> str:
    """With what somebody should know who says yes."""
    asked = deed.asked.format(_number(counted.matched, deed.what))
    if counted.reasons and not args.reason:
        most_first = sorted(counted.reasons.items(), key=lambda of: -of[1])
        asked += f" They failed for: {', '.join(f'{count} {reason}' for reason, count in most_first)}."
    if counted.failures_removed:
        failures = _number(counted.failures_removed, "older failure")
        asked += f" {failures} will be removed to make room (queue.keep_failed)."
    return asked + _beyond(counted.matched, deed)


async def _one_by_one(args: argparse.Namespace, deed: _Deed) -> int:
    tally, actor = Tally(matched=len(args.ids)), whoever()
    for job_id in args.ids:
        try:
            await deed.one(job_id, actor)
        except JobGone:
            wrong = _GONE
        except WrongState as error:
            wrong = _WRONG_STATE.get(str(error), _WRONG_STATE[deed.verb])
        else:
            tally.done += 1
            continue
        tally.skipped += 1
        print(f"leadenrich: {job_id}: {wrong}", file=sys.stderr)
    _tell(tally, deed, args)
    return FAILED if tally.skipped else DONE


def _add(total: Tally, part: Tally) -> None:
    total.matched += part.matched
    total.done += part.done
    total.skipped += part.skipped
    total.failures_removed += part.failures_removed
    for reason, count in part.reasons.items():
        total.reasons[reason] = total.reasons.get(reason, 0) + count


def _tell(tally: Tally, deed: _Deed, args: argparse.Namespace) -> None:
    lost = tally.failures_removed
    if args.json:
        told = {"matched": tally.matched, "done": tally.done, "skipped": tally.skipped}
        if deed.lost and not args.ids:
            told["failures_removed"] = lost
        print(msgspec.json.encode(told).decode())
        return
    skipped = f", {tally.skipped} left as they are: gone, or in another state by now" if tally.skipped else ""
    are_lost = f" {_number(lost, 'older failure')} removed to make room (queue.keep_failed)." if lost else ""
    beyond = _beyond(tally.done, deed)
    print(f"{deed.done.format(tally.done)}{skipped}.{are_lost}{beyond}" if tally.matched else "No job fits.")


def _beyond(count: int, deed: _Deed) -> str:
    """What becomes of more than are kept."""
    if deed.keep is None or count <= deed.keep:
        return ""
    return (
        f" Only the newest {deed.keep:,} are kept (queue.keep_failed): the others can neither be seen nor run again, "
        "and their rows stay duplicates to an import for 30 days."
    )


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


_ACTIONS: Final[dict[str, Callable[[argparse.Namespace], Act]]] = {
    "list": _listed, "show": _shown, "retry": _retried, "cancel": _cancelled,
}  # fmt: skip
