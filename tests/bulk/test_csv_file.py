"""A CSV file as people make them: encodings, delimiters, quotes, and rows that are none."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from leadenrich.bulk.csv_file import ROW_CHARS, BadFile, CsvRows, Row, examine

HEADER = "Contact Id,City,Name\n"


def rows_of(path: Path, **told: str) -> list[Row]:
    return list(CsvRows(examine(path, **told)))


@pytest.fixture
def csv_file(tmp_path: Path):
    def write(content: str | bytes, encoding: str = "utf-8") -> Path:
        path = tmp_path / "leads.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("cp1252", "cp1252"),
    ],
)
def test_the_encoding_is_found_out(csv_file, encoding: str, found: str) -> None:
    path = csv_file(HEADER + "c1,Peñasco,Zoë\n", encoding)
    assert examine(path).encoding == found
    assert rows_of(path) == [Row(2, ("c1", "Peñasco", "Zoë"))]


def test_the_encoding_told_goes_before_what_is_found(csv_file) -> None:
    path = csv_file(HEADER + "c1,Łódź,x\n", "cp1250")
    assert rows_of(path, encoding="cp1250") == [Row(2, ("c1", "Łódź", "x"))]
    marked = csv_file(HEADER + "c1,a,x\n", "utf-8-sig")
    assert examine(marked, encoding="UTF8").header[0] == "Contact Id"


def test_a_broken_byte_costs_its_row_and_bends_no_other_name(csv_file) -> None:
    path = csv_file((HEADER + "c1,Peñasco,Zoë\nc2,").encode() + b"\xff,x\nc3,Alamo,y\n")
    assert examine(path).encoding == "utf-8"
    good, bad, last = rows_of(path)
    assert (good.cells[1], last) == ("Peñasco", Row(4, ("c3", "Alamo", "y")))
    assert (bad.line, bad.fault) == (3, "it holds bytes that are not utf-8")


def test_what_is_marked_as_utf_16_and_is_not_is_refused_before_a_row_is_read(csv_file) -> None:
    with pytest.raises(BadFile, match=r"utf-16.*--encoding"):
        examine(csv_file(b"\xff\xfe" + HEADER.encode("utf-16-le") + b"\x00\xdc\x41\x00\x01"))


@pytest.mark.parametrize(("sign", "quoted"), [(",", '"a,b;c"'), (";", '"a,b;c"'), ("\t", '"a\tb"'), ("|", '"a|b"')])
def test_the_delimiter_is_found_out(csv_file, sign: str, quoted: str) -> None:
    path = csv_file(sign.join(["Contact Id", "City, State", "Name"]).replace("City, State", '"City, State"') + "\n"
                    + sign.join(["c1", quoted, "x"]) + "\n")  # fmt: skip
    assert examine(path).delimiter == sign
    assert rows_of(path) == [Row(2, ("c1", quoted.strip('"'), "x"))]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_quoted_line_ends_are_part_of_the_cell_and_lines_are_counted(csv_file, end: str) -> None:
    lines = ["Contact Id,City,Name", 'c1,"two', 'lines",x', "", ",,", "c2,y,z"]
    assert rows_of(csv_file(end.join(lines) + end)) == [
        Row(2, ("c1", f"two{end}lines", "x")),
        Row(6, ("c2", "y", "z")),
    ]


def test_rows_with_other_columns_than_the_header_are_told_with_their_line(csv_file) -> None:
    found = rows_of(csv_file(HEADER + "c1,x\nc2,x,y,z\nc3,x,y,,\nc4,x,y"))
    assert [(row.line, row.fault) for row in found] == [
        (2, "it has 2 columns, the header 3"),
        (3, "it has 4 columns, the header 3"),
        (4, ""),  # a spreadsheet's empty cells at the end
        (5, ""),
    ]
    assert found[1].cells == ("c2", "x", "y", "z")


def test_a_quote_that_is_never_closed_takes_no_other_row_with_it(csv_file) -> None:
    many = "".join(f"c{number},x,y\n" for number in range(20_000))
    found = rows_of(csv_file(HEADER + 'a,"x,y\n' + many + 'b,"x,y\nc,x,"y" z\nd,x,y\n'))
    faults = {row.line: (row.cells, row.fault) for row in found if row.fault}
    assert faults[2] == (('a,"x,y',), f"it is longer than {ROW_CHARS} characters: a quote is not closed")
    assert faults[20_003][0] == ('b,"x,y',)
    assert "closing quote" in faults[20_004][1]
    assert len(found) - len(faults) == 20_001
    assert found[-1] == Row(20_005, ("d", "x", "y"))


def test_a_line_without_an_end_is_refused_and_not_kept(csv_file) -> None:
    path = csv_file(HEADER + "c1,x,y\n" + "z" * 8_000_000 + "\nc2,x,y\n")
    tracemalloc.start()
    found = rows_of(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(row.line, row.fault) for row in found] == [
        (2, ""), (3, f"it is longer than {ROW_CHARS} characters"), (4, ""),
    ]  # fmt: skip
    assert peak < 8_000_000, "the file is read a piece at a time"


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"\n\n", "is empty"), (b"\x89PNG" + b"a" * 70_000, "the first row must name the columns")],
)
def test_what_has_no_header_is_refused(csv_file, content: bytes, says: str) -> None:
    with pytest.raises(BadFile, match=says):
        examine(csv_file(content))


def test_a_file_that_is_not_there_or_is_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="does not exist"):
        examine(tmp_path / "nothing.csv")
    with pytest.raises(BadFile, match="is not a file"):
        examine(tmp_path)


def test_the_digest_is_of_the_content(csv_file, tmp_path: Path) -> None:
    first = examine(csv_file(HEADER + "c1,x,y\n"))
    copy = tmp_path / "copy.csv"
    copy.write_bytes(first.path.read_bytes())
    assert examine(copy).digest == first.digest
    copy.write_text(HEADER + "c1,x,z\n")
    assert examine(copy).digest != first.digest


def test_the_position_comes_to_the_end_of_the_file(csv_file) -> None:
    path = csv_file(HEADER + "c1,x,y\n" * 5_000)
    file = examine(path)
    rows = CsvRows(file)
    seen = [rows.position for _ in rows]
    assert seen == sorted(seen)
    assert 0 < seen[0] < rows.position == file.size_bytes == path.stat().st_size


BITS = [b'"', b",", b"\n", b"\r", b"\r\n", b"a", b"\xff", b"\xc3\xa9", b"\0", b";", b" ", b"z" * 40]


@given(st.lists(st.sampled_from(BITS), max_size=60).map(b"".join), st.sampled_from(["utf-8", "utf-16", "cp1252", None]))
@settings(max_examples=150, deadline=None)
def test_whatever_a_file_holds_it_is_read_or_refused_and_lines_are_counted(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, encoding: str | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"Contact Id,City\n" + content)
    try:
        found = rows_of(path, **({"encoding": encoding} if encoding else {}))
    except BadFile:
        return
    lines = [row.line for row in found]
    assert lines == sorted(set(lines))
    assert all(2 <= line <= 2 + len(content) for line in lines)
    assert all(len(row.cells) == 2 for row in found if not row.fault)
