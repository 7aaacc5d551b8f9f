"""The fake HighLevel has HighLevel's manners, the bad ones too."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession

from leadenrich.core.lead import PostalAddress
from leadenrich.sandbox.ghl import FakeGhl
from leadenrich.sandbox.server import Sandbox

ID = "contact0000000000001"
RATE_HEADERS = ("Max", "Remaining", "Interval-Milliseconds", "Limit-Daily", "Daily-Remaining")


class Caller:
    """Speaks to the fake with the location's token."""

    def __init__(self, client: ClientSession, sandbox: Sandbox) -> None:
        self.client, self.sandbox = client, sandbox
        self.headers = {"Authorization": f"Bearer {sandbox.location_token}", "Version": "2021-07-28"}
        self.rate: dict[str, str] = {}

    async def __call__(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        sent = self.headers if headers is None else headers
        async with self.client.request(method, self.sandbox.ghl_url + path, json=body, headers=sent) as answer:
            self.rate = {name: answer.headers[f"X-RateLimit-{name}"] for name in RATE_HEADERS}
            return answer.status, await answer.json()


@pytest.fixture
def ghl(sandbox: Sandbox) -> FakeGhl:
    where = PostalAddress("742 Evergreen Ter", "Springfield", "IL", "62704")
    sandbox.ghl.add_contact(
        ID,
        sandbox.location_id,
        address=where,
        first_name="Pat",
        last_name="Sample",
        tags=["Seller Lead"],
        custom_fields={"enrichment_status": "NEW", "Lead Source": "Zillow"},
    )
    return sandbox.ghl


@pytest.fixture
def call(client: ClientSession, sandbox: Sandbox, ghl: FakeGhl) -> Caller:
    return Caller(client, sandbox)


def field_id(sandbox: Sandbox, key: str) -> str:
    found = sandbox.ghl.locations[sandbox.location_id].named(key)
    assert found is not None
    return found.field_id


async def test_a_contact_is_shown_as_the_vendor_shows_it(call: Caller) -> None:
    status, body = await call("GET", f"/contacts/{ID}")
    contact = body["contact"]
    assert status == 200
    assert (contact["id"], contact["address1"], contact["postalCode"]) == (ID, "742 Evergreen Ter", "62704")
    assert contact["tags"] == ["seller lead"]
    assert [it["value"] for it in contact["customFields"]] == ["NEW", "Zillow"]


async def test_token_and_version_are_demanded(call: Caller) -> None:
    path, version = f"/contacts/{ID}", {"Version": "2021-07-28"}
    right = call.headers["Authorization"]
    for headers, status, words in (
        ({"Authorization": right}, 401, "version header was not found."),
        ({"Authorization": right, "Version": "1999-01-01"}, 401, "version header is invalid"),
        ({"Authorization": right, "Version": "newest"}, 400, "Invalid API version segment 'newest' at position 0"),
        (version, 401, "Invalid token: access token is invalid"),
        ({"Authorization": "Bearer pit-other", **version}, 401, "Invalid token: access token is invalid"),
    ):
        assert await call("GET", path, headers=headers) == (
            status,
            {"statusCode": status, "message": words, "error": "Bad Request" if status == 400 else "Unauthorized"},
        )


async def test_another_location_s_contact_is_forbidden(call: Caller, ghl: FakeGhl) -> None:
    ghl.add_location("OtherLocation0000002", "pit-other")
    other = {**call.headers, "Authorization": "Bearer pit-other"}
    for method, path, body in (
        ("GET", f"/contacts/{ID}", None),
        ("POST", f"/contacts/{ID}/tags", {"tags": ["x"]}),
        ("GET", f"/locations/{call.sandbox.location_id}/customFields", None),
        ("POST", "/contacts/search", {"locationId": call.sandbox.location_id, "pageLimit": 1}),
    ):
        status, answer = await call(method, path, body, other)
        assert (status, answer["message"]) == (403, "The token does not have access to this location.")


async def test_a_missing_contact_is_a_400(call: Caller, ghl: FakeGhl) -> None:
    ghl.delete_contact(ID)
    for method, path, body in (
        ("GET", "", None),
        ("PUT", "", {"customFields": []}),
        ("POST", "/tags", {"tags": ["a"]}),
        ("GET", "/notes", None),
    ):
        status, answer = await call(method, f"/contacts/{ID}{path}", body)
        assert (status, answer["message"]) == (400, f"Contact not found for id:{ID}")


async def test_unknown_members_are_refused_and_nothing_is_written(call: Caller, ghl: FakeGhl) -> None:
    before = ghl.contacts[ID].as_json()
    for method, path, body, words in (
        ("PUT", "", {"gender": "x", "city": "Austin"}, "property gender should not exist"),
        ("PUT", "", {"city": 7}, "city must be a string"),
        ("PUT", "", {"customFields": [{"id": "a", "value": 1}]}, "customFields.0.property value should not exist"),
        ("PUT", "", {"customFields": [{"field_value": 1}]}, "customFields.0.id should not be empty"),
        ("POST", "/tags", {}, "tags should not be empty"),
        ("POST", "/tags", {"tags": "a, b"}, "tags must be an array"),
        ("POST", "/notes", {"text": "hello"}, "property text should not exist"),
    ):
        status, answer = await call(method, f"/contacts/{ID}{path}", body)
        assert status == 422
        assert words in answer["message"]
    assert ghl.contacts[ID].as_json() == before
    assert not ghl.writes


async def test_a_put_keeps_the_fields_it_does_not_name(call: Caller, sandbox: Sandbox, ghl: FakeGhl) -> None:
    value = field_id(sandbox, "estimated_value")
    body = {"customFields": [{"id": value, "field_value": 342000}]}
    status, answer = await call("PUT", f"/contacts/{ID}", body)
    assert (status, answer["succeded"]) == (200, True)
    assert {"id": value, "value": 342000} in answer["contact"]["customFields"]
    assert ghl.values(ID) == {"enrichment_status": "NEW", "lead_source": "Zillow", "estimated_value": 342000}
    assert ghl.writes[ID] == 1


async def test_what_the_field_does_not_take_is_lost_without_a_word(
    call: Caller, sandbox: Sandbox, ghl: FakeGhl
) -> None:
    entries = [
        {"id": field_id(sandbox, "estimated_value"), "field_value": "plenty"},
        {"id": field_id(sandbox, "enriched_at"), "field_value": "23 Nov 2026"},
        {"id": "noSuchField000000000", "field_value": "x"},
        {"id": field_id(sandbox, "enrichment_status"), "field_value": ""},
    ]
    status, _ = await call("PUT", f"/contacts/{ID}", {"customFields": entries})
    assert status == 200
    assert ghl.values(ID) == {"lead_source": "Zillow"}  # an empty value clears; the rest never arrived
    entries = [{"id": field_id(sandbox, "enriched_at"), "field_value": "2026-11-23T10:00:00.000Z"}]
    await call("PUT", f"/contacts/{ID}", {"customFields": entries})
    assert ghl.values(ID)["enriched_at"] == "2026-11-23"


async def test_version_3_names_the_value_otherwise(call: Caller, sandbox: Sandbox, ghl: FakeGhl) -> None:
    body = {"customFields": [{"id": field_id(sandbox, "enrichment_status"), "fieldValue": "DONE"}]}
    assert (await call("PUT", f"/contacts/{ID}", body))[0] == 422
    assert (await call("PUT", f"/contacts/{ID}", body, {**call.headers, "Version": "v3"}))[0] == 200
    assert ghl.values(ID)["enrichment_status"] == "DONE"


async def test_tags_are_lower_cased_added_removed_and_replaced_by_put(call: Caller) -> None:
    path = f"/contacts/{ID}"
    assert await call("POST", f"{path}/tags", {"tags": ["QUALIFIED", "Seller Lead"]}) == (
        201,
        {"tags": ["seller lead", "qualified"]},
    )
    assert await call("DELETE", f"{path}/tags", {"tags": ["Seller lead"]}) == (200, {"tags": ["qualified"]})
    _, answer = await call("PUT", path, {"tags": ["Only This"]})
    assert answer["contact"]["tags"] == ["only this"]


async def test_notes_are_kept_the_newest_first(call: Caller) -> None:
    for text in ("first", "second"):
        status, answer = await call("POST", f"/contacts/{ID}/notes", {"body": text})
        assert (status, answer["note"]["body"]) == (201, text)
    _, answer = await call("GET", f"/contacts/{ID}/notes")
    assert [note["body"] for note in answer["notes"]] == ["second", "first"]


async def test_custom_fields_are_listed_and_made(call: Caller) -> None:
    path = f"/locations/{call.sandbox.location_id}/customFields"
    status, answer = await call("POST", path, {"name": "Pre-Foreclosure", "dataType": "TEXT", "model": "contact"})
    made = answer["customField"]
    assert (status, made["fieldKey"], made["dataType"]) == (201, "contact.preforeclosure", "TEXT")
    _, answer = await call("GET", f"{path}?model=contact")
    assert made in answer["customFields"]
    assert (await call("POST", path, {"name": "pre-foreclosure", "dataType": "TEXT"}))[0] == 400
    assert (await call("POST", path, {"name": "X", "dataType": "MONEY"}))[0] == 422
    assert (await call("POST", path, {"name": "X", "dataType": "TEXT", "fieldKey": "x"}))[0] == 422


async def test_the_location_is_shown(call: Caller) -> None:
    status, answer = await call("GET", f"/locations/{call.sandbox.location_id}")
    assert (status, answer["location"]["id"]) == (200, call.sandbox.location_id)


async def test_a_search_pages_through_all_contacts_once(call: Caller, ghl: FakeGhl) -> None:
    body: dict[str, Any] = {"locationId": call.sandbox.location_id, "pageLimit": 7}
    seen: list[str] = []
    while True:
        status, answer = await call("POST", "/contacts/search", body)
        assert status == 200
        if not answer["contacts"]:
            break
        seen += [it["id"] for it in answer["contacts"]]
        body["searchAfter"] = answer["contacts"][-1]["searchAfter"]
    assert len(seen) == len(set(seen)) == answer["total"] == len(ghl.contacts)


async def test_a_search_filters_by_tag_and_date(call: Caller, ghl: FakeGhl) -> None:
    body = {"locationId": call.sandbox.location_id, "pageLimit": 500}
    ghl.contacts[ID].add_tags(["hot"])
    tagged = {**body, "filters": [{"field": "tags", "operator": "contains", "value": ["HOT"]}]}
    _, answer = await call("POST", "/contacts/search", tagged)
    assert [it["id"] for it in answer["contacts"]] == [ID]
    future = {"field": "dateAdded", "operator": "range", "value": {"gte": "2999-01-01T00:00:00.000Z"}}
    _, answer = await call("POST", "/contacts/search", {**body, "filters": [future]})
    assert answer["total"] == 0
    assert (await call("POST", "/contacts/search", {**body, "pageLimit": 501}))[0] == 422


async def test_every_answer_carries_the_rate_headers(call: Caller) -> None:
    await call("GET", f"/contacts/{ID}")
    assert call.rate == {
        "Max": "100",
        "Remaining": "99",
        "Interval-Milliseconds": "10000",
        "Limit-Daily": "200000",
        "Daily-Remaining": "199999",
    }
    await call("GET", "/nothing/here")
    assert call.rate["Remaining"] == "99"


async def test_the_window_closes_and_nothing_is_executed_then(client: ClientSession) -> None:
    async with Sandbox(ghl_per_10s=2) as sandbox:
        call = Caller(client, sandbox)
        sandbox.ghl.add_contact(ID, sandbox.location_id)
        path = f"/contacts/{ID}/tags"
        answers = [(await call("POST", path, {"tags": [tag]}))[0] for tag in ("a", "b", "c")]
        assert answers == [201, 201, 429]
        assert call.rate["Remaining"] == "0"
        assert sandbox.ghl.contacts[ID].tags == ["a", "b"]
        assert sandbox.ghl.windows[sandbox.location_id].highest == 2


async def test_a_spent_day_says_so(client: ClientSession) -> None:
    async with Sandbox(ghl_per_day=1) as sandbox:
        call = Caller(client, sandbox)
        path = f"/locations/{sandbox.location_id}"
        assert [(await call("GET", path))[0] for _ in range(2)] == [200, 429]
        assert call.rate["Daily-Remaining"] == "0"


async def test_unknown_paths_are_404(call: Caller) -> None:
    status, answer = await call("GET", "/oauth/installed-locations")
    assert (status, answer["message"]) == (404, "Cannot GET /oauth/installed-locations")
