"""What a scenario found: figures with their bounds, as a table, as JSON, and in docs/reliability.md."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from redis_server import binary

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
KEPT = ROOT / "docs" / "reliability.json"
BEGIN, END = "<!-- figures: written by make chaos -->", "<!-- end of the figures -->"


class Figure(msgspec.Struct, frozen=True):
    """One figure. `bound` says in words what it must be, "" where it is only told."""

    name: str
    value: str
    bound: str = ""
    holds: bool = True


class Findings(msgspec.Struct, frozen=True):
    """A scenario's figures; `rows` is a table of its own, the head first, where it compares."""

    scenario: str
    title: str
    seed: int
    seconds: float
    figures: tuple[Figure, ...]
    rows: tuple[tuple[str, ...], ...] = ()
    note: str = ""
    quick: bool = False
    on: str = ""
    where: str = ""

    @property
    def holds(self) -> bool:
        return all(figure.holds for figure in self.figures)


def at_most(name: str, value: float, bound: float, *, unit: str = "", because: str = "") -> Figure:
    """A figure with an upper bound."""
    what = f"≤ {bound:g}{unit}" if bound else f"0{unit}"
    return Figure(name, f"{value:.4g}{unit}", what + (f", {because}" if because else ""), value <= bound)


def at_least(name: str, value: int, bound: int) -> Figure:
    return Figure(name, str(value), f"≥ {bound}", value >= bound)


def exactly(name: str, value: int, wanted: int) -> Figure:
    return Figure(name, str(value), str(wanted), value == wanted)


def told(name: str, value: Any) -> Figure:
    return Figure(name, str(value))


def machine() -> str:
    """Where the figures are from, and how busy others kept it."""
    model = re.search(r"^model name\s*: (.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    redis = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"v=(\S+)", redis)
    cores = len(os.sched_getaffinity(0))
    return (
        f"{model[1] if model else platform.machine()}, {cores} cores, Linux {platform.release()}, "
        f"Redis {version[1] if version else '?'}, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.0f} at the end"
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def as_text(findings: Findings) -> str:
    """For the terminal."""
    lines = [f"\n{findings.title}  [{findings.scenario}, seed {findings.seed}, {findings.seconds:.0f} s]"]
    for figure in findings.figures:
        mark = "    " if not figure.bound else "ok  " if figure.holds else "FAIL"
        bound = f"   (must be {figure.bound})" if figure.bound else ""
        lines.append(f"  {mark} {figure.name}: {figure.value}{bound}")
    lines += ["  " + "  ".join(cell.ljust(18) for cell in row) for row in findings.rows]
    return "\n".join([*lines, *([f"  {findings.note}"] if findings.note else [])])


def as_markdown(findings: Findings) -> str:
    """For the page."""
    parts = [f"### {findings.title}", ""]
    if findings.note:
        parts += [findings.note, ""]
    parts += _table([("figure", "measured", "must be"), *map(_row, findings.figures)])
    if findings.rows:
        parts += ["", *_table(findings.rows)]
    when = f"{findings.on[:10]}, seed {findings.seed}, {findings.seconds:.0f} s, on {findings.where}"
    return "\n".join([*parts, "", f"{when}; again: `make chaos ONLY={findings.scenario} SEED={findings.seed}`."])


def _row(figure: Figure) -> tuple[str, str, str]:
    return figure.name, figure.value if figure.holds else f"**{figure.value}**", figure.bound


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    head, *rest = rows
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rest]]


def keep(new: Sequence[Findings], order: Sequence[str]) -> None:
    """Put new figures beside those that stand, in the JSON file and on the page."""
    stands = msgspec.json.decode(KEPT.read_bytes(), type=list[Findings]) if KEPT.exists() else []
    by_name = {it.scenario: it for it in [*stands, *new]}
    all_of_them = [by_name[name] for name in order if name in by_name]
    KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(all_of_them), indent=1) + b"\n")
    text = PAGE.read_text("utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    shown = "\n\n".join(as_markdown(it) for it in all_of_them)
    PAGE.write_text(f"{before}{BEGIN}\n\n{shown}\n\n{END}{after}", "utf-8")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
