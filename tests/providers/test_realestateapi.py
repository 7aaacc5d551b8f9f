import asyncio
import json
from pathlib import Path

import pytest

from leadenrich.config import RealEstateApiSettings, Secret
from leadenrich.core.address import NormalAddress
from leadenrich.core.errors import Permanent, ProviderOut, Throttled, Transient
from leadenrich.core.job import Reason
from leadenrich.core.property import BadAddress, Found, NoMatch
from leadenrich.providers.pace import Pace
from leadenrich.providers.realestateapi import KeyInfo, RealEstateApi, asked

SAMPLES = Path(__file__).parents[2] / ".." / "shared" / "apis" / "realestateapi"
HOME = NormalAddress("742", "EVERGREEN TER", "", "SPRINGFIELD", "IL", "62704")
KEY = "live-key-31337"


@pytest.fixture
async def connect(wire, clock):
    clients = []

    def make(*, key=KEY, **options):
        settings = RealEstateApiSettings(
            base_url=wire.url, api_key=Secret(key) if key else None, timeout=2.0, rate_per_second=options.pop("rate", 0)
        )
        clients.append(RealEstateApi(settings, now_ms=clock.now_ms, clock=clock.seconds, **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def api(connect):
    return connect()


async def look_up(api, address=HOME):
    return await api.lookup(address, location_id="loc1")


async def test_a_look_up_as_it_arrives(wire, answer, api):
    body = {"data": {"id": 190000001, "propertyType": "SFR"}, "statusCode": 200, "live": True}
    wire.says(answer(200, body, {"Content-Type": "text/plain"}))
    assert await look_up(api) == Found(body, "190000001", live=True)
    [seen] = wire.seen
    assert (seen.method, seen.path) == ("POST", "/v2/PropertyDetail")
    assert (seen.headers["x-api-key"], seen.headers["x-user-id"]) == (KEY, "loc1")
    assert seen.headers["user-agent"].startswith("leadenrich/")
    assert seen.json() == {
        "house": "742",
        "street": "EVERGREEN TER",
        "city": "SPRINGFIELD",
        "state": "IL",
        "zip": "62704",
        "exact_match": True,
        "comps": False,
    }


@pytest.mark.parametrize(
    ("address", "request_part"),
    [
        (NormalAddress("18", "LAKEVIEW CT", "5B", "SPRINGFIELD", "IL", "62703"), {"house": "18", "unit": "5B"}),
        (NormalAddress("1", "A ST", "", "", "IL", "62703"), {"house": "1", "street": "A ST", "zip": "62703"}),
        (NormalAddress("1", "A ST", "", "BEND", "OR", ""), {"address": "1 A ST, BEND OR"}),
        (NormalAddress("1", "A ST", "2", "BEND", "OR", ""), {"address": "1 A ST UNIT 2, BEND OR"}),
        (NormalAddress("1", "A ST", "", "", "", "97701"), {"address": "1 A ST, 97701"}),
    ],
)
def test_parts_where_the_vendor_takes_them_else_one_line(address, request_part):
    body = asked(address)
    assert request_part.items() <= body.items()
    assert ("house" in body) != ("address" in body)
    assert all(body.values())


@pytest.mark.parametrize("live", [True, False, None])
async def test_a_test_keys_answer_is_marked(wire, answer, api, live):
    wire.says(answer(200, {"data": {"id": "7"}, **({} if live is None else {"live": live})}))
    found = await look_up(api)
    assert (found.property_id, found.live) == ("7", live is not False)


@pytest.mark.parametrize(("told", "kept"), [(7, "7"), (7.0, "7"), ("x7", "x7"), (None, ""), (True, ""), ([], "")])
async def test_property_ids_of_any_type(wire, answer, api, told, kept):
    wire.says(answer(200, {"data": {"id": told, "a": 1}}))
    assert (await look_up(api)).property_id == kept


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, {"statusCode": 404, "error": "Not Found", "message": ""}, "Not Found"),
        (404, "<html>", "not found"),
        (200, {"data": {}, "statusCode": 404, "statusMessage": "Not Found"}, "Not Found"),
        (200, {"data": {}, "statusCode": 404, "reason": "Street is not similar"}, "Street is not similar"),
        (200, {"data": {}, "statusCode": "404", "reason": "no"}, "no"),
        (200, {"data": {}, "statusCode": 200, "statusMessage": "Success"}, "the answer holds no property"),
        (200, {"statusCode": 200}, "the answer holds no property"),
        (200, {"data": None}, "the answer holds no property"),
        (200, {"data": []}, "the answer holds no property"),
        (200, {"data": {"error": True, "errorMessage": "No results"}, "statusCode": 200}, "No results"),
        (200, {"data": {"error": True}}, "no such property"),
    ],
)
async def test_every_form_of_no_match_is_one_result_and_one_call(wire, answer, api, status, body, reason):
    wire.says(answer(status, body))
    assert await look_up(api) == NoMatch(reason)
    assert len(wire.seen) == 1


@pytest.mark.parametrize(
    ("message", "keys"),
    [
        ('"zip" length must be 5 characters long', ["zip"]),
        ('"house" missing required peer "state"', [""]),
        ("unusable city", []),
        ("Invalid Address", []),
        ("invalid value", ["zip"]),
    ],
)
@pytest.mark.parametrize("in_body_only", [False, True])
async def test_a_400_that_names_the_address(wire, answer, api, message, keys, in_body_only):
    body = {"statusCode": 400, "error": "Bad Request", "message": message, "validation": {"keys": keys}}
    wire.says(answer(200 if in_body_only else 400, body))
    assert await look_up(api) == BadAddress(message)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"message": '"tax_delinquent" is not allowed', "validation": {"keys": ["tax_delinquent"]}}, Permanent),
        (400, {"message": "understated", "validation": None}, Permanent),
        (400, "<html>", Permanent),
        (422, {"message": "no"}, Permanent),
        (409, {}, Permanent),
        (302, "", Permanent),
        (401, {"statusCode": 401, "error": "Invalid API key"}, ProviderOut),
        (401, "<html>", ProviderOut),
        (403, {"error": "API key lacks PropertyDetail scope"}, ProviderOut),
        (402, {"message": "no credit"}, ProviderOut),
        (200, {"statusCode": 401, "error": "Invalid API key", "data": {}}, ProviderOut),
        (200, {"statusCode": 402, "data": {"a": 1}}, ProviderOut),
        (403, "error code: 1010", Transient),
        (408, {}, Transient),
        (425, {}, Transient),
        (500, {"error": "Server Error, Please Contact Support (dev@realestateapi.com)"}, Transient),
        (502, "<html><head><title>502 Bad Gateway</title></head></html>", Transient),
        (503, "", Transient),
        (504, "", Transient),
        (200, {"statusCode": 500, "data": {"id": 1}}, Transient),
        (200, "", Transient),
        (204, "", Transient),
        (200, '{"data":{"id":1900', Transient),
        (200, "<html>ok</html>", Transient),
        (200, [{"data": {}}], Transient),
        (200, {"data": "text"}, Transient),
        (200, {"data": [{"id": 1}]}, Transient),
    ],
)
async def test_refusals(wire, answer, api, status, body, error):
    wire.says(answer(status, body))
    with pytest.raises(error) as caught:
        await look_up(api)
    assert caught.value.provider == "realestateapi"
    assert len(wire.seen) == 1
    if error is Permanent:
        assert caught.value.reason is Reason.REJECTED_BY_PROVIDER
    assert "dev@" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        {"message": "You have reached your daily credit limit for this endpoint, please try again later."},
        {"message": "Daily usage limit exceeded for [PropertySearch, SkipTrace] scopes"},
        "Daily limit",
    ],
)
@pytest.mark.parametrize("status", [429, 200])
async def test_a_spent_day_closes_until_midnight_utc(wire, answer, api, clock, body, status):
    if status == 200:
        body = {"statusCode": 429, "message": str(body)}
    wire.says(answer(status, body, {"Retry-After": "1"}), answer(404))
    with pytest.raises(Throttled) as caught:
        await look_up(api)
    midnight = clock.now_ms() + 12 * 3_600_000
    assert caught.value.until_ms == midnight
    clock.advance(11 * 3600)
    with pytest.raises(Throttled) as caught:
        await look_up(api)
    assert caught.value.until_ms == midnight
    assert len(wire.seen) == 1  # closed: nobody asks meanwhile
    clock.advance(3600)
    assert isinstance(await look_up(api), NoMatch)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("Mon, 23 Nov 2026 12:00:09 GMT", 9), ("99999999", 3600), ("soon", 1), ("-4", 1), ("0", 1), (None, 1)],
)
async def test_too_fast_closes_as_long_as_it_says(wire, answer, connect, clock, header, seconds):
    api = connect(rate=10)
    wire.says(answer(429, {"message": "slow down"}, {"Retry-After": header} if header else {}))
    with pytest.raises(Throttled, match="slow down") as caught:
        await look_up(api)
    assert caught.value.until_ms == clock.now_ms() + seconds * 1000
    assert api.rate == 5  # halved


async def test_without_a_time_the_wait_grows_and_a_good_answer_resets_it(wire, answer, api, clock):
    wire.says(*[answer(429)] * 3, answer(404), answer(429))
    waits = []
    for _ in range(5):
        try:
            await look_up(api)
        except Throttled as error:
            waits.append(error.until_ms - clock.now_ms())
            clock.advance(waits[-1] / 1000)
    assert waits == [1000, 2000, 4000, 1000]


async def test_hook_then_paces_then_the_request(wire, answer, connect):
    order = []

    class Turn:
        async def take(self):
            order.append(("pace", len(wire.seen)))

    async def intend():
        order.append(("intent", len(wire.seen)))

    wire.says(answer(404))
    await connect(paces=(Turn(), Turn())).lookup(HOME, location_id="loc1", before_send=intend)
    assert order == [("intent", 0), ("pace", 0), ("pace", 0)]
    assert len(wire.seen) == 1


async def test_a_call_that_queued_while_the_provider_closed_is_not_sent(wire, answer, connect):
    class Turn:
        def __init__(self):
            self.during = None

        async def take(self):
            if self.during:
                during, self.during = self.during, None
                await during()

    turn = Turn()
    api = connect(paces=(turn,))
    wire.says(answer(429, {}, {"Retry-After": "5"}))

    async def another_is_throttled():
        with pytest.raises(Throttled):
            await look_up(api)

    turn.during = another_is_throttled
    with pytest.raises(Throttled):
        await look_up(api)
    assert len(wire.seen) == 1


async def test_the_vendor_never_counts_too_many(wire, answer, connect):
    """Counted where the vendor counts, over fresh and kept connections."""
    wire.says(answer(404))
    api = connect(paces=(Pace(20),))
    await asyncio.gather(*(look_up(api) for _ in range(50)))
    times = [seen.at for seen in wire.seen]
    assert len(times) == 50
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[20:], strict=False))


@pytest.mark.parametrize("key", ["", "two\nlines", "kéy"])
async def test_a_key_no_header_can_carry_is_never_sent(wire, connect, key):
    api = connect(key=key)
    for call in (look_up(api), api.key_info()):
        with pytest.raises(ProviderOut) as caught:
            await call
        assert caught.value.kind == "auth"
        assert not key or key not in str(caught.value)
    assert wire.connections == 0


async def test_key_info(wire, answer, api):
    data = {"keyType": "live", "scopes": ["PropertyDetail", 5], "rateLimits": {"requestsPerSecond": 60}}
    wire.says(answer(200, {"statusCode": 200, "data": data}), answer(200, {"data": {"keyType": "test"}}))
    assert await api.key_info() == KeyInfo(live=True, scopes=("PropertyDetail",), requests_per_second=60)
    assert await api.key_info() == KeyInfo(live=False, scopes=(), requests_per_second=None)
    assert (wire.seen[0].method, wire.seen[0].path, wire.seen[0].headers["x-api-key"]) == ("GET", "/v2/key/info", KEY)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {}, ProviderOut),
        (500, {}, Transient),
        (404, {}, Permanent),
        (429, {}, Throttled),
        (200, {"statusCode": 401}, ProviderOut),
        (200, {"data": 5}, Transient),
        (200, "no", Transient),
    ],
)
async def test_key_info_refused(wire, answer, api, status, body, error):
    wire.says(answer(status, body))
    with pytest.raises(error):
        await api.key_info()


async def test_the_probe_passes_a_closed_shutter(wire, answer, api):
    """Else an outage that began with a daily limit could not be seen to end."""
    wire.says(answer(429, {}, {"Retry-After": "600"}), answer(200, {"data": {}}))
    with pytest.raises(Throttled):
        await look_up(api)
    assert await api.key_info() == KeyInfo(live=True, scopes=(), requests_per_second=None)


def samples():
    index = SAMPLES / "samples.index.json"
    if not index.exists():
        return []
    rows = json.loads(index.read_text())["samples"]
    return [row for row in rows if "property_detail.2" in row["file"] or "property_detail.4" in row["file"]]


@pytest.mark.skipif(not samples(), reason="the vendors' samples are not beside the repository")
async def test_every_published_answer_is_understood(wire, answer, api):
    for row in samples():
        body = (SAMPLES / row["file"]).read_bytes()
        status = row["http_status"]
        for code in (404, 200) if isinstance(status, str) else (status,):
            wire.says(answer(code, body))
            got = await look_up(api)
            no_match = any(mark in row["file"] for mark in (".404.", "empty_data", "no_match"))
            assert isinstance(got, NoMatch if no_match else Found), row["file"]
            assert no_match or got.property_id, row["file"]


@pytest.mark.skipif(not samples(), reason="the vendors' samples are not beside the repository")
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("error.401.envelope.json", ProviderOut),
        ("error.401.openapi.json", ProviderOut),
        ("error.403.scope.json", ProviderOut),
        ("error.429.daily_credits.json", Throttled),
        ("error.429.daily_scope.json", Throttled),
        ("error.429.openapi.json", Throttled),
        ("error.500.json", Transient),
        ("error.502.html.txt", Transient),
        ("error.200.truncated.txt", Transient),
        ("error.400.unknown_field.json", Permanent),
        ("error.400.not_object.json", Permanent),
    ],
)
async def test_every_published_error_is_understood(wire, answer, api, name, error):
    wire.says(answer(int(name.split(".")[1]), (SAMPLES / "samples" / name).read_bytes()))
    with pytest.raises(error):
        await look_up(api)


@pytest.mark.skipif(not samples(), reason="the vendors' samples are not beside the repository")
@pytest.mark.parametrize("what", ["state_length", "state_missing", "zip_length", "zip_missing", "zip_or_city"])
async def test_every_published_complaint_about_an_address_is_one(wire, answer, api, what):
    wire.says(answer(400, (SAMPLES / "samples" / f"error.400.{what}.json").read_bytes()))
    assert isinstance(await look_up(api), BadAddress)
