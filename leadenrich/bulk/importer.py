"""The rows of a file, one after the other, as leads on the bulk lane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from leadenrich.bulk.csv_file import CsvFile, CsvRows, Row
from leadenrich.bulk.feeder import BATCH, Feeder
from leadenrich.bulk.rows import LeadReader, Unusable
from leadenrich.bulk.tally import Tally
from leadenrich.core.lead import Lead

WINDOW_S: Final = 30 * 86_400.0  # how long the same row of the same file is the same job


def origin_of(file: CsvFile) -> str:
    """By its content: a copy of the file under another name is the same file."""
    return f"import:{file.digest}"


def usable_leads(rows: CsvRows, reader: LeadReader, on_reject: Callable[[Row, str], None]) -> Iterator[Lead]:
    """Raises: what CsvRows raises."""
    for row in rows:
        try:
            if row.fault:
                raise Unusable(row.fault)
            lead = reader.lead(row.cells)
        except Unusable as unusable:
            on_reject(row, str(unusable))
        else:
            yield lead


async def import_leads(leads: Iterator[Lead], feeder: Feeder, tally: Tally, on_batch: Callable[[], None]) -> None:
    """Raises: what `leads` raises."""
    while batch := list(islice(leads, BATCH)):
        tally.count(await feeder.feed(batch))
        on_batch()
