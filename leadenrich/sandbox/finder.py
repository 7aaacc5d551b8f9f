"""`POST /contacts/search` over the fake's contacts: the filters a backfill needs, paging by page or by cursor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from leadenrich.core.lead import Json
from leadenrich.sandbox.crm import FakeContact

PAGE_MAX = 500


class Unfindable(Exception):
    """A search the vendor would refuse, or one that the fake does not know."""


def find_contacts(contacts: Iterable[FakeContact], body: Mapping[str, Json]) -> tuple[list[Json], int]:
    """One page, the newest contact first, and the number of all that match.

    Raises: Unfindable.
    """
    limit = _whole(body["pageLimit"], "pageLimit")
    if not 1 <= limit <= PAGE_MAX:
        raise Unfindable(f"pageLimit must not be greater than {PAGE_MAX} or less than 1")
    filters = body.get("filters") or []
    found = [it for it in contacts if it.location_id == body["locationId"] and _all_hold(it, filters)]
    query = str(body.get("query") or "").lower()
    found = [it for it in found if query in str(it.as_json()).lower()]
    found.sort(key=_cursor, reverse=not _ascending(body.get("sort")))
    return [_row(it) for it in _page(found, body, limit)], len(found)


def _page(found: list[FakeContact], body: Mapping[str, Json], limit: int) -> list[FakeContact]:
    after = body.get("searchAfter")
    if after:
        cursors = [list(_cursor(it)) for it in found]
        if after not in cursors:
            raise Unfindable("searchAfter is not the cursor of a contact")
        start = cursors.index(list(after) if isinstance(after, list) else []) + 1
    else:
        start = (_whole(body.get("page", 1), "page") - 1) * limit
    return found[max(0, start) : max(0, start) + limit]


def _cursor(contact: FakeContact) -> tuple[int, str]:
    return int(contact.added_at.timestamp() * 1000), contact.contact_id


def _row(contact: FakeContact) -> Json:
    return {**contact.as_json(), "searchAfter": list(_cursor(contact))}


def _ascending(sort: Json) -> bool:
    first = sort[0] if isinstance(sort, list) and sort else None
    return isinstance(first, dict) and first.get("direction") == "asc"


def _whole(value: Json, member: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unfindable(f"{member} must be an integer number")
    return value


def _all_hold(contact: FakeContact, filters: Json) -> bool:
    if not isinstance(filters, list):
        raise Unfindable("filters must be an array")
    return all(_holds(contact, it) for it in filters)


def _holds(contact: FakeContact, rule: Json) -> bool:
    if not isinstance(rule, dict):
        raise Unfindable("each filter must be an object")
    if "group" in rule:
        inner = rule.get("filters")
        if rule["group"] == "AND":
            return _all_hold(contact, inner)
        return isinstance(inner, list) and any(_holds(contact, it) for it in inner)
    field, operator, value = rule.get("field"), rule.get("operator"), rule.get("value")
    if field == "tags":
        return _tags_hold(contact, operator, value)
    if field in ("dateAdded", "dateUpdated"):
        return _date_holds(contact.added_at if field == "dateAdded" else contact.updated_at, operator, value)
    raise Unfindable(f"the sandbox does not filter by {field}")


def _tags_hold(contact: FakeContact, operator: Json, value: Json) -> bool:
    wanted = {str(tag).lower() for tag in (value if isinstance(value, list) else [value])}
    match operator:
        case "eq" | "contains" | "contains_set" | "contains_all":
            return wanted <= set(contact.tags)
        case "not_eq" | "not_contains":
            return not wanted & set(contact.tags)
        case _:
            raise Unfindable(f"the sandbox does not know the operator {operator} on tags")


def _date_holds(moment: datetime, operator: Json, value: Json) -> bool:
    if operator != "range" or not isinstance(value, dict) or not value.keys() <= {"gt", "gte", "lt", "lte"}:
        raise Unfindable("a date is filtered by the operator range with gt, gte, lt or lte")
    checks = {
        "gt": lambda bound: moment > bound,
        "gte": lambda bound: moment >= bound,
        "lt": lambda bound: moment < bound,
        "lte": lambda bound: moment <= bound,
    }
    return all(checks[name](_moment(bound)) for name, bound in value.items())


def _moment(value: Json) -> datetime:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000, UTC)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise Unfindable(f"{value} is not a date") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
