"""The ops a rule can compare with. Each answers None where the record tells nothing usable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final

from leadenrich.core.address import same_place
from leadenrich.core.lead import Json
from leadenrich.enrich.conditions import ADDRESS, Leaf, Op, Scene, Truth, is_known
from leadenrich.enrich.record import as_day, as_flag, as_number, as_text, as_zip5


def months_before(day: date, months: int) -> date:
    """The same day of the month, or the month's last one."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if year < 1:
        return date.min
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, min(day.day, last))
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _same(value: Json, wanted: Any) -> Truth:
    """Compared as what the rule's value is: numbers arrive as text and text as numbers."""
    if isinstance(wanted, bool):
        told = as_flag(value)
        return None if told is None else told is wanted
    if isinstance(wanted, int | float):
        number = as_number(value)
        return None if number is None else number == wanted
    text = as_text(value)
    return None if text is None else text == wanted


def _eq(leaf: Leaf, scene: Scene) -> Truth:
    return _same(scene.get(leaf.source), leaf.wanted)


def _ne(leaf: Leaf, scene: Scene) -> Truth:
    told = _eq(leaf, scene)
    return None if told is None else not told


def _in(leaf: Leaf, scene: Scene) -> Truth:
    told = [_same(scene.get(leaf.source), wanted) for wanted in leaf.wanted]
    return True if True in told else False if False in told else None


def _in_ci(leaf: Leaf, scene: Scene) -> Truth:
    text = as_text(scene.get(leaf.source))
    return None if text is None else _folded(text) in {_folded(str(wanted)) for wanted in leaf.wanted}


def _contains_ci(leaf: Leaf, scene: Scene) -> Truth:
    value = scene.get(leaf.source)
    texts = [text for one in (value if isinstance(value, list) else [value]) if (text := as_text(one))]
    return any(_folded(leaf.wanted) in _folded(text) for text in texts) if texts else None


def _number(compare: Callable[[float, float], bool]) -> Callable[[Leaf, Scene], Truth]:
    def test(leaf: Leaf, scene: Scene) -> Truth:
        number = as_number(scene.get(leaf.source))
        return None if number is None else compare(number, leaf.wanted)

    return test


def _day(compare: Callable[[date, date], bool]) -> Callable[[Leaf, Scene], Truth]:
    def test(leaf: Leaf, scene: Scene) -> Truth:
        day = as_day(scene.get(leaf.source))
        return None if day is None else compare(day, leaf.wanted)

    return test


def _within_months(leaf: Leaf, scene: Scene) -> Truth:
    day = as_day(scene.get(leaf.source))
    if day is None or day > scene.today + timedelta(days=1):  # a date to come is a mistake of the record
        return None
    return day >= months_before(scene.today, leaf.wanted)


def _is_true(leaf: Leaf, scene: Scene) -> Truth:
    return as_flag(scene.get(leaf.source))


def _is_not_true(leaf: Leaf, scene: Scene) -> Truth:
    told = as_flag(scene.get(leaf.source))
    return None if told is None else not told


def _present(leaf: Leaf, scene: Scene) -> Truth:
    return is_known(scene.get(leaf.source), leaf.kind)


def _missing(leaf: Leaf, scene: Scene) -> Truth:
    if leaf.source == "lead.address":
        return scene.reject == "ADDRESS_MISSING"
    return not is_known(scene.get(leaf.source), leaf.kind)


def _rejected(code: str) -> Callable[[Leaf, Scene], Truth]:
    return lambda _leaf, scene: scene.reject == code


def _not_in_area(leaf: Leaf, scene: Scene) -> Truth:
    county = scene.reading.record.text(ADDRESS + "county") if scene.reading else None
    return bool(leaf.wanted) and leaf.wanted.outside(
        state=scene.place("state"), zip5=scene.place("zip"), county=county or ""
    )


def _seen_within_days(_leaf: Leaf, scene: Scene) -> Truth:
    return scene.duplicate  # asked of the store with this rule's days


def _differs_from_lead(_leaf: Leaf, scene: Scene) -> Truth:
    """House and zip5 must agree; what the record does not tell cannot differ."""
    if scene.reading is None or scene.address is None:
        return None
    text, asked = scene.reading.record.text, scene.address
    line = (text(ADDRESS + "address") or "").split()
    house = text(ADDRESS + "house") or (line[0] if line and line[0][0].isdigit() else asked.house)
    return not same_place(
        asked,
        house=house,
        zip5=as_zip5(text(ADDRESS + "zip")) or asked.zip5,
        city=text(ADDRESS + "city") or asked.city,
        state=text(ADDRESS + "state") or asked.state,
    )


_ALL: Final = frozenset({"flag", "number", "text", "date", "list", "object"})
_NUM: Final = frozenset({"number"})
_FLAG: Final = frozenset({"flag"})
_DATE: Final = frozenset({"date"})
_TEXT: Final = frozenset({"text", "number"})
_NONE: Final[frozenset[str]] = frozenset()
_IN_ADDRESS: Final = "lead.address"

OPS: Final[dict[str, Op]] = {
    "eq": Op("scalar", _TEXT | _FLAG, _eq, "{field} is {value}"),
    "ne": Op("scalar", _TEXT | _FLAG, _ne, "{field} is not {value}"),
    "in": Op("list", _TEXT, _in, "{field} is one of {value}"),
    "in_ci": Op("list", _TEXT, _in_ci, "{field} is one of {value}"),
    "contains_ci": Op("text", frozenset({"text", "list"}), _contains_ci, "{field} contains {value}"),
    "lt": Op("number", _NUM, _number(lambda a, b: a < b), "{field} is below {value}"),
    "le": Op("number", _NUM, _number(lambda a, b: a <= b), "{field} is at most {value}"),
    "gt": Op("number", _NUM, _number(lambda a, b: a > b), "{field} is above {value}"),
    "ge": Op("number", _NUM, _number(lambda a, b: a >= b), "{field} is at least {value}"),
    "is_true": Op("nothing", _FLAG, _is_true, "{field}"),
    "is_not_true": Op("nothing", _FLAG, _is_not_true, "not: {field}"),
    "missing": Op("nothing", _ALL, _missing, "{field} is missing"),
    "present": Op("nothing", _ALL, _present, "{field} is known"),
    "within_months": Op("months", _DATE, _within_months, "{field} was within {value} months"),
    "on_or_after": Op("date", _DATE, _day(lambda a, b: a >= b), "{field} was on or after {value}"),
    "before": Op("date", _DATE, _day(lambda a, b: a < b), "{field} was before {value}"),
    "incomplete": Op("nothing", _NONE, _rejected("ADDRESS_INCOMPLETE"), "{field} is incomplete", _IN_ADDRESS),
    "po_box": Op("nothing", _NONE, _rejected("ADDRESS_PO_BOX"), "{field} is a PO box", _IN_ADDRESS),
    "not_us_state": Op("nothing", _NONE, _rejected("ADDRESS_NOT_US"), "{field} is not in the US", "lead.state"),
    "not_in_area": Op(
        "area", _NONE, _not_in_area, "the place is outside the area ({value})", "lead.zip_or_state_or_county"
    ),
    "seen_within_days": Op(
        "days", _NONE, _seen_within_days, "another contact had the address within {value} days", "lead.address_key"
    ),
    "differs_from_lead": Op(
        "nothing", _NONE, _differs_from_lead, "the record is of another address", ADDRESS.removesuffix(".")
    ),
}
