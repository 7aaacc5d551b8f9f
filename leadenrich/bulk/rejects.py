"""The rows that are no leads, in a file beside the one they came from: its columns, the line, the reason."""

from __future__ import annotations

import csv
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from leadenrich.bulk.csv_file import CsvFile, Row


def rejects_path(path: Path) -> Path:
    """`leads.csv` → `leads.rejected.csv`."""
    return path.with_name(f"{path.stem}.rejected{path.suffix or '.csv'}")


class Rejects:
    """Written anew by each run, for each reads the whole file; not touched where there is nothing to write.

    With a byte order mark, since a spreadsheet is where it will be read.
    """

    def __init__(self, file: CsvFile, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file = file
        self._writer: Any = None  # csv has no name for its type
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, row: Row, reason: str) -> None:
        """Raises: OSError."""
        header = self._file.header
        if self._writer is None:
            kept = self._stack.enter_context(
                self.path.open("w", encoding="utf-8-sig", errors="surrogateescape", newline="")
            )
            self._writer = csv.writer(kept, delimiter=self._file.delimiter)
            self._writer.writerow([*header, "line", "reason"])
        most = len(header) - 1
        # What is too much stands in the last column, so that line and reason stand where the header says.
        cells = [*row.cells[:most], self._file.delimiter.join(row.cells[most:])]
        cells += [""] * (len(header) - len(cells))
        self._writer.writerow([*cells, row.line, reason])
        self.count += 1
