"""docs/scale.md between its marks: made again from what is kept in docs/scale.json, in a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import msgspec
from bench import report
from bench.report import as_page_table
from bench.samples import shown

from scale.bill import Bill
from scale.model import (
    DAY_S,
    LIVES_DAYS,
    LOCATION_CALLS_PER_S,
    OUTSIDE,
    RATES,
    Lead,
    Need,
    Queue,
    limits,
    queue_figures,
)
from scale.partitions import Spread, claiming, moved, spread, zipf

PAGE, KEPT = report.DOCS / "scale.md", report.DOCS / "scale.json"
BEGIN, END = "<!-- figures: written by make scale -->", "<!-- end of the figures -->"

LOCATIONS = 20_000
SPREAD_PER_S = 10_000.0
SPLITS = ((16, 4), (64, 4), (256, 16), (1024, 16))  # partitions, masters
EXPONENTS = (0.0, 0.8, 1.1)
SERVED = (1, 4, 16, 64)  # partitions of one worker
MOVED_PARTITIONS = (64, 1024)
DISK_TIMES = 3  # rewritten when it has grown to twice its size, while the old one still stands


class Kept(msgspec.Struct, frozen=True):
    """`queue` is what of performance.json the page was made with."""

    bill: Bill
    queue: Queue


def read() -> Kept:
    """Raises: FileNotFoundError before the first `make scale MEASURE=1`."""
    return msgspec.json.decode(KEPT.read_bytes(), type=Kept)


def keep(kept: Kept) -> None:
    """Put the figures in the place of the old ones, and make the page again."""
    KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
    PAGE.write_text(written(PAGE.read_text("utf-8"), kept), "utf-8")


def renew() -> None:
    """After a new run of `make bench`: the same bill, the queue's new figures."""
    if KEPT.exists():
        keep(msgspec.structs.replace(read(), queue=queue_now()))


def queue_now() -> Queue:
    """As performance.json has it now."""
    stands = report.read()
    return queue_figures({name: it.figures() for name, it in stands.items()}, stands["drain-5"].on[:16] + "Z")


def written(page: str, kept: Kept) -> str:
    """The page with new figures between its marks: all else is written by hand."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n" + "\n\n".join(_parts(kept)) + f"\n\n{END}{after}"


def _parts(kept: Kept) -> Iterator[str]:
    lead = Lead(kept.bill, kept.queue)
    yield "### A lead's bill"
    yield as_page_table(_bill_rows(kept))
    yield _source(kept)
    yield "### What Redis remembers"
    yield as_page_table(_memory_rows(lead))
    yield "### Where a rate ends"
    yield as_page_table([["what", "leads/s", "why"], *([it.what, shown(it.per_s), it.why] for it in limits(lead))])
    yield "### What a rate needs"
    yield as_page_table(_need_rows([Need(rate, lead) for rate in RATES]))
    yield f"### {SPREAD_PER_S:,.0f} leads/s of {LOCATIONS:,} locations over partitions"
    yield as_page_table(_spread_rows(lead))
    yield "### A worker that serves several partitions"
    yield as_page_table(_claim_rows(kept.bill))
    yield "### Moving one partition"
    yield as_page_table(_move_rows(lead))


def _bill_rows(kept: Kept) -> list[list[str]]:
    parts = [kept.bill.taken_in, kept.bill.worked_off, kept.bill.one_by_one]
    rows = [["of one lead", "taken in", "worked off", "both, one by one"]]
    for name, text in (
        ("commands", "Redis commands, those in scripts too"), ("reads", "socket reads of Redis"),
        ("to_redis", "bytes to Redis"), ("from_redis", "bytes from Redis"), ("disk", "bytes of append-only file"),
        ("redis_us", "CPU of Redis, µs"), ("daemon_us", "CPU of the daemon, µs"),
    ):  # fmt: skip
        rows.append([text, *(shown(value) if (value := getattr(part, name)) else "" for part in parts)])
    for vendor, ways in kept.bill.wire.items():
        calls = sum(count for name, count in kept.bill.calls.items() if name.startswith(f"{vendor} "))
        told = f"calls: {shown(calls)}; {shown(ways['sent'])} bytes out, {shown(ways['got'])} in"
        rows.append([f"{vendor}", "", told, ""])
    return rows


def _source(kept: Kept) -> str:
    bill, queue = kept.bill, kept.queue
    names = ", ".join(f"{name} {number}" for name, number in bill.versions.items() if name not in ("Node", "wrk"))
    door = "not measured in full yet" if queue.door_us is None else f"{shown(queue.door_us)} µs"
    return (
        f"{bill.on}; {bill.machine}; {names}. Of the queue alone (`docs/performance.json`, {queue.on}): a waiting lead "
        f"{shown(queue.waiting_bytes)} bytes; a job that does nothing {shown(queue.noop_redis_us)} µs of Redis and "
        f"{shown(queue.noop_daemon_us)} µs of Python; a signed webhook's CPU {door}."
    )


def _memory_rows(lead: Lead) -> list[list[str]]:
    rows = [["key", "bytes each", "lives", "at 1 lead/s, MB", "at 100 leads/s, GB"]]
    for kind, days in LIVES_DAYS.items():
        if kind in lead.bill.kinds:
            lives = "with its job: the newest 20,000" if days is None else _days(days)
            one, many = (lead.kept(rate, kind)[1] for rate in (1, 100))
            size = lead.bill.kinds[kind].bytes_each
            rows.append([kind, shown(size), lives, shown(one / 1e6), shown(many / 1e9)])
    rows.append(["all", "", "", shown(lead.memory(1) / 1e6), shown(lead.memory(100) / 1e9)])
    return rows


def _days(days: float) -> str:
    return f"{days:g} days" if days >= 1 else f"{days * DAY_S:g} s"


def _need_rows(needs: Sequence[Need]) -> list[list[str]]:
    def row(text: str, *cells: str) -> list[str]:
        return [text, *cells]

    lead = needs[0].lead
    return [
        ["leads/s, day and night", *(f"{it.per_s:,}" for it in needs)],
        row("leads a day", *(f"{it.per_s * DAY_S:,}" for it in needs)),
        row("HighLevel calls/s", *(shown(it.per_s * lead.crm_calls) for it in needs)),
        row("locations, at least (all alike, all day)", *(f"{it.locations:,}" for it in needs)),
        row("RealEstateAPI keys of 1,000,000 · 500,000 a day", *(f"{it.keys[0]:,} · {it.keys[1]:,}" for it in needs)),
        row("cores of the worker half", *(shown(it.worker_cores) for it in needs)),
        row("worker processes", *(f"{it.worker_processes:,}" for it in needs)),
        row("cores of the web half", *(shown(it.web_cores) for it in needs)),
        row("web processes", *(f"{it.web_processes:,}" for it in needs)),
        row("cores of Redis", *(shown(it.redis_cores) for it in needs)),
        row("Redis masters, by their core", *(f"{it.masters_by_core:,}" for it in needs)),
        row("memory of all masters, GB", *(shown(it.memory / 1e9) for it in needs)),
        row("disk for the append-only file, GB", *(shown(DISK_TIMES * it.lead.memory(it.per_s) / 1e9) for it in needs)),
        row("written to it, MB/s", *(shown(it.per_s * lead.disk / 1e6) for it in needs)),
        row("to and from Redis, Mbit/s", *(shown(it.per_s * lead.redis_wire * 8 / 1e6) for it in needs)),
        row("to and from the vendors, Mbit/s", *(shown(it.per_s * lead.vendor_wire * 8 / 1e6) for it in needs)),
        row(
            "an hour without a vendor: leads that wait, GB",
            *(shown(it.per_s * 3600 * lead.queue.waiting_bytes / 1e9) for it in needs),
        ),
    ]


def _spread_rows(lead: Lead) -> list[list[str]]:
    rows = [["Zipf", "busiest location", "written to HighLevel", "partitions, masters", "fullest partition",
             "fullest master", "partitions moved", "fullest master then"]]  # fmt: skip
    most = LOCATION_CALLS_PER_S / lead.crm_calls
    for exponent in EXPONENTS:
        loads = [SPREAD_PER_S * share for share in zipf(LOCATIONS, exponent)]
        written_share = sum(min(load, most) for load in loads) / SPREAD_PER_S
        for partitions, masters in SPLITS:
            before, after, moves = _spread(exponent, partitions, masters)
            rows.append([
                f"{exponent:g}", f"{shown(loads[0])}/s", f"{written_share:.0%}", f"{partitions:,}, {masters}",
                f"{before.fullest_partition:.2f} × ({shown(max(before.partitions))}/s)",
                f"{before.fullest_master:.2f} ×", f"{moves}", f"{after.fullest_master:.2f} ×",
            ])  # fmt: skip
    return rows


@cache
def _spread(exponent: float, partitions: int, masters: int) -> tuple[Spread, Spread, int]:
    before = spread([SPREAD_PER_S * share for share in zipf(LOCATIONS, exponent)], partitions, masters)
    return before, *moved(before)


def _claim_rows(bill: Bill) -> list[list[str]]:
    cost = bill.claim_us["none"], bill.claim_us["one"], (bill.claim_us["fifty"] - bill.claim_us["one"]) / 49
    rows = [["partitions", "slots in use", "it asks", "calls a lead", "of them for nothing", "Redis, µs a lead",
             "wait, ms"]]  # fmt: skip
    for busy in (0.1, 0.9):
        for partitions in SERVED:
            for looks, text in (("all", "all in turn"), ("marked", "those with a marker")):
                it = claiming(partitions, busy, looks, cost)
                rows.append([
                    f"{partitions}", f"{busy:.0%}", text, f"{it.calls + it.empty:.2f}", f"{it.empty:.2f}",
                    shown(it.redis_us), f"{it.wait_ms:.1f}",
                ])  # fmt: skip
    return rows


def _move_rows(lead: Lead) -> list[list[str]]:
    """Without what lies outside of the queue's slots: bought records, addresses."""
    rows = [["leads/s", "partitions", "keys in each", "MB in each", "it stands still for"]]
    for rate in RATES[1:]:
        for partitions in MOVED_PARTITIONS:
            kinds = [lead.kept(rate / partitions, kind) for kind in LIVES_DAYS if kind not in OUTSIDE]
            keys, size = sum(keys for keys, _ in kinds), sum(size for _, size in kinds)
            seconds = keys / lead.bill.moved_per_s
            rows.append([
                f"{rate:,}", f"{partitions:,}", f"{keys:,.0f}", shown(size / 1e6),
                f"{shown(seconds)} s" if seconds < 600 else f"{shown(seconds / 3600)} h",
            ])  # fmt: skip
    return rows
