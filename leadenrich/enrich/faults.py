"""Faults of the mapping and the rules: all of them at once, each with its key and the nearest known name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches


class SettingFaults(Exception):
    """The mapping or the rules cannot be used. `faults` holds (key, message), in the order of the file."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults: tuple[tuple[str, str], ...] = tuple(faults)
        super().__init__("; ".join(f"{key}: {message}" for key, message in self.faults))


@dataclass(slots=True)
class FaultList:
    """Collects faults while a setting is read, so that one look shows them all."""

    faults: list[tuple[str, str]] = field(default_factory=list)

    def add(self, key: str, message: str) -> None:
        self.faults.append((key, message))

    def raise_if_any(self) -> None:
        """Raises: SettingFaults."""
        if self.faults:
            raise SettingFaults(self.faults)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name nobody knows, with the nearest one that is known."""
    names = list(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if not near:  # names that differ in case only, or in all but their last part
        folded = {known_name.casefold(): known_name for known_name in names}
        near = [folded[match] for match in get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)]
    return f"unknown {what} {name!r}" + (f", did you mean {near[0]!r}?" if near else "")
