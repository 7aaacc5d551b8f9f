"""The bodies HighLevel takes, and its 422 for everything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from leadenrich.core.lead import Json

Kind: TypeAlias = str  # text | bool | number | strings | any; a `*` behind it: required; a `?`: may be null

CONTACT_UPDATE: Final[Mapping[str, Kind]] = {
    "firstName": "text?",
    "lastName": "text?",
    "name": "text?",
    "email": "text?",
    "phone": "text?",
    "address1": "text?",
    "city": "text?",
    "state": "text?",
    "postalCode": "text",
    "website": "text?",
    "timezone": "text?",
    "dnd": "bool",
    "dndSettings": "any",
    "inboundDndSettings": "any",
    "tags": "strings",
    "customFields": "any",
    "source": "text?",
    "dateOfBirth": "any",
    "country": "text",
    "assignedTo": "text?",
}
TAGS: Final[Mapping[str, Kind]] = {"tags": "strings*"}
NOTE: Final[Mapping[str, Kind]] = {
    "body": "text*",
    "userId": "text",
    "title": "text",
    "color": "text",
    "pinned": "bool",
}
CUSTOM_FIELD: Final[Mapping[str, Kind]] = {
    "name": "text*",
    "dataType": "text*",
    "model": "text",
    "placeholder": "text",
    "position": "number",
    "acceptedFormat": "strings",
    "isMultipleFile": "bool",
    "maxNumberOfFiles": "number",
    "textBoxListOptions": "any",
}
SEARCH: Final[Mapping[str, Kind]] = {
    "locationId": "text*",
    "pageLimit": "number*",
    "page": "number",
    "searchAfter": "any",
    "filters": "any",
    "sort": "any",
    "query": "text",
}


def complaints(body: Json, members: Mapping[str, Kind], prefix: str = "") -> list[str]:
    """What is wrong with a body, in the vendor's words; empty when it is fine."""
    if not isinstance(body, dict):
        return ["the body should be a JSON object"]
    wrong = [f"{prefix}property {member} should not exist" for member in body if member not in members]
    for member, kind in members.items():
        if member in body:
            wrong += [f"{prefix}{member} {text}" for text in _unfit(body[member], kind)]
        elif kind.endswith("*"):
            wrong.append(f"{prefix}{member} should not be empty")
    return wrong


def field_complaints(entries: Json, value_member: str) -> list[str]:
    """The same for `customFields`: a list of `{"id", <value member>}`. `key` is taken and ignored."""
    if not isinstance(entries, list):
        return ["customFields must be an array"]
    members = {"id": "text*", "key": "text", value_member: "any"}
    return [
        text for index, entry in enumerate(entries) for text in complaints(entry, members, f"customFields.{index}.")
    ]


def _unfit(value: Json, kind: Kind) -> list[str]:
    if value is None:
        return [] if kind.endswith("?") or kind == "any" else ["should not be null"]
    match kind.rstrip("*?"):
        case "text":
            if not isinstance(value, str):
                return ["must be a string"]
            return ["should not be empty"] if kind.endswith("*") and not value.strip() else []
        case "bool":
            return [] if isinstance(value, bool) else ["must be a boolean value"]
        case "number":
            return [] if isinstance(value, int | float) and not isinstance(value, bool) else ["must be a number"]
        case "strings":
            if not isinstance(value, list):
                return ["must be an array"]
            return [] if all(isinstance(item, str) for item in value) else ["each value in it must be a string"]
        case _:
            return []
