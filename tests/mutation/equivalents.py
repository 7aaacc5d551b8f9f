"""Mutants that change nothing anybody could see, each with its reason: equivalents.toml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from mutation.mutant import Mutant

FILE: Final = Path(__file__).with_name("equivalents.toml")


class Equivalent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Known by the line before and after, so that it outlives a line more above it."""

    file: str
    was: str
    becomes: str
    why: str

    def is_of(self, mutant: Mutant) -> bool:
        return (self.file, self.was, self.becomes) == (mutant.file, mutant.was, mutant.becomes)


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mutant: tuple[Equivalent, ...] = ()


def equivalents() -> tuple[Equivalent, ...]:
    return msgspec.toml.decode(FILE.read_bytes(), type=_Table).mutant


def excuse_of(mutant: Mutant, known: Sequence[Equivalent]) -> Equivalent | None:
    return next((one for one in known if one.is_of(mutant)), None)
