"""A CSV file of any size: read through once to know it, then row by row, in bounded memory."""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from leadenrich.core.text import clean

ROW_CHARS: Final = 65_536  # a longer row is none: a quote was never closed, or it is no CSV file
DELIMITERS: Final = ",;\t|"

_CHUNK_BYTES: Final = 1_048_576
# The longest first: UTF-32's mark begins with UTF-16's.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_DECODED: Final = re.compile("[\udc80-\udcff]")  # how `surrogateescape` keeps a byte
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_WORDS: Final = {
    "unexpected end of data": "a quote is opened and never closed",
    "expected after": "text stands behind a closing quote; a quote inside of a quoted cell is written twice",
}


class BadFile(Exception):
    """The file cannot be read as CSV; the message says what to do."""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """What is known of a file before its rows are read. `digest` is of its content, `header` without blanks around."""

    path: Path
    size_bytes: int
    digest: str
    encoding: str
    delimiter: str
    header: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `line` is where it begins, from 1. `fault` says why it is none: then `cells` is its text."""

    line: int
    cells: tuple[str, ...]
    fault: str = ""


def examine(path: Path, *, encoding: str | None = None, delimiter: str | None = None) -> CsvFile:
    """Reads the file through once; what is not told is found out. Raises: BadFile."""
    told = encoding
    try:
        if not path.is_file():
            raise BadFile(f"{path} is not a file" if path.exists() else f"{path} does not exist")
        with path.open("rb") as raw:
            size, digest, encoding = _read_through(raw, told)
        first = {sign: _first_row(path, encoding, sign) for sign in delimiter or DELIMITERS}
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeError as error:
        raise BadFile(f"{path} cannot be read as text: {error}; name its encoding with --encoding") from error
    delimiter, header = max(first.items(), key=lambda it: len(it[1].cells))
    if header.fault:
        raise BadFile(f"{path} line {header.line}: {header.fault}; the first row must name the columns")
    if told and _NOT_DECODED.search("".join(header.cells)):
        raise BadFile(
            f"{path} line {header.line}: is not {told}: name another --encoding, or none to have it found out"
        )
    return CsvFile(path, size, digest, encoding, delimiter, tuple(clean(cell) for cell in header.cells))


def _read_through(raw: BinaryIO, told: str | None) -> tuple[int, str, str]:
    """Size, digest, encoding. Raises: UnicodeError for what is marked as UTF-16 or UTF-32 and is not."""
    size, content = 0, hashlib.blake2b(digest_size=16)
    encoding, good, bad = told, 0, 0
    decoder: codecs.IncrementalDecoder | None = None
    while chunk := raw.read(_CHUNK_BYTES):
        if not size:
            encoding = _with_mark(told, chunk) if told else _encoding_of(chunk)
            if encoding is None or encoding.startswith(("utf-16", "utf-32")):
                errors = "strict" if encoding else "surrogateescape"
                decoder = codecs.getincrementaldecoder(encoding or "utf-8")(errors)
        size += len(chunk)
        content.update(chunk)
        if decoder:
            text = decoder.decode(chunk)
            if encoding is None and not text.isascii():
                lost = len(_NOT_DECODED.findall(text))
                bad, good = bad + lost, good + len(_NOT_ASCII.findall(text)) - lost
    if decoder:
        bad += len(_NOT_DECODED.findall(decoder.decode(b"", final=True)))
    # A broken byte or two make no other encoding of a file that is UTF-8 all over: those rows are refused.
    return size, content.hexdigest(), encoding or ("cp1252" if bad > good else "utf-8")


def _encoding_of(head: bytes) -> str | None:
    """By its mark, or by the zeros that UTF-16 has between ASCII's letters; None for anything else."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    sample = head[:4096]
    if sample[1::2].count(0) * 4 > len(sample):
        return "utf-16-le"
    return "utf-16-be" if sample[::2].count(0) * 4 > len(sample) else None


def _with_mark(told: str, head: bytes) -> str:
    """The encoding told, in the form that takes the mark away where there is one."""
    name = codecs.lookup(told).name
    if name == "utf-8" and head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if name in ("utf-16-le", "utf-16-be") and head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return name


@contextmanager
def _opened(path: Path, encoding: str) -> Iterator[TextIO]:
    errors = "strict" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    with path.open(encoding=encoding, errors=errors, newline="") as text:
        yield text


def _first_row(path: Path, encoding: str, delimiter: str) -> Row:
    with _opened(path, encoding) as text:
        return next(_rows(text, delimiter), Row(1, (), "the file is empty"))


class CsvRows:
    """The rows under the header, once. `position` is how far it has read, in bytes.

    A row that is none stops no other: the reading goes on with the line behind the one it began on.
    """

    def __init__(self, file: CsvFile) -> None:
        self._file = file
        self.position = 0

    def __iter__(self) -> Iterator[Row]:
        """Raises: OSError, UnicodeError where the file is another one meanwhile."""
        with _opened(self._file.path, self._file.encoding) as text:
            rows = _rows(text, self._file.delimiter)
            next(rows, None)  # the header
            for row in rows:
                self.position = text.buffer.tell()
                yield self._judged(row)
        self.position = self._file.size_bytes

    def _judged(self, row: Row) -> Row:
        wanted, cells = len(self._file.header), row.cells
        if row.fault:
            return row
        while len(cells) > wanted and not cells[-1].strip():
            cells = cells[:-1]
        if len(cells) != wanted:
            return Row(row.line, row.cells, f"it has {len(cells)} columns, the header {wanted}")
        if _NOT_DECODED.search("".join(cells)):
            return Row(row.line, cells, f"it holds bytes that are not {self._file.encoding}")
        return Row(row.line, cells)


def _rows(text: TextIO, delimiter: str) -> Iterator[Row]:
    """Every row that is not blank."""
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            line = lines.first
            yield Row(line, (lines.give_back().rstrip("\r\n"),), _in_words(error))
        else:
            if any(cell.strip() for cell in cells):
                yield Row(lines.first, tuple(cells))


def _in_words(error: csv.Error) -> str:
    return next((words for sign, words in _WORDS.items() if sign in str(error)), str(error))


class _Lines:
    """A text's lines, counted; those of a row that is none come again, but for its first."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self._chars = 0
        self.row: list[str] = []
        self._line = 0

    @property
    def first(self) -> int:
        """The line that the row begins on."""
        return self._line - len(self.row) + 1

    def begin(self) -> None:
        self.row, self._chars = [], 0

    def give_back(self) -> str:
        """The row's first line; the others are read again."""
        first, *others = self.row
        self._again.extendleft(reversed(others))
        self._line -= len(others)
        return first

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Raises: csv.Error, for a row that is too long."""
        line = self._again.popleft() if self._again else self._read()
        if not line:
            raise StopIteration
        self._line += 1
        self.row.append(line)
        self._chars += len(line)
        if self._chars >= ROW_CHARS:
            long = f"it is longer than {ROW_CHARS} characters"
            raise csv.Error(long if len(self.row) == 1 else f"{long}: a quote is not closed")
        return line

    def _read(self) -> str:
        """One line; of one that is too long the beginning."""
        line = piece = self._text.readline(ROW_CHARS)
        while len(piece) == ROW_CHARS and not piece.endswith("\n"):
            piece = self._text.readline(ROW_CHARS)
        return line
