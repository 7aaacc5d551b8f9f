import asyncio
import json
from pathlib import Path

import pytest

from leadenrich.config import GhlSettings, LocationSettings, Secret
from leadenrich.core.contact import CustomField
from leadenrich.core.errors import Permanent, ProviderOut, Throttled, Transient
from leadenrich.core.job import Reason
from leadenrich.core.lead import PostalAddress
from leadenrich.providers.ghl import Ghl, provider_name
from leadenrich.providers.ghl_shapes import Location, PageMark

TOKEN = "pit-31337-secret"
ERRORS = Path(__file__).parents[2] / ".." / "shared" / "apis" / "ghl" / "errors.json"
CONTACT = {
    "id": "c1",
    "locationId": "loc1",
    "firstName": "Ann",
    "lastName": None,
    "name": "Ann B",
    "address1": "742 Evergreen Ter",
    "city": "Springfield",
    "state": "IL",
    "postalCode": 62704,
    "country": "US",
    "tags": ["Hot", "lead"],
    "customFields": [
        {"id": "f1", "value": "x"},
        {"id": "f2", "value": 5},
        {"id": "f3", "value": ["a", 7]},
        {"id": "f4", "value": {"file": 1}},
        {"id": "f5", "fieldValue": "v3"},
        {"value": "no id"},
        "odd",
    ],
}


@pytest.fixture
async def connect(wire, clock):
    clients = []

    def make(**options):
        tokens, share = options.pop("tokens", {"loc1": TOKEN, "loc2": "pit-2"}), options.pop("share", 1.0)
        locations = tuple(LocationSettings(id=name, token=Secret(token)) for name, token in tokens.items())
        settings = GhlSettings(
            **{"base_url": wire.url, "timeout": 2.0, "requests_per_10s": 0, "locations": locations, **options}
        )
        clients.append(Ghl(settings, now_ms=clock.now_ms, clock=clock.seconds, share=share))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def ghl(connect):
    return connect()


def limits(**more):
    headers = {"Max": 100, "Remaining": 57, "Interval-Milliseconds": 10000, "Limit-Daily": 200000}
    headers |= {"Daily-Remaining": 199642, **{name.replace("_", "-"): value for name, value in more.items()}}
    return {f"X-RateLimit-{name}": str(value) for name, value in headers.items() if value is not None}


async def test_a_contact_is_read(wire, answer, ghl):
    wire.says(answer(200, {"contact": CONTACT}))
    contact = await ghl.contact("loc1", "c1")
    assert contact.address == PostalAddress("742 Evergreen Ter", "Springfield", "IL", "62704", "US")
    assert (contact.contact_id, contact.first_name, contact.last_name, contact.name) == ("c1", "Ann", "", "Ann B")
    assert contact.tags == ("hot", "lead")
    assert contact.custom_fields == {"f1": "x", "f2": 5, "f3": ["a", "7"], "f5": "v3"}
    [seen] = wire.seen
    assert (seen.method, seen.path) == ("GET", "/contacts/c1")
    assert (seen.headers["authorization"], seen.headers["version"]) == (f"Bearer {TOKEN}", "2021-07-28")
    assert seen.headers["accept"] == "application/json"
    assert seen.headers["user-agent"].startswith("leadenrich/")


async def test_a_contact_that_tells_nothing_is_still_one(wire, answer, ghl):
    wire.says(answer(200, {"contact": {}}))
    contact = await ghl.contact("loc1", "c1")
    assert (contact.contact_id, contact.location_id, bool(contact.address)) == ("c1", "loc1", False)


async def test_each_location_has_its_own_token(wire, answer, ghl):
    wire.says(answer(200, {"contact": {}}))
    await ghl.contact("loc1", "c1")
    await ghl.contact("loc2", "c1")
    assert [seen.headers["authorization"] for seen in wire.seen] == [f"Bearer {TOKEN}", "Bearer pit-2"]


@pytest.mark.parametrize("token", ["", " ", "two\nlines", "tökén"])
async def test_without_a_usable_token_the_location_is_out_and_nothing_is_sent(wire, connect, token):
    ghl = connect(tokens={"loc1": token})
    for location in ("loc1", "unknown"):
        with pytest.raises(ProviderOut) as caught:
            await ghl.contact(location, "c1")
        assert (caught.value.kind, caught.value.provider) == ("auth", provider_name(location))
    assert wire.connections == 0


async def test_fields_are_written_by_id_in_one_put(wire, answer, ghl):
    held = [{"id": "f1", "value": "new"}, {"id": "other", "value": "stays"}]
    wire.says(answer(200, {"succeded": True, "contact": {"customFields": held}}))
    written = {"f1": "new", "f2": 7.5, "f3": ["a"], "f4": None, "f5": 0}
    assert await ghl.update_fields("loc1", "c1", written) == {"f1": "new", "other": "stays"}
    [seen] = wire.seen
    assert (seen.method, seen.path) == ("PUT", "/contacts/c1")
    assert seen.json() == {
        "customFields": [
            {"id": "f1", "field_value": "new"},
            {"id": "f2", "field_value": 7.5},
            {"id": "f3", "field_value": ["a"]},
            {"id": "f4", "field_value": ""},
            {"id": "f5", "field_value": 0},
        ]
    }


async def test_version_3_names_the_value_otherwise(wire, answer, connect):
    wire.says(answer(200, {"contact": {}}))
    await connect(api_version="v3").update_fields("loc1", "c1", {"f1": "x"})
    assert wire.seen[0].headers["version"] == "v3"
    assert wire.seen[0].json() == {"customFields": [{"id": "f1", "fieldValue": "x"}]}


async def test_tags_are_added_and_removed_by_their_own_calls(wire, answer, ghl):
    wire.says(answer(201, {"tags": ["a"]}), answer(200, {"tags": []}), answer(204))
    await ghl.add_tags("loc1", "c1", ["a", "b"])
    await ghl.remove_tags("loc1", "c1", ["b"])
    await ghl.remove_tags("loc1", "c1", ("c",))
    await ghl.add_tags("loc1", "c1", [])
    sent = [(seen.method, seen.path, seen.json()) for seen in wire.seen]
    assert sent == [
        ("POST", "/contacts/c1/tags", {"tags": ["a", "b"]}),
        ("DELETE", "/contacts/c1/tags", {"tags": ["b"]}),
        ("DELETE", "/contacts/c1/tags", {"tags": ["c"]}),
    ]


async def test_notes_are_listed_and_added(wire, answer, ghl):
    wire.says(answer(200, {"notes": [{"body": "one"}, {"body": None}, 5]}), answer(201, {"note": {}}))
    assert list(await ghl.notes("loc1", "c1")) == ["one", ""]
    await ghl.add_note("loc1", "c1", "two")
    assert [(seen.method, seen.path) for seen in wire.seen] == [
        ("GET", "/contacts/c1/notes"),
        ("POST", "/contacts/c1/notes"),
    ]
    assert wire.seen[1].json() == {"body": "two"}


@pytest.mark.parametrize("write", ["add_tags", "add_note", "update_fields"])
async def test_a_write_answered_by_a_page_of_html_is_not_done(wire, answer, ghl, write):
    wire.says(answer(200, "<html>welcome</html>"))
    argument = {"add_tags": ["a"], "add_note": "n", "update_fields": {"f": "x"}}[write]
    with pytest.raises(Transient, match="malformed"):
        await getattr(ghl, write)("loc1", "c1", argument)


@pytest.mark.parametrize(
    "identifier", ["../locations/x", "..", ".", "a/b", "a?x=1", "a#b", "a b", "ä", "%2e%2e", "a\r\nX: y"]
)
async def test_an_id_stays_one_piece_of_the_path(wire, answer, ghl, identifier):
    wire.says(answer(200, {"contact": {}}))
    await ghl.contact("loc1", identifier)
    [seen] = wire.seen
    prefix, _, rest = seen.path.rpartition("/")
    assert prefix == "/contacts"
    assert rest
    assert not set(rest) & set("./?# \r\n")


FIELDS = [
    {"id": "f1", "name": "Owner Name", "fieldKey": "contact.owner_name", "dataType": "TEXT"},
    {"id": "f2", "name": "Value", "fieldKey": "contact.estimated_value", "dataType": "NUMERICAL"},
    {"id": "f3", "name": "keyless", "dataType": "TEXT"},
    {"name": "no id", "fieldKey": "contact.nothing"},
]


async def test_custom_fields_are_cached_by_location_and_read_again_on_demand(wire, answer, ghl):
    wire.says(answer(200, {"customFields": FIELDS}), answer(200, {"customFields": FIELDS[:1]}))
    fields = await ghl.custom_fields("loc1")
    assert fields["owner_name"] == CustomField("f1", "owner_name", "Owner Name", "TEXT")
    assert set(fields) == {"owner_name", "estimated_value", "keyless"}
    assert await ghl.custom_fields("loc1") is fields
    assert set(await ghl.custom_fields("loc1", refresh=True)) == {"owner_name"}
    await ghl.custom_fields("loc2")
    assert [seen.path for seen in wire.seen] == [
        f"/locations/{name}/customFields?model=contact" for name in ("loc1", "loc1", "loc2")
    ]


async def test_many_that_need_the_fields_at_once_share_one_reading(wire, answer, ghl):
    wire.says(answer(200, {"customFields": FIELDS}))
    await asyncio.gather(*(ghl.custom_fields("loc1") for _ in range(20)))
    await asyncio.gather(*(ghl.custom_fields("loc1", refresh=True) for _ in range(20)))
    assert len(wire.seen) == 2


async def test_a_failed_reading_is_not_cached(wire, answer, ghl):
    wire.says(answer(500), answer(200, {"customFields": 5}), answer(200, {"customFields": FIELDS}))
    for _ in range(2):
        with pytest.raises(Transient):
            await ghl.custom_fields("loc1")
    assert await ghl.custom_fields("loc1")


async def test_a_field_is_created_and_then_known(wire, answer, ghl):
    wire.says(
        answer(200, {"customFields": []}),
        answer(201, {"customField": FIELDS[0]}),
        answer(200, {"customFields": FIELDS}),
    )
    await ghl.custom_fields("loc1")
    assert (await ghl.create_custom_field("loc1", "Owner Name", "TEXT")).key == "owner_name"
    assert "owner_name" in await ghl.custom_fields("loc1")
    seen = wire.seen[1]
    assert (seen.method, seen.path) == ("POST", "/locations/loc1/customFields")
    assert seen.json() == {"name": "Owner Name", "dataType": "TEXT", "model": "contact"}


async def test_the_location_itself(wire, answer, ghl):
    wire.says(answer(200, {"location": {"id": "loc1", "name": "Acme"}}))
    assert await ghl.location("loc1") == Location("loc1", "Acme")
    assert wire.seen[0].path == "/locations/loc1"


async def test_all_contacts_page_by_page(wire, answer, ghl):
    def page(*names):
        contacts = [{"id": name, "dateAdded": "2026-11-23T12:00:00.500Z", "searchAfter": [5, name]} for name in names]
        return answer(200, {"contacts": contacts, "total": 3})

    wire.says(page("a", "b"), page("c"))
    first = await ghl.contact_page("loc1", page_size=2)
    assert [listed.contact.contact_id for listed in first.contacts] == ["a", "b"]
    assert first.contacts[0].added_ms == 1_795_435_200_500
    second = await ghl.contact_page("loc1", first.next, page_size=2)
    assert ([listed.contact.contact_id for listed in second.contacts], second.next) == (["c"], None)
    assert (first.total, second.total) == (3, 3)
    newest_first = [{"field": "dateAdded", "direction": "desc"}]
    assert [seen.json() for seen in wire.seen] == [
        {"locationId": "loc1", "pageLimit": 2, "sort": newest_first, "page": 1},
        {"locationId": "loc1", "pageLimit": 2, "sort": newest_first, "searchAfter": [5, "b"]},
    ]


async def test_a_search_that_goes_in_circles_ends(wire, answer, ghl):
    wire.says(answer(200, {"contacts": [{"id": "a", "searchAfter": [1]}]}))
    page = await ghl.contact_page("loc1", PageMark(2, (1,)), page_size=1)
    assert page.next is None


async def test_without_a_mark_of_its_own_the_search_goes_on_by_number(wire, answer, ghl):
    wire.says(answer(200, {"contacts": [{"id": "a", "dateAdded": "yesterday"}]}))
    page = await ghl.contact_page("loc1", page_size=1)
    assert (page.next, page.contacts[0].added_ms) == (PageMark(2), None)


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize("call", ["contact", "notes", "add_tags", "update_fields"])
async def test_a_contact_that_is_gone(wire, answer, ghl, status, call):
    wire.says(answer(status, {"message": "Contact not found for id:aWbX", "error": "Bad Request", "statusCode": 400}))
    extra = {"add_tags": [["a"]], "update_fields": [{"f": "x"}]}.get(call, [])
    with pytest.raises(Permanent, match="aWbX") as caught:
        await getattr(ghl, call)("loc1", "c1", *extra)
    assert caught.value.reason is Reason.CONTACT_NOT_FOUND


async def test_a_contact_marked_deleted_is_gone_too(wire, answer, ghl):
    wire.says(answer(200, {"contact": {"id": "c1", "deleted": True}}))
    with pytest.raises(Permanent) as caught:
        await ghl.contact("loc1", "c1")
    assert caught.value.reason is Reason.CONTACT_NOT_FOUND


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"message": "This location does not allow duplicated contacts."}, Permanent),
        (400, "<html>", Permanent),
        (404, {"message": "Cannot GET /x", "error": "Not Found"}, Permanent),
        (422, {"message": ["property gender should not exist"]}, Permanent),
        (302, "", Permanent),
        (401, {"message": "Invalid token: access token is invalid"}, ProviderOut),
        (401, "", ProviderOut),
        (403, {"message": "The token does not have access to this location."}, ProviderOut),
        (402, {}, ProviderOut),
        (403, "error code: 1010", Transient),
        (403, "<html>", Transient),
        (408, "", Transient),
        (425, "", Transient),
        (500, {"message": "Internal server error"}, Transient),
        (502, "<html>", Transient),
        (503, "", Transient),
        (200, "", Transient),
        (200, '{"contact": {"id"', Transient),
        (200, {"contact": None}, Transient),
        (200, [], Transient),
    ],
)
async def test_refusals(wire, answer, ghl, status, body, error):
    wire.says(answer(status, body, limits()))
    with pytest.raises(error) as caught:
        await ghl.contact("loc1", "c1")
    assert caught.value.provider == "ghl:loc1"
    assert len(wire.seen) == 1
    if error is Permanent:
        assert caught.value.reason is Reason.REJECTED_BY_PROVIDER


async def test_the_token_is_in_no_message(wire, answer, ghl):
    wire.says(answer(401, {"message": f"Invalid token: {TOKEN} of a@b.example"}))
    with pytest.raises(ProviderOut, match="Invalid token") as caught:
        await ghl.contact("loc1", "c1")
    assert TOKEN not in str(caught.value)
    assert "a@b" not in str(caught.value)


@pytest.mark.skipif(not ERRORS.exists(), reason="the vendors' files are not beside the repository")
async def test_every_recorded_error_is_understood(wire, answer, ghl, clock):
    meant = {400: Permanent, 401: ProviderOut, 403: ProviderOut, 404: Permanent, 422: Permanent, 429: Throttled}
    for row in json.loads(ERRORS.read_text()):
        wire.says(answer(row["status"], row.get("body", row.get("body_text")), row.get("headers")))
        error = Transient if "body_text" in row else meant.get(row["status"], Transient)
        with pytest.raises(error):
            await ghl.contact("loc1", "c1")
        clock.advance(20)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 1),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "Mon, 23 Nov 2026 12:00:09 GMT"}, 9),
        ({"Retry-After": "99999"}, 3600),
        ({"Retry-After": "soon"}, 1),
        (limits(Remaining=0), 10),
        (limits(Remaining=0, Interval_Milliseconds=4000), 4),
        ({**limits(Remaining=0), "Retry-After": "30"}, 30),
        ({**limits(Remaining=57), "Retry-After": "3"}, 3),
        (limits(Remaining=57), 10),
        (limits(Remaining="x", Interval_Milliseconds="y", Max="z", Daily_Remaining="-"), 1),
        (limits(Remaining=0, Daily_Remaining=0), 43_200),
        (limits(Remaining=0, Daily_Remaining=0, Daily_Reset=5_000_000), 5000),
        (limits(Daily_Remaining=0, Daily_Reset=1_795_435_200_000 + 60_000), 60),
        (limits(Daily_Remaining=0, Daily_Reset=1_795_435_200_000 - 60_000), 43_200),
        (limits(Daily_Remaining=0, Daily_Reset=999_999_999_999), 86_400),
    ],
)
async def test_a_429_closes_the_location_until_the_named_time(wire, answer, ghl, clock, headers, seconds):
    wire.says(answer(429, {"message": "Too Many Requests"}, headers), answer(200, {"contact": {}}))
    with pytest.raises(Throttled) as caught:
        await ghl.contact("loc1", "c1")
    until_ms = clock.now_ms() + seconds * 1000
    assert (caught.value.until_ms, caught.value.provider) == (until_ms, "ghl:loc1")
    clock.advance(seconds - 0.5)
    with pytest.raises(Throttled) as caught:
        await ghl.add_tags("loc1", "c1", ["a"])
    assert caught.value.until_ms == until_ms
    assert len(wire.seen) == 1
    await ghl.contact("loc2", "c1")  # the limit is the location's, not HighLevel's
    clock.advance(0.6)
    await ghl.contact("loc1", "c1")
    assert len(wire.seen) == 3


@pytest.mark.parametrize(
    ("headers", "seconds"), [(limits(Remaining=0), 10), (limits(Daily_Remaining=0, Daily_Reset=60_000), 60)]
)
async def test_a_counter_at_zero_closes_before_any_429(wire, answer, ghl, clock, headers, seconds):
    """The call that used up the last one is good; the next is not sent."""
    wire.says(answer(200, {"contact": {}}, headers))
    await ghl.contact("loc1", "c1")
    with pytest.raises(Throttled) as caught:
        await ghl.contact("loc1", "c1")
    assert caught.value.until_ms == clock.now_ms() + seconds * 1000
    assert len(wire.seen) == 1


async def test_429s_without_a_time_back_off(wire, answer, ghl, clock):
    wire.says(answer(429))
    waits = []
    for _ in range(4):
        with pytest.raises(Throttled) as caught:
            await ghl.contact("loc1", "c1")
        waits.append(caught.value.until_ms - clock.now_ms())
        clock.advance(waits[-1] / 1000)
    assert waits == [1000, 2000, 4000, 8000]


async def test_the_pace_stays_below_what_is_configured_and_what_the_vendor_says(wire, answer, connect):
    ghl = connect(requests_per_10s=100)
    assert ghl.rates() == {"ghl:loc1": 9.9, "ghl:loc2": 9.9}
    wire.says(answer(200, {"contact": {}}, limits(Max=25, Remaining=24)))
    await ghl.contact("loc1", "c1")
    assert ghl.rates() == {"ghl:loc1": 2.4, "ghl:loc2": 9.9}
    wire.says(answer(429, {}, limits(Max=25, Remaining=24)))
    with pytest.raises(Throttled):
        await ghl.contact("loc1", "c1")
    assert ghl.rates()["ghl:loc1"] == 1.2


async def test_who_takes_a_share_leaves_the_rest_of_the_limit_to_others(wire, answer, connect):
    ghl = connect(requests_per_10s=100, share=0.5)
    assert ghl.rates()["ghl:loc1"] == 4.95
    wire.says(answer(200, {"contact": {}}, limits(Max=25, Remaining=24)))
    await ghl.contact("loc1", "c1")
    assert ghl.rates()["ghl:loc1"] == 1.2


async def test_a_location_may_be_unlimited(wire, answer, connect):
    wire.says(answer(200, {"contact": {}}))
    ghl = connect(requests_per_10s=0)
    await asyncio.gather(*(ghl.contact("loc1", "c1") for _ in range(200)))
    assert len(wire.seen) == 200
