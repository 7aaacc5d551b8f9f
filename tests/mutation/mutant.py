"""One small fault: where it goes in a file, and what the lines around it look like before and after."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """Bytes `start` to `end` of a source become `new`. `kind` names the sort of fault."""

    start: int
    end: int
    new: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """An edit of one file of the package. `was` and `becomes` are the touched lines, each without its indentation."""

    file: str
    edit: Edit
    line: int
    was: str
    becomes: str
    original: bytes
    source: bytes

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line} {self.edit.kind}"


def mutants_of(file: str, source: bytes, edits: list[Edit]) -> list[Mutant]:
    """In the order of the file; two edits that come to the same text are one."""
    found: dict[bytes, Mutant] = {}
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end, edit.new)):
        changed = source[: edit.start] + edit.new + source[edit.end :]
        if changed == source or changed in found:
            continue
        first = source.rfind(b"\n", 0, edit.start) + 1
        last = source.find(b"\n", edit.end)
        last = len(source) if last < 0 else last
        was = source[first:last]
        becomes = source[first : edit.start] + edit.new + source[edit.end : last]
        line = source.count(b"\n", 0, edit.start) + 1
        found[changed] = Mutant(file, edit, line, _plain(was), _plain(becomes), source, changed)
    return list(found.values())


def _plain(lines: bytes) -> str:
    return " ".join(lines.decode().split())
