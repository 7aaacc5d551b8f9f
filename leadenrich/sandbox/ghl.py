"""A fake HighLevel: the calls leadenrich makes, held against the vendor's rules, with its limits and its echo."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import ClassVar, Final, TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler

from leadenrich.core.lead import FieldValue, Json, PostalAddress
from leadenrich.sandbox import bodies
from leadenrich.sandbox.calls import Call
from leadenrich.sandbox.crm import DATA_TYPES, FakeContact, FakeLocation, field_key, iso, vendor_id
from leadenrich.sandbox.events import Echo
from leadenrich.sandbox.faults import Faults
from leadenrich.sandbox.finder import Unfindable, find_contacts
from leadenrich.sandbox.vendor import FakeVendor, as_json, parsed
from leadenrich.sandbox.window import RateWindow

VERSIONS: Final = frozenset({"v3", "2023-02-21", "2021-07-28", "2021-04-15"})
_WORDS: Final = {
    400: ("Bad Request", "Bad Request"),
    401: ("Unauthorized", "Invalid token: access token is invalid"),
    402: ("Payment Required", "Payment Required"),
    403: ("Forbidden", "The token does not have access to this location."),
    404: ("Not Found", "Not Found"),
    422: ("Unprocessable Entity", "Unprocessable Entity"),
    429: ("Too Many Requests", "Too Many Requests"),
    500: ("Internal Server Error", "Internal server error"),
}
_CONTACT_PATH = re.compile(r"/contacts/([^/]+)(?:/|$)")
_LOCATION_PATH = re.compile(r"/locations/([^/]+)")
_NOT_IDS: Final = frozenset({"search", "upsert", "business"})

TagChange: TypeAlias = Callable[[FakeContact, Iterable[str]], None]


class FakeGhl(FakeVendor):
    """`writes` counts, by contact id, the writes that took effect; `deleted` contacts answer as unknown ones do."""

    name: ClassVar[str] = "ghl"

    def __init__(
        self,
        *,
        faults: Faults | None = None,
        echo: Echo | None = None,
        burst: int = 100,
        daily: int = 200_000,
        keep_calls: int = 20_000,
    ) -> None:
        super().__init__(faults, keep_calls=keep_calls)
        self.locations: dict[str, FakeLocation] = {}
        self.contacts: dict[str, FakeContact] = {}
        self.windows: dict[str, RateWindow] = {}
        self.writes: Counter[str] = Counter()
        self.echo = echo
        self._limits = (burst, daily)

    # Setting the scene.

    def add_location(
        self, location_id: str, token: str, *, name: str = "Sandbox", fields: Iterable[tuple[str, str]] = ()
    ) -> FakeLocation:
        """A sub-account with custom fields, each a name and a data type."""
        location = FakeLocation(location_id, token, name)
        for field_name, data_type in fields:
            location.add_field(field_name, data_type)
        self.locations[location_id] = location
        self.windows[location_id] = RateWindow(self._limits[0], daily=self._limits[1])
        return location

    def add_contact(
        self,
        contact_id: str,
        location_id: str,
        *,
        address: PostalAddress | None = None,
        first_name: str = "",
        last_name: str = "",
        email: str = "",
        phone: str = "",
        tags: Iterable[str] = (),
        custom_fields: Mapping[str, FieldValue] | None = None,
    ) -> FakeContact:
        """A contact; `custom_fields` by key or name. An address's `full` line has no place in HighLevel."""
        where = address or PostalAddress()
        details: dict[str, Json] = {
            "firstName": first_name,
            "lastName": last_name,
            "email": email,
            "phone": phone,
            "address1": where.line1,
            "city": where.city,
            "state": where.state,
            "postalCode": where.postal_code,
            "country": where.country or "US",
            "source": "sandbox",
        }
        contact = FakeContact(contact_id, location_id, {name: value for name, value in details.items() if value})
        contact.add_tags(tags)
        location = self.locations[location_id]
        for key, value in (custom_fields or {}).items():
            known = location.named(key) or location.add_field(key, "TEXT")
            kept = known.kept(list(value) if isinstance(value, list) else value)
            if kept is not None:
                contact.values[known.field_id] = kept
        self.contacts[contact_id] = contact
        return contact

    def delete_contact(self, contact_id: str) -> None:
        self.contacts.pop(contact_id, None)

    def values(self, contact_id: str) -> dict[str, FieldValue]:
        """A contact's custom fields by key, without `contact.`"""
        contact = self.contacts[contact_id]
        fields = self.locations[contact.location_id].fields
        return {fields[field_id].key.removeprefix("contact."): value for field_id, value in contact.values.items()}

    # What the base asks of a vendor.

    def add_routes(self, router: web.UrlDispatcher) -> None:
        on_contact = "/contacts/{contact_id}"
        router.add_post("/contacts/search", self._checked(self._search))
        router.add_get(on_contact, self._checked(self._get_contact))
        router.add_put(on_contact, self._checked(self._put_contact))
        router.add_delete(on_contact, self._checked(self._delete_contact))
        router.add_post(f"{on_contact}/tags", self._checked(self._add_tags))
        router.add_delete(f"{on_contact}/tags", self._checked(self._remove_tags))
        router.add_get(f"{on_contact}/notes", self._checked(self._get_notes))
        router.add_post(f"{on_contact}/notes", self._checked(self._add_note))
        router.add_get("/locations/{location_id}", self._checked(self._get_location))
        router.add_get("/locations/{location_id}/customFields", self._checked(self._get_fields))
        router.add_post("/locations/{location_id}/customFields", self._checked(self._add_field))

    def describe(self, call: Call, request: web.Request) -> None:
        contact = _CONTACT_PATH.match(request.path)
        if contact and contact[1] not in _NOT_IDS:
            call.contact_id = contact[1]
        location = self._location_of_token(request)
        named = _LOCATION_PATH.match(request.path)
        call.location_id = named[1] if named else location.location_id if location else ""

    def refuse(self, status: int, message: str | list[str] = "") -> web.Response:
        error, usual = _WORDS.get(status, ("Error", "Error"))
        said: Json = list(message) if isinstance(message, list) else message or usual
        if status == 422 and isinstance(said, str):
            said = [said]
        return as_json({"statusCode": status, "message": said, "error": error}, status=status)

    def daily_spent(self) -> web.Response:
        response = self.refuse(429)
        response.headers["X-RateLimit-Daily-Remaining"] = "0"
        response.headers["X-RateLimit-Daily-Reset"] = "3600000"
        return response

    def decorate(self, response: web.StreamResponse, request: web.Request) -> None:
        location = self._location_of_token(request)
        window = self.windows[location.location_id] if location else RateWindow(*self._limits[:1])
        for name, value in window.headers().items():
            response.headers.setdefault(name, value)

    # The checks before each call.

    def _location_of_token(self, request: web.Request) -> FakeLocation | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        return next((it for it in self.locations.values() if it.token == token), None)

    def _checked(self, handler: Handler) -> Handler:
        async def check(request: web.Request) -> web.StreamResponse:
            if request.headers.get("User-Agent", "").startswith("Python-urllib"):
                return web.Response(status=403, text="error code: 1010")
            version = request.headers.get("Version")
            if version is None:
                return self.refuse(401, "version header was not found.")
            if version not in VERSIONS:
                dated = re.fullmatch(r"\d{4}-\d{2}-\d{2}", version)
                bad_name = f"Invalid API version segment '{version}' at position 0"
                return self.refuse(401, "version header is invalid") if dated else self.refuse(400, bad_name)
            location = self._location_of_token(request)
            if location is None:
                return self.refuse(401)
            if not self.windows[location.location_id].take():
                return self.refuse(429)
            return await self._owned(request, location, handler)

        return check

    async def _owned(self, request: web.Request, location: FakeLocation, handler: Handler) -> web.StreamResponse:
        """Let the handler see only what belongs to the token's location."""
        wanted = request.match_info.get("location_id")
        if wanted is not None and wanted != location.location_id:
            return self.refuse(403)
        contact_id = request.match_info.get("contact_id")
        if contact_id is not None:
            contact = self.contacts.get(contact_id)
            if contact is None:
                return self.refuse(400, f"Contact not found for id:{contact_id}")
            if contact.location_id != location.location_id:
                return self.refuse(403)
        return await handler(request)

    def _contact(self, request: web.Request) -> FakeContact:
        return self.contacts[request.match_info["contact_id"]]

    def _location(self, request: web.Request) -> FakeLocation:
        location = self._location_of_token(request)
        assert location is not None, "every handler stands behind the check of the token"
        return location

    # Contacts.

    async def _get_contact(self, request: web.Request) -> web.Response:
        return as_json({"contact": self._contact(request).as_json()})

    async def _put_contact(self, request: web.Request) -> web.Response:
        body = parsed(await request.read())
        wrong = bodies.complaints(body, bodies.CONTACT_UPDATE)
        value_member = "fieldValue" if request.headers["Version"] == "v3" else "field_value"
        if isinstance(body, dict) and "customFields" in body:
            wrong += bodies.field_complaints(body["customFields"], value_member)
        if wrong or not isinstance(body, dict):
            return self.refuse(422, wrong)
        contact = self._contact(request)
        tags_before = list(contact.tags)
        _update(contact, self._location(request), body, value_member)
        self._written(contact)
        if self.echo:
            self.echo.announce("ContactUpdate", contact)
            if contact.tags != tags_before:
                self.echo.announce("ContactTagUpdate", contact)
        return as_json({"succeded": True, "contact": contact.as_json()})

    async def _delete_contact(self, request: web.Request) -> web.Response:
        contact = self._contact(request)
        self.delete_contact(contact.contact_id)
        if self.echo:
            self.echo.announce("ContactDelete", contact)
        return as_json({"succeded": True})

    async def _add_tags(self, request: web.Request) -> web.Response:
        return await self._change_tags(request, FakeContact.add_tags, 201)

    async def _remove_tags(self, request: web.Request) -> web.Response:
        return await self._change_tags(request, FakeContact.remove_tags, 200)

    async def _change_tags(self, request: web.Request, change: TagChange, status: int) -> web.Response:
        body = parsed(await request.read())
        wrong = bodies.complaints(body, bodies.TAGS)
        if wrong or not isinstance(body, dict):
            return self.refuse(422, wrong)
        contact = self._contact(request)
        change(contact, _texts(body["tags"]))
        self._written(contact)
        if self.echo:
            self.echo.announce("ContactTagUpdate", contact)
        return as_json({"tags": list(contact.tags)}, status=status)

    async def _get_notes(self, request: web.Request) -> web.Response:
        return as_json({"notes": self._contact(request).notes[::-1]})

    async def _add_note(self, request: web.Request) -> web.Response:
        body = parsed(await request.read())
        wrong = bodies.complaints(body, bodies.NOTE)
        if wrong or not isinstance(body, dict):
            return self.refuse(422, wrong)
        contact = self._contact(request)
        note_id = vendor_id("note", contact.contact_id, str(len(contact.notes)))
        note: dict[str, Json] = {"id": note_id, **body, "contactId": contact.contact_id}
        note["dateAdded"] = iso(datetime.now(UTC))
        contact.notes.append(note)
        self._written(contact)
        return as_json({"note": note}, status=201)

    async def _search(self, request: web.Request) -> web.Response:
        body = parsed(await request.read())
        wrong = bodies.complaints(body, bodies.SEARCH)
        if wrong or not isinstance(body, dict):
            return self.refuse(422, wrong)
        if body["locationId"] != self._location(request).location_id:
            return self.refuse(403)
        try:
            found, total = find_contacts(self.contacts.values(), body)
        except Unfindable as error:
            return self.refuse(422, str(error))
        return as_json({"contacts": found, "total": total})

    def _written(self, contact: FakeContact) -> None:
        contact.updated_at = datetime.now(UTC)
        self.writes[contact.contact_id] += 1

    # Locations.

    async def _get_location(self, request: web.Request) -> web.Response:
        location = self._location(request)
        settings: Json = {"allowDuplicateContact": False}
        shown: Json = {"id": location.location_id, "name": location.name, "country": "US", "settings": settings}
        return as_json({"location": shown})

    async def _get_fields(self, request: web.Request) -> web.Response:
        location = self._location(request)
        model = request.query.get("model", "contact")
        if model not in ("contact", "opportunity", "all"):
            return self.refuse(422, "model must be one of the following values: contact, opportunity, all")
        fields = [] if model == "opportunity" else list(location.fields.values())
        return as_json({"customFields": [it.as_json(location.location_id) for it in fields]})

    async def _add_field(self, request: web.Request) -> web.Response:
        body = parsed(await request.read())
        wrong = bodies.complaints(body, bodies.CUSTOM_FIELD)
        if wrong or not isinstance(body, dict):
            return self.refuse(422, wrong)
        if body["dataType"] not in DATA_TYPES:
            return self.refuse(422, "dataType must be a valid enum value")
        location, name = self._location(request), str(body["name"])
        if any(it.key == field_key(name) for it in location.fields.values()):
            return self.refuse(400, f"A custom field with the key {field_key(name)} exists already.")
        made = location.add_field(name, str(body["dataType"]), str(body.get("placeholder") or ""))
        return as_json({"customField": made.as_json(location.location_id)}, status=201)


def _texts(value: Json) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _update(contact: FakeContact, location: FakeLocation, body: Mapping[str, Json], value_member: str) -> None:
    for member, value in body.items():
        if member == "tags":
            contact.tags = []  # a PUT replaces them all
            contact.add_tags(_texts(value))
        elif member == "customFields" and isinstance(value, list):
            entries = [entry for entry in value if isinstance(entry, dict) and value_member in entry]
            contact.write_values(location, [(str(entry["id"]), entry[value_member]) for entry in entries])
        elif value is None:
            contact.details.pop(member, None)
        else:
            contact.details[member] = value
