"""`leadenrich import FILE.csv`: its rows become jobs on the bulk lane, each once, however often it is run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from leadenrich.bulk.columns import BadColumns, ColumnMap, match_columns
from leadenrich.bulk.csv_file import BadFile, CsvFile, CsvRows, Row, examine
from leadenrich.bulk.feeder import Feeder
from leadenrich.bulk.importer import WINDOW_S, import_leads, origin_of, usable_leads
from leadenrich.bulk.rejects import Rejects, rejects_path
from leadenrich.bulk.rows import LeadReader
from leadenrich.bulk.tally import Tally
from leadenrich.cli.bulk_screen import BulkScreen
from leadenrich.cli.bulk_store import (
    GO_ON,
    UNCHECKED,
    BulkStore,
    location_of,
    progress_console,
    summed_up,
    tell_examples,
    to_its_end,
    with_queue,
)
from leadenrich.cli.configuration import usable
from leadenrich.cli.status import DONE, FAILED, USAGE
from leadenrich.cli.terminal import console
from leadenrich.config import Config
from leadenrich.core.lead import Lead

PREVIEWED = 3


def run(args: argparse.Namespace) -> int:
    """1 where rows were rejected; 2 where the file or its columns cannot be understood."""
    config = usable(args).config
    location_id = location_of(config, args.location)
    try:
        _check_words(args)
        file = examine(args.file, encoding=args.encoding, delimiter=args.delimiter)
        columns = match_columns(file.header, dict(args.map))
        if not location_id and "location_id" not in columns.places:
            raise BadColumns("no column is the location id, and several are configured: name it with --location ID")
    except (BadFile, BadColumns) as error:
        print(f"leadenrich: {error}", file=sys.stderr)
        return USAGE
    reader = LeadReader(columns, {location.id for location in config.ghl.locations}, location_id)
    try:
        if args.dry_run:
            return _preview(file, columns, reader, as_json=args.json)
        return _import(config, file, reader, args)
    except BrokenPipeError:  # the reader left, see main
        raise
    except (OSError, UnicodeError) as error:
        print(f"leadenrich: {error}. {GO_ON}", file=sys.stderr)
        return FAILED


def _check_words(args: argparse.Namespace) -> None:
    """Raises: BadColumns, BadFile."""
    members = [member for member, _ in args.map]
    if twice := next((member for member in members if members.count(member) > 1), None):
        raise BadColumns(f"--map {twice} is told twice: a member is one column")
    if args.rejected and not args.rejected.parent.is_dir():
        raise BadFile(f"--rejected: there is no folder {args.rejected.parent}: make it, or name another place")
    if args.rejected and args.rejected.exists() and args.file.exists() and args.rejected.samefile(args.file):
        raise BadFile("--rejected is the file that is imported: name another one")


def _import(config: Config, file: CsvFile, reader: LeadReader, args: argparse.Namespace) -> int:
    tally, rows, screen_console = Tally(), CsvRows(file), progress_console(as_json=args.json)

    async def act(store: BulkStore) -> int:
        with (
            Rejects(file, args.rejected or rejects_path(file.path)) as rejects,
            BulkScreen(file.path.name, tally, file.size_bytes, console=screen_console) as screen,
        ):

            def reject(row: Row, reason: str) -> None:
                tally.reject(f"line {row.line}", reason)
                rejects.add(row, reason)

            feeder = Feeder(store.queue, origin=origin_of(file), window_s=WINDOW_S, on_wait=screen.wait)
            leads = usable_leads(rows, reader, reject)
            await to_its_end(
                import_leads(leads, feeder, tally, lambda: screen.show(rows.position)),
                screen,
                lambda: store.keep("import", file.path.name, tally, whole=False),
            )
            seconds = screen.seconds
        await store.keep("import", file.path.name, tally, whole=True)
        more = {"file": str(file.path), "rejected_file": str(rejects.path) if rejects.count else None}
        status = summed_up(tally, file.path.name, seconds, as_json=args.json, more=more)
        if rejects.count and not args.json:
            print(f"The rejected rows are in {rejects.path}, each with its line and reason.")
        return status

    return with_queue(config, act)


def _preview(file: CsvFile, columns: ColumnMap, reader: LeadReader, *, as_json: bool) -> int:
    """What an import would do. Reaches nothing and writes nothing."""
    tally = Tally()
    leads = usable_leads(CsvRows(file), reader, lambda row, reason: tally.reject(f"line {row.line}", reason))
    first = list(islice(leads, PREVIEWED))
    tally.queued = len(first) + _count(leads)
    if as_json:
        told: dict[str, Any] = {
            "file": str(file.path),
            "dry_run": True,
            "encoding": file.encoding,
            "delimiter": file.delimiter,
            "columns": columns.named(file.header),
            "leads": [_told(lead) for lead in first],
            "would_queue": tally.queued,
            "duplicates": None,
            "note": UNCHECKED,
            "rejected": tally.rejected,
            "examples": [{"where": where, "reason": reason} for where, reason in tally.examples],
        }
        print(msgspec.json.encode(told).decode())
    else:
        _print(file, columns, first, tally)
    return FAILED if tally.rejected else DONE


def _count(leads: Iterator[Lead]) -> int:
    return sum(1 for _ in leads)


def _print(file: CsvFile, columns: ColumnMap, first: list[Lead], tally: Tally) -> None:
    sign = {"\t": "tab"}.get(file.delimiter, file.delimiter)
    print(f"{file.path}: {file.encoding}, columns between {sign!r}")
    table = Table("of the lead", "column", *(f"lead {number}" for number in range(1, len(first) + 1)), box=None)
    shown = [_told(lead) for lead in first]
    named = columns.named(file.header)
    for member in named if "location_id" in named else ["location_id", *named]:
        table.add_row(member, *map(Text, (named.get(member, "-"), *(lead[member] for lead in shown))))
    console().print(table)
    if unused := [name for place, name in enumerate(file.header) if place not in columns.places.values() and name]:
        print(f"Not used: {', '.join(unused)}")
    rows = "1 row" if tally.queued == 1 else f"{tally.queued:,} rows"
    print(f"{rows} would be queued, {tally.rejected:,} rejected. Nothing was written.")
    print(UNCHECKED)
    tell_examples(tally)


def _told(lead: Lead) -> dict[str, str]:
    """A lead by the names that `--map` knows."""
    address = lead.address
    return {
        "contact_id": lead.contact_id,
        "location_id": lead.location_id,
        "address1": address.line1,
        "city": address.city,
        "state": address.state,
        "postal_code": address.postal_code,
        "country": address.country,
        "full_address": address.full,
        "first_name": lead.first_name,
        "last_name": lead.last_name,
        "full_name": lead.name,
        "email": lead.email,
        "phone": lead.phone,
    }
