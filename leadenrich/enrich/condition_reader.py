"""Conditions as they are written, checked: every fault gets the key it stands at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from leadenrich.enrich.area import Area
from leadenrich.enrich.comparisons import OPS
from leadenrich.enrich.conditions import LEAD_FIELDS, AllOf, AnyOf, Condition, KnownFewerThan, Leaf, Not, Op
from leadenrich.enrich.derived import Kind
from leadenrich.enrich.faults import FaultList, unknown
from leadenrich.enrich.paths import forbidden, kind_of, known_sources
from leadenrich.enrich.record import as_day, as_number

FAIR_HOUSING: Final = (
    "a rule may not read {source}: choosing people or areas by personal traits, demographics or schools "
    "invites fair-housing trouble"
)
_SHAPES: Final = ("field", "all", "any", "not", "known_fewer_than")
_DEPTH_MAX: Final = 16
_AREA_LISTS: Final = ("states", "counties", "zips", "zip_prefixes")


@dataclass(slots=True)
class ConditionReader:
    """Reads the conditions of one rule. A comparison without a `value` takes it from the rule's `params`."""

    params: dict[str, Any]
    params_at: str
    forbidden_inputs: Sequence[str]
    faults: FaultList

    def read(self, raw: object, at: str, depth: int = 0) -> Condition | None:
        """None when it has faults, which are noted."""
        if not isinstance(raw, dict) or not raw:
            self.faults.add(at, "a condition is a table with field and op, or with all, any or not")
            return None
        shapes = [shape for shape in _SHAPES if shape in raw]
        if depth > _DEPTH_MAX:
            self.faults.add(at, "conditions nested too deep")
        elif len(shapes) != 1:
            stray = next((str(name) for name in raw if name not in ("op", "value")), "")
            near = "" if shapes or not stray else unknown("member", stray, _SHAPES)
            self.faults.add(at, near or "a condition has exactly one of field, all, any, not, known_fewer_than")
        elif shapes[0] == "field":
            return self._leaf(raw, at)
        elif shapes[0] == "known_fewer_than":
            return self._known(raw, at)
        else:
            return self._joined(shapes[0], raw, at, depth)
        return None

    def _joined(self, shape: str, raw: dict[str, Any], at: str, depth: int) -> Condition | None:
        self._members(raw, (shape,), at)
        if shape == "not":
            inner = self.read(raw["not"], f"{at}.not", depth + 1)
            return Not(inner) if inner else None
        parts = raw[shape]
        if not isinstance(parts, list) or not parts:
            self.faults.add(f"{at}.{shape}", "a list of conditions, at least one")
            return None
        read = [self.read(part, f"{at}.{shape}[{index}]", depth + 1) for index, part in enumerate(parts)]
        whole = tuple(part for part in read if part is not None)
        if len(whole) < len(read):
            return None
        return AllOf(whole) if shape == "all" else AnyOf(whole)

    def _known(self, raw: dict[str, Any], at: str) -> Condition | None:
        self._members(raw, ("known_fewer_than", "of"), at)
        limit, of = raw["known_fewer_than"], raw.get("of")
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            self.faults.add(f"{at}.known_fewer_than", "a whole number of at least 1")
            return None
        if not isinstance(of, list) or not of:
            self.faults.add(f"{at}.of", "a list of fields, at least one")
            return None
        kinds = [(source, self._source(source, f"{at}.of[{index}]")) for index, source in enumerate(of)]
        known = tuple((source, kind) for source, kind in kinds if kind)
        return KnownFewerThan(limit, known) if len(known) == len(kinds) else None

    def _leaf(self, raw: dict[str, Any], at: str) -> Condition | None:
        self._members(raw, ("field", "op", "value"), at)
        source, name = raw["field"], raw.get("op")
        kind = self._source(source, f"{at}.field")
        op = OPS.get(name) if isinstance(name, str) else None
        if op is None:
            missing = "an op is needed, such as 'eq' or 'is_true'" if name is None else unknown("op", str(name), OPS)
            self.faults.add(f"{at}.op", missing)
            return None
        if kind is None:
            return None
        if op.field and source != op.field:
            self.faults.add(f"{at}.op", f"{name} compares {op.field!r} only")
            return None
        if op.kinds and kind not in op.kinds:
            self.faults.add(f"{at}.op", f"{name} cannot compare {source}: it is a {kind}")
            return None
        if "value" in raw:
            return self._with_value(source, kind, op, raw["value"], f"{at}.value")
        return self._with_params(source, kind, op, at)

    def _source(self, source: object, at: str) -> Kind | None:
        if not isinstance(source, str):
            self.faults.add(at, "a field is text, such as 'data.estimatedValue'")
            return None
        if forbidden(source, self.forbidden_inputs):
            self.faults.add(at, FAIR_HOUSING.format(source=source))
            return None
        kind = LEAD_FIELDS.get(source) or kind_of(source)
        if kind is None:
            self.faults.add(at, unknown("field", source, [*LEAD_FIELDS, *known_sources()]))
        return kind

    def _members(self, raw: dict[str, Any], known: Sequence[str], at: str) -> None:
        for name in raw:
            if name not in known:
                self.faults.add(f"{at}.{name}", unknown("member", str(name), known))

    def _with_params(self, source: str, kind: Kind, op: Op, at: str) -> Condition | None:
        if op.needs == "nothing":
            return Leaf(source, kind, op)
        if op.needs == "area":
            return Leaf(source, kind, op, self._area())
        if op.needs == "months" and self.params.get("on_or_after"):
            since = self.params["on_or_after"]
            return self._with_value(source, kind, OPS["on_or_after"], since, f"{self.params_at}.on_or_after")
        names = {"months": ["months"], "days": ["days"], "date": ["on_or_after"]}.get(op.needs)
        if names is None and op.needs == "number":
            names = [name for name, value in self.params.items() if value is not None]
        given = [name for name in names or [] if name in self.params]
        if len(given) != 1:
            self.faults.add(f"{at}.value", "a value to compare with is needed")
            return None
        return self._with_value(source, kind, op, self.params[given[0]], f"{self.params_at}.{given[0]}")

    def _with_value(self, source: str, kind: Kind, op: Op, value: Any, at: str) -> Condition | None:
        wanted, fault = _typed(op.needs, kind, value)
        if fault:
            self.faults.add(at, fault)
            return None
        return Leaf(source, kind, op, wanted)

    def _area(self) -> Area:
        lists: dict[str, tuple[str, ...]] = {}
        for name in _AREA_LISTS:
            entries = self.params.get(name) or []
            if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
                self.faults.add(f"{self.params_at}.{name}", "a list of texts, in quotes")
                continue
            plain = [entry.strip().upper() if name == "states" else entry.strip() for entry in entries]
            fault = next((fault for entry in plain if (fault := _area_fault(name, entry))), "")
            if fault:
                self.faults.add(f"{self.params_at}.{name}", fault)
            lists[name] = tuple(plain)
        return Area(**lists)


def _area_fault(name: str, entry: str) -> str:
    if name == "states" and not (len(entry) == 2 and entry.isalpha()):
        return f"{entry!r} is not a state's two letters, such as 'IL'"
    if name == "zips" and not (len(entry) == 5 and entry.isdecimal()):
        return f"{entry!r} is not a zip of five digits"
    if name == "zip_prefixes" and not (1 <= len(entry) <= 5 and entry.isdecimal()):
        return f"{entry!r} is not the beginning of a zip: one to five digits"
    return "" if entry else "an empty entry"


def _typed(needs: str, kind: Kind, value: Any) -> tuple[Any, str]:
    """The value as its op needs it, or what is wrong with it."""
    if needs == "nothing":
        return None, "this op takes no value"
    if needs == "area":
        return None, "give the lists as params: states, counties, zips, zip_prefixes"
    if needs == "date":
        return _date(value)
    if needs in ("months", "days"):
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 12_000
        return value, "" if whole else f"a whole number of {needs}, at least 1"
    if needs == "number":
        plain = isinstance(value, int | float) and not isinstance(value, bool) and as_number(value) is not None
        return value, "" if plain else "a number is needed"
    if needs == "text":
        good = isinstance(value, str) and bool(value.strip())
        return value, "" if good else "a text is needed"
    if needs == "list":
        if not isinstance(value, list) or not value:
            return None, "a list of values, at least one"
        typed = [_scalar(kind, one) for one in value]
        return tuple(one for one, _ in typed), next((fault for _, fault in typed if fault), "")
    return _scalar(kind, value)


def _scalar(kind: Kind, value: Any) -> tuple[Any, str]:
    if kind == "flag":
        return value, "" if isinstance(value, bool) else "the field is a yes or no: true or false is needed"
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return None, "a text or a number is needed"
    if kind == "number":
        number = as_number(value)
        return number, "" if number is not None else f"the field is a number, {value!r} is none"
    return value.strip() if isinstance(value, str) else value, ""


def _date(value: Any) -> tuple[Any, str]:
    if isinstance(value, datetime):
        return value.date(), ""
    if isinstance(value, date):
        return value, ""
    day = as_day(value) if isinstance(value, str) and len(value.strip()) == 10 else None
    return day, "" if day else "a date is needed, such as '2023-01-01'"
