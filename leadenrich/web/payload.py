"""What HighLevel's two kinds of webhook say, as typed values; and how they become a Lead.

Unknown members are skipped. Strings must be strings: a number where an id or a phone is due has lost digits before.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

import msgspec

from leadenrich.core.lead import EventKind, FieldValue, Json, Lead, PostalAddress
from leadenrich.core.text import ID as ID, clean as clean
from leadenrich.web.problems import Refused

T = TypeVar("T")
Text = str | None  # HighLevel leaves absent values out; null means the same

LEAD_EVENTS: Final[dict[str, EventKind]] = {
    "ContactCreate": "create",
    "ContactUpdate": "update",
    "ContactTagUpdate": "tags",
    "ContactDelete": "delete",
    "OpportunityCreate": "opportunity",
}


class Envelope(msgspec.Struct, rename="camel"):
    """What decides whether a signed event is read further. Of any JSON type: most events are none of ours."""

    type: Any = None
    app_id: Any = None


class CustomValue(msgspec.Struct):
    """A custom field's value."""

    id: Text = None
    value: Any = None


class SignedEvent(msgspec.Struct, rename="camel"):
    """A contact, or an opportunity, in the delivered form: flat, absent values left out."""

    type: str
    location_id: Text = None
    id: Text = None
    contact_id: Text = None
    webhook_id: Text = None
    timestamp: Text = None
    address1: Text = None
    city: Text = None
    state: Text = None
    postal_code: Text = None
    country: Text = None
    first_name: Text = None
    last_name: Text = None
    name: Text = None
    email: Text = None
    phone: Text = None
    tags: list[Text] | None = None
    custom_fields: list[CustomValue] | None = None


class Named(msgspec.Struct):
    """What has an id; its name does not matter."""

    id: Text = None


class WorkflowEvent(msgspec.Struct):
    """The body of the Webhook and Custom Webhook actions. Custom fields are members named by label: skipped."""

    contact_id: Text = None
    location_id: Text = None
    location: Named | None = None
    workflow_id: Text = None
    workflow: Named | None = None
    address1: Text = None
    city: Text = None
    state: Text = None
    postal_code: Text = None
    country: Text = None
    full_address: Text = None
    first_name: Text = None
    last_name: Text = None
    full_name: Text = None
    email: Text = None
    phone: Text = None
    tags: str | list[Text] | None = None

    @property
    def told_location(self) -> Text:
        return self.location_id or (self.location.id if self.location else None)


class _CustomData(msgspec.Struct, rename="camel"):
    custom_data: Any = None


def decode(body: bytes, shape: type[T]) -> T:
    """The body as `shape`. Raises: Refused 400, where it is not JSON; 422, where a member is not what it must be."""
    try:
        text = body.decode()  # members that are skipped must be UTF-8 too
        return _decode(text, shape)
    except UnicodeDecodeError:
        raise Refused(400, "The body is not UTF-8.") from None
    except RecursionError:
        raise Refused(400, "The body is nested too deeply.") from None
    except msgspec.ValidationError as error:
        raise _not_json_or(body, f"The body is not what it must be: {error}.") from None
    except msgspec.DecodeError as error:
        raise Refused(400, f"The body is not JSON: {error}.") from None


def custom_secret(body: bytes) -> str:
    """`customData.secret`, or "" where there is none, whatever else is wrong with the body."""
    try:
        data = decode(body, _CustomData).custom_data
    except Refused:
        return ""
    secret = data.get("secret") if isinstance(data, dict) else None
    return secret if isinstance(secret, str) else ""


def signed_lead(event: SignedEvent, kind: EventKind, contact_id: str, location_id: str, now_ms: int) -> Lead:
    if kind == "opportunity":  # its name and id are the opportunity's; the contact is read when the job runs
        return Lead(
            location_id=location_id, contact_id=contact_id, kind=kind, event_ms=_event_ms(event.timestamp, now_ms)
        )
    return Lead(
        location_id=location_id,
        contact_id=contact_id,
        kind=kind,
        event_ms=_event_ms(event.timestamp, now_ms),
        address=PostalAddress(
            line1=clean(event.address1),
            city=clean(event.city),
            state=clean(event.state),
            postal_code=clean(event.postal_code),
            country=clean(event.country),
        ),
        first_name=clean(event.first_name),
        last_name=clean(event.last_name),
        name=clean(event.name),
        email=clean(event.email),
        phone=clean(event.phone),
        tags=None if event.tags is None else _tags(event.tags),
        custom_fields=None if event.custom_fields is None else _custom_fields(event.custom_fields),
    )


def workflow_lead(
    event: WorkflowEvent, contact_id: str, location_id: str, kind: Literal["workflow", "api"] = "workflow"
) -> Lead:
    told: list[Text] | None = [*event.tags.split(",")] if isinstance(event.tags, str) else event.tags
    return Lead(
        location_id=location_id,
        contact_id=contact_id,
        kind=kind,
        address=PostalAddress(
            line1=clean(event.address1),
            city=clean(event.city),
            state=clean(event.state),
            postal_code=clean(event.postal_code),
            country=clean(event.country),
            full=clean(event.full_address),
        ),
        first_name=clean(event.first_name),
        last_name=clean(event.last_name),
        name=clean(event.full_name),
        email=clean(event.email),
        phone=clean(event.phone),
        tags=None if told is None else _tags(told),
        workflow_id=clean(event.workflow_id or (event.workflow.id if event.workflow else None)),
    )


def an_id(text: str | None, what: str) -> str:
    """An id that is safe in a path, a key and a log line; "" where none is told. Raises: Refused 422."""
    told = (text or "").strip(" ")
    if told and not ID.fullmatch(told):
        raise Refused(422, f"{what} is not an id.")
    return told


def _decode(text: str, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        mended = _mend(text)
        if mended == text:
            raise
        return msgspec.json.decode(mended, type=shape)


_ESCAPE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair: kept
    r"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"  # half of one
    r"|\\."  # any other escape, so that \\ud800 is not taken for one
)


def _mend(text: str) -> str:
    """Half an emoji (a name cut by length) is valid to JavaScript: the lead must not be lost for it."""
    return _ESCAPE.sub(lambda found: "\\ufffd" if re.fullmatch(r"\\u[dD]...", found[0]) else found[0], text)


def _not_json_or(body: bytes, detail: str) -> Refused:
    """The decoder stops at the first wrong member: the rest may not even be JSON."""
    try:
        _decode(body.decode(), msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return Refused(400, "The body is not JSON.")
    return Refused(422, detail)


_FUTURE_MS: Final = 300_000  # how far the vendor's clock may be ahead of ours


def _event_ms(timestamp: str | None, now_ms: int) -> int:
    """Epoch milliseconds; 0 where none is told. A time far in the future would outrank every later event: now, then."""
    try:
        told = datetime.fromisoformat(timestamp or "")
    except ValueError:
        return 0
    told = told if told.tzinfo else told.replace(tzinfo=UTC)
    told_ms = round(told.timestamp() * 1000)
    return now_ms if told_ms > now_ms + _FUTURE_MS else max(told_ms, 0)


def _tags(told: list[Text]) -> tuple[str, ...]:
    """Lower-cased, as HighLevel keeps them; each once, in their order."""
    cleaned = (clean(tag).lower() for tag in told)
    return tuple(dict.fromkeys(tag for tag in cleaned if tag))


def _custom_fields(told: list[CustomValue]) -> dict[str, FieldValue]:
    return {clean(field.id): _field_value(field.value) for field in told if clean(field.id)}


def _field_value(value: Json) -> FieldValue:
    """Lists of strings stay lists; what no field of ours can hold (files) is left out."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean(part) for part in value if isinstance(part, str)]
    return None if isinstance(value, dict) else value
