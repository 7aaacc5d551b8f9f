"""The figures as text for the terminal, kept as JSON, and the page made from it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
from redis_server import binary

from bench.goals import Verdict, verdicts
from bench.samples import Figures, Phase, Sample, medians, shown

DOCS = Path(__file__).parents[2] / "docs"
PAGE, KEPT = DOCS / "performance.md", DOCS / "performance.json"
BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of the figures -->"


class Taken(msgspec.Struct, frozen=True):
    """One phase's samples by subject: when, on what, and how busy others kept it."""

    on: str
    machine: str
    versions: dict[str, str]
    others_cores: float
    samples: dict[str, list[Sample]]

    def figures(self) -> dict[str, Sample]:
        return {subject: medians(samples) for subject, samples in self.samples.items() if samples}


def taken(samples: dict[str, list[Sample]], others_cores: float) -> Taken:
    """The samples with where and when they are from: now and here."""
    return Taken(datetime.now(UTC).isoformat(timespec="minutes"), machine(), versions(), others_cores, samples)


def machine() -> str:
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"


def versions() -> dict[str, str]:
    names = ("leadenrich", "aiohttp", "redis", "hiredis", "uvloop", "msgspec", "pynacl")
    commands = {"Redis": [binary(), "--version"], "Node": ["node", "--version"], "wrk": ["wrk", "--version"]}
    return {"Python": platform.python_version(), **{name: version(name) for name in names}} | {
        name: _first_number(argv) for name, argv in commands.items() if shutil.which(argv[0])
    }


def _first_number(argv: Sequence[str]) -> str:
    told = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", told.stdout + told.stderr)
    return found[0] if found else "?"


def as_text(phase: Phase, figures: Mapping[str, Sample]) -> str:
    """For the terminal: a figure a line, a subject a column."""
    return f"\n{phase.title}\n{as_table(_rows(phase, figures))}"


def as_table(rows: Sequence[Sequence[str]]) -> str:
    """Columns for the terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(f"  {line}" for line in lines)


def _rows(phase: Phase, figures: Mapping[str, Sample]) -> list[list[str]]:
    rows = [["", *figures]]
    for name, unit in phase.unit_of.items():
        if any(name in sample for sample in figures.values()):
            rows.append([unit, *(shown(sample.get(name)) for sample in figures.values())])
    return rows


def verdict_rows(found: Sequence[Verdict]) -> list[list[str]]:
    head = ["metric", "leadenrich", "against", "is", "floor", "aim", ""]
    return [head, *([it.metric, it.ours, it.against, it.is_, it.floor, it.aim, it.word] for it in found)]


def keep(phase: Phase, new: Taken, phases: Mapping[str, Phase]) -> None:
    """Put a phase's new samples in the place of its old ones, and make the page again."""
    stands = read()
    stands[phase.name] = new
    KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(_rounded(stands)), indent=1) + b"\n")
    write_page(stands, phases)


def read() -> dict[str, Taken]:
    return msgspec.json.decode(KEPT.read_bytes(), type=dict[str, Taken]) if KEPT.exists() else {}


def write_page(stands: Mapping[str, Taken], phases: Mapping[str, Phase]) -> None:
    """Only what stands between the two marks is written: method and profile are written by hand."""
    before, rest = PAGE.read_text("utf-8").split(BEGIN)
    _, after = rest.split(END)
    figures: Figures = {name: it.figures() for name, it in stands.items()}
    parts = [as_page_table(verdict_rows(verdicts(figures)))]
    for name, phase in phases.items():
        if name in stands:
            parts += [f"### {phase.title}", as_page_table(_rows(phase, figures[name])), _where(stands[name])]
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}", "utf-8")


def _where(it: Taken) -> str:
    runs = max(map(len, it.samples.values()))
    names = ", ".join(f"{name} {number}" for name, number in it.versions.items())
    median = f"median of {runs}" if runs > 1 else "one run"
    return f"{it.on[:16]}Z, {median}, others used {it.others_cores:.2f} cores; {it.machine}; {names}."


def _rounded(stands: Mapping[str, Taken]) -> dict[str, Taken]:
    """Six digits: what is beyond them is noise, and a diff that one cannot read."""
    return {
        name: msgspec.structs.replace(
            it,
            others_cores=round(it.others_cores, 3),
            samples={
                subject: [{figure: float(f"{value:.6g}") for figure, value in sample.items()} for sample in samples]
                for subject, samples in it.samples.items()
            },
        )
        for name, it in stands.items()
    }


def as_page_table(rows: Sequence[Sequence[str]]) -> str:
    """For a page: Markdown."""
    head, *rest = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rest])
