"""What became of the mutants: on the terminal, and as a table in docs/reliability.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mutation.equivalents import Equivalent
from mutation.mutant import Mutant
from mutation.nursery import ROOT, Verdict

PAGE: Final = ROOT / "docs" / "reliability.md"
BEGIN: Final = "<!-- mutants: written by make mutate -->"
END: Final = "<!-- end of the mutants -->"
GOAL: Final = 0.85
PARTS: Final = {"signature": "web/signature.py", "errors and their judge": "core/", "answers": "providers/",
                "queue, Python": "store/*.py", "queue, Lua": "store/lua/"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tried:
    """One mutant and its end; `excused` where it is known to change nothing."""

    mutant: Mutant
    verdict: Verdict
    excused: Equivalent | None = None


def part_of(file: str) -> str:
    if file.startswith("store/"):
        return "queue, Lua" if file.endswith(".lua") else "queue, Python"
    return next(part for part, start in PARTS.items() if file.startswith(start))


def share(tried: Iterable[Tried]) -> tuple[int, int]:
    """Noticed, and all that could be noticed."""
    counts = [one for one in tried if one.excused is None]
    return sum(one.verdict != "survived" for one in counts), len(counts)


def holds(tried: Sequence[Tried]) -> bool:
    """Every part by itself: a good one must not hide a bad one."""
    shares = [share(one for one in tried if part_of(one.mutant.file) == part) for part in PARTS]
    return all(noticed >= GOAL * all_of_them for noticed, all_of_them in shares)


def survivor(one: Tried) -> str:
    mutant = one.mutant
    return f"{mutant.name}\n  - {mutant.was}\n  + {mutant.becomes}"


def table(tried: Sequence[Tried], made: Counter[str]) -> str:
    """`made`: how many mutants there are of each part, of which these are a sample."""
    lines = [
        "| part | mutants tried | noticed | by their time | change nothing | share |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for part in PARTS:
        own = [one for one in tried if part_of(one.mutant.file) == part]
        if own:
            lines.append(_row(part, own, made[part]))
    return "\n".join([*lines, _row("together", tried, made.total())])


def _row(part: str, tried: Sequence[Tried], made: int) -> str:
    noticed, could_be = share(tried)
    late = sum(one.verdict == "timed out" for one in tried)
    excused = len(tried) - could_be
    percent = f"{100 * noticed / could_be:.1f} %" if could_be else "-"
    return f"| {part} | {len(tried)} of {made} | {noticed} | {late} | {excused} | {percent} |"


def keep(shown: str, seed: int, seconds: float) -> None:
    text = PAGE.read_text("utf-8")
    told = f"{datetime.now(UTC):%Y-%m-%d}, seed {seed}, {seconds / 60:.0f} min."
    block = f"{BEGIN}\n\n{shown}\n\n{told}\n\n{END}"
    changed, times = re.subn(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: block, text, flags=re.DOTALL)
    if times != 1:
        raise RuntimeError(f"{PAGE.name} has no place for the mutants")
    PAGE.write_text(changed, "utf-8")
