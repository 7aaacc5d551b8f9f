"""What is wrong with a configuration: every fault at once, each with its key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_ALIKE: Final = 0.6  # of 1: below it a hint leads astray more often than home
_LISTED: Final = 20  # names that a line has room for: a section's
_NEAREST: Final = 3
_TELLING: Final = 4  # letters that say something


@dataclass(frozen=True, slots=True)
class Fault:
    """`key` is the setting as the file spells it, or the file itself. `message` never holds a secret's value."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}"


class ConfigFaults(Exception):
    """The configuration is wrong (exit status 78)."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a name nobody knows: "; did you mean `port`?", or what there is: of many, the few most like it."""
    names = list(known)
    folded = name.lower()
    # `max_attempts` is more like `attempts` than its letters say.
    inside = [it for it in names if min(len(it), len(folded)) >= _TELLING and (it in folded or folded in it)]
    close = difflib.get_close_matches(folded, inside or names, n=1, cutoff=0 if inside else _ALIKE)
    if close:
        return f"; did you mean `{close[0]}`?"
    if len(names) <= _LISTED:
        return f"; known here: {', '.join(names)}" if names else ""
    like = difflib.get_close_matches(folded, names, n=_NEAREST, cutoff=0)
    return f"; the nearest are {', '.join(like)}; `leadenrich check` lists all, config.example.toml explains them"
