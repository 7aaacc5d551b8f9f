"""Conditions of rules: `field`, `op`, `value`, joined by `all`, `any` and `not`; no expression language.

They answer yes, no or unknown. Unknown stays unknown through `not`, so missing data never fires a rule, unless the
rule asks for it with `missing` or `known_fewer_than`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Protocol, TypeAlias

from leadenrich.core.address import NormalAddress, one_line
from leadenrich.core.lead import Json
from leadenrich.enrich.area import Area
from leadenrich.enrich.derived import DERIVED, Kind, Reading
from leadenrich.enrich.record import as_day, as_flag, as_number, as_text, as_zip5

Truth: TypeAlias = bool | None

LEAD_FIELDS: Final[dict[str, Kind]] = {
    "lead.address": "text",
    "lead.house": "text",
    "lead.street": "text",
    "lead.unit": "text",
    "lead.city": "text",
    "lead.state": "text",
    "lead.zip5": "text",
    "lead.address_key": "text",
    "lead.zip_or_state_or_county": "text",
}
ADDRESS: Final = "data.propertyInfo.address."


@dataclass(frozen=True, slots=True)
class Scene:
    """All a condition can see. `reading` is None before the look-up, `reject` is why the address cannot be bought."""

    today: date
    address: NormalAddress | None = None
    reject: str | None = None
    duplicate: bool = False
    reading: Reading | None = None

    def get(self, source: str) -> Json:
        if source.startswith("lead."):
            return self._of_lead(source)
        return self.reading.get(source) if self.reading else None

    def place(self, part: str) -> str:
        """State, zip or county of the property: as asked, else as found."""
        asked = {"state": self.address.state, "zip": self.address.zip5} if self.address else {}
        found = self.reading.record.text(ADDRESS + part) if self.reading else None
        if part == "zip":
            found = as_zip5(found)
        return asked.get(part) or (found or "").upper()

    def _of_lead(self, source: str) -> Json:
        if self.address is None:
            return None
        if source == "lead.address":
            return one_line(self.address)
        if source == "lead.address_key":
            return self.address.key
        if source == "lead.zip_or_state_or_county":
            return self.address.zip5 or self.address.state
        return getattr(self.address, source.removeprefix("lead.")) or None


class Condition(Protocol):
    def holds(self, scene: Scene) -> Truth: ...

    def words(self) -> str: ...


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Condition, ...]

    def holds(self, scene: Scene) -> Truth:
        told = [part.holds(scene) for part in self.parts]
        return False if False in told else None if None in told else True

    def words(self) -> str:
        return " and ".join(_bracketed(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Condition, ...]

    def holds(self, scene: Scene) -> Truth:
        told = [part.holds(scene) for part in self.parts]
        return True if True in told else None if None in told else False

    def words(self) -> str:
        return " or ".join(_bracketed(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition

    def holds(self, scene: Scene) -> Truth:
        told = self.part.holds(scene)
        return None if told is None else not told

    def words(self) -> str:
        return f"not ({self.part.words()})"


@dataclass(frozen=True, slots=True)
class KnownFewerThan:
    """The one condition about how much is known."""

    limit: int
    sources: tuple[tuple[str, Kind], ...]

    def holds(self, scene: Scene) -> Truth:
        return sum(is_known(scene.get(source), kind) for source, kind in self.sources) < self.limit

    def words(self) -> str:
        return f"fewer than {self.limit} of {', '.join(label(source) for source, _ in self.sources)} are known"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison. `wanted` has the type that `op` needs: a number, a date, a tuple of texts, an Area."""

    source: str
    kind: Kind
    op: Op
    wanted: Any = None

    def holds(self, scene: Scene) -> Truth:
        return self.op.test(self, scene)

    def words(self) -> str:
        return self.op.words.format(field=label(self.source), value=_shown(self.wanted))


@dataclass(frozen=True, slots=True)
class Op:
    """`needs` names the type of value; `kinds` the kinds of fields it can compare, empty for those of one `field`."""

    needs: str
    kinds: frozenset[str]
    test: Callable[[Leaf, Scene], Truth]
    words: str
    field: str = ""


def leaves(condition: Condition) -> Iterator[Leaf]:
    """Every comparison within."""
    if isinstance(condition, Leaf):
        yield condition
    elif isinstance(condition, AllOf | AnyOf):
        for part in condition.parts:
            yield from leaves(part)
    elif isinstance(condition, Not):
        yield from leaves(condition.part)


def is_known(value: Json, kind: Kind) -> bool:
    """Whether there is a usable value of that kind."""
    if kind == "flag":
        return as_flag(value) is not None
    if kind == "number":
        return as_number(value) is not None
    if kind == "date":
        return as_day(value) is not None
    if kind in ("list", "object"):
        return bool(value)
    return as_text(value) is not None


def label(source: str) -> str:
    """`data.propertyInfo.yearBuilt` → `year built`."""
    if source in DERIVED:
        return DERIVED[source].words
    if source.startswith("lead."):
        return "the lead's " + source.removeprefix("lead.").replace("_", " ")
    last = [part for part in source.split(".") if not part.isdecimal()][-1]
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", last).replace("_", " ")
    return " ".join(word if word[:2].isupper() else word.lower() for word in spaced.split()).replace("mls", "MLS")


def _bracketed(part: Condition) -> str:
    return f"({part.words()})" if isinstance(part, AllOf | AnyOf) and len(part.parts) > 1 else part.words()


def _shown(wanted: Any) -> str:
    if isinstance(wanted, tuple):
        return ", ".join(str(one) for one in wanted)
    return wanted.words() if isinstance(wanted, Area) else str(wanted)
