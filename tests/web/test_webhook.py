"""Every answer that a webhook can get, and what the store is asked to keep."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leadenrich.config import GhlSettings, LocationSettings, QueueSettings, Secret, ServerSettings
from leadenrich.core.job import Lane
from leadenrich.core.lead import PostalAddress
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Receipt
from leadenrich.web.app import reconfigure

LOCATION = "ve9EPM428h8vShlRW1KT"
CONTACT = "nmFmQEsNgz6AVpgLVUJ0"
TOKEN = "shared-secret-goes-here"
CREATE: dict[str, Any] = {"type": "ContactCreate", "locationId": LOCATION, "id": CONTACT, "webhookId": "w-1"}
FLOW: dict[str, Any] = {"contact_id": CONTACT, "location_id": LOCATION, "address1": "742 Example Ave"}
TWO = {"locations": (LocationSettings(id=LOCATION), LocationSettings(id="other"))}

Web = Any


def is_problem(answer: Any, status: int) -> bool:
    return set(answer) == {"type", "title", "status", "detail"} and answer["status"] == status and answer["detail"]


# --- the signed door ---------------------------------------------------------------------------------------------


async def test_a_contact_becomes_a_lead(web: Web, samples: dict[str, Any]) -> None:
    status, answer = await web.hook(samples["ContactCreate.synthetic.json"])
    assert (status, answer) == (202, {"job_id": "job1", "status": "QUEUED"})
    [submission] = web.intake.taken
    assert submission.delivery_key == "wh:0b7d3d0a-4f0e-4f3b-9a53-0f4d7d4b6a01"
    assert submission.delivery_window_s == QueueSettings().delivery_window
    assert submission.lane is Lane.LIVE
    lead = submission.lead
    assert (lead.kind, lead.contact_id, lead.location_id) == ("create", CONTACT, LOCATION)
    assert lead.address == PostalAddress("742 Example Ave", "Austin", "TX", "78701", "US")
    assert (lead.first_name, lead.last_name, lead.name) == ("Pat", "Sample", "Pat Sample")
    assert (lead.email, lead.phone) == ("pat.sample@example.com", "+15125550142")
    assert lead.tags == ("seller lead",)
    assert lead.custom_fields == {"BcdmQEsNgz6AVpgLVUJ0": "Zillow"}
    assert lead.event_ms == 1795187046001  # 2026-11-20T15:04:06.001Z
    assert web.receipts == [(submission, Receipt("queued", "job1"))]


@pytest.mark.parametrize(
    ("receipt", "status", "answer"),
    [
        (Receipt("queued", "j"), 202, {"job_id": "j", "status": "QUEUED"}),
        (Receipt("duplicate", "j"), 200, {"job_id": "j", "duplicate": True}),
        (Receipt("ignored", None, "address unchanged"), 200, {"ignored": "address unchanged"}),
    ],
)
async def test_the_store_s_verdict_is_the_answer(
    web: Web, receipt: Receipt, status: int, answer: dict[str, Any]
) -> None:
    web.intake.next = receipt
    assert await web.hook(CREATE) == (status, answer)
    assert await web.workflow(FLOW) == (status, answer)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("ContactCreate", "create"),
        ("ContactUpdate", "update"),
        ("ContactTagUpdate", "tags"),
        ("ContactDelete", "delete"),
    ],
)
async def test_the_store_is_told_which_event_it_was(web: Web, event: str, kind: str) -> None:
    assert (await web.hook(CREATE | {"type": event}))[0] == 202
    assert web.intake.lead.kind == kind


async def test_an_opportunity_is_about_its_contact(web: Web) -> None:
    event = {"type": "OpportunityCreate", "locationId": LOCATION, "id": "opp", "name": "A deal", "contactId": CONTACT}
    assert (await web.hook(event))[0] == 202
    lead = web.intake.lead
    assert (lead.kind, lead.contact_id, lead.name, bool(lead.address)) == ("opportunity", CONTACT, "", False)


async def test_an_opportunity_without_contact_is_ignored(web: Web) -> None:
    status, answer = await web.hook({"type": "OpportunityCreate", "locationId": LOCATION, "id": "opp"})
    assert (status, list(answer)) == (200, ["ignored"])
    assert web.intake.taken == []


@pytest.mark.parametrize("event", ["INSTALL", "UNINSTALL", "NoteCreate", "ContactDndUpdate", "Something\u0000New"])
async def test_events_that_are_no_leads_are_ignored(web: Web, event: str) -> None:
    """Whatever else is in them."""
    status, answer = await web.hook({"type": event, "id": 5, "tags": "odd"})
    assert (status, list(answer)) == (200, ["ignored"])
    assert "\0" not in answer["ignored"]
    assert web.intake.taken == []
    [(submission, receipt)] = web.receipts
    assert (submission, receipt.verb) == (None, "ignored")


async def test_a_location_that_is_not_ours_is_ignored(web: Web) -> None:
    assert await web.hook(CREATE | {"locationId": "stranger"}) == (200, {"ignored": "unknown location"})
    assert await web.workflow(FLOW | {"location_id": "stranger"}) == (200, {"ignored": "unknown location"})
    assert web.intake.taken == []


async def test_no_location_means_the_only_one(web: Web) -> None:
    assert (await web.hook({"type": "ContactCreate", "id": CONTACT}))[0] == 202
    assert web.intake.lead.location_id == LOCATION


async def test_no_location_with_several_is_refused(start_web: Any) -> None:
    async with start_web(ghl=TWO) as web:
        status, answer = await web.hook({"type": "ContactCreate", "id": CONTACT})
        assert status == 422
        assert is_problem(answer, 422)
        assert (await web.workflow({"contact_id": CONTACT}))[0] == 422


@pytest.mark.parametrize(
    "members",
    [
        {"id": None},
        {"id": ""},
        {"id": "  "},
        {"id": 12345},
        {"id": 12345678901234567890123},
        {"id": ["x"]},
        {"id": "../../secrets"},
        {"id": "a\u0000b"},
        {"id": "x" * 200},
        {"id": "{{contact.id}}"},
        {"locationId": 5},
        {"phone": 15125550142},
        {"address1": {"line": 1}},
        {"tags": 7},
        {"customFields": "none"},
    ],
)
async def test_a_shape_that_cannot_be_right_is_refused(web: Web, members: dict[str, Any]) -> None:
    """Ids and phones must be strings: a number has lost its zeros and its last digits already."""
    status, answer = await web.hook(CREATE | members)
    assert status == 422
    assert is_problem(answer, 422)
    assert web.intake.taken == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b'{"type": "ContactCreate", "id": 5, ',
        b'{"type": "ContactCreate", "id": "c"} trailing',
        b'{"type": NaN}',
        b'\xef\xbb\xbf{"type": "ContactCreate"}',
        '{"type": "ContactCreate"}'.encode("utf-16"),
        b'{"type": "ContactCreate", "other": "\xff"}',
        b'{"type": "ContactCreate", "id": "c\xed\xa0\x80"}',
        b'{"type": "ContactCreate", "id": "c", "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"customFields": [{"value": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}]}",
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_what_is_not_json_is_refused(web: Web, body: bytes) -> None:
    status, answer = await web.hook(body)
    assert status == 400
    assert is_problem(answer, 400)
    status, answer = await web.workflow(body)
    assert status == 400


@pytest.mark.parametrize("body", [b"[]", b"3", b'"text"', b"null", b"{}"])
async def test_json_that_is_no_event_is_refused(web: Web, body: bytes) -> None:
    assert (await web.hook(body))[0] == 422
    assert (await web.workflow(body))[0] == 422


async def test_numbers_of_any_size_do_no_harm(web: Web) -> None:
    for number in ("1" * 5000, "1e999", "-0", "12345678901234567890"):
        body = json.dumps(CREATE)[:-1] + f', "monetaryValue": {number}}}'
        assert (await web.hook(body.encode()))[0] == 202
        body = json.dumps(CREATE)[:-1] + f', "customFields": [{{"id": "f", "value": {number}}}]}}'
        assert (await web.hook(body.encode()))[0] in (202, 422)


async def test_control_characters_go_and_half_an_emoji_costs_no_lead(web: Web) -> None:
    body = json.dumps(CREATE | {"address1": "742\tExample\nAve\u0000\u009b", "tags": ["A\u0007b", "\u0000"]})
    body = body[:-1] + ', "firstName": "Pat \\ud83d", "lastName": "\\\\ud83d \\ud83d\\ude00"}'
    assert (await web.hook(body.encode()))[0] == 202
    lead = web.intake.lead
    assert lead.address.line1 == "742 Example Ave"
    assert lead.tags == ("ab",)
    assert (lead.first_name, lead.last_name) == ("Pat \ufffd", "\\ud83d 😀")


async def test_custom_values_of_every_kind(web: Web) -> None:
    values = {"a": "x\u0000", "b": 3, "c": 1.5, "d": True, "e": None, "f": ["p", 4], "g": {"url": "u"}}
    fields = [{"id": key, "value": value} for key, value in values.items()] + [{"value": "nameless"}]
    assert (await web.hook(CREATE | {"customFields": fields}))[0] == 202
    assert web.intake.lead.custom_fields == {
        "a": "x", "b": 3, "c": 1.5, "d": True, "e": None, "f": ["p"], "g": None
    }  # fmt: skip


@pytest.mark.parametrize(("told", "known"), [("yesterday", 0), ("", 0), ("2026-11-20T15:04:06.001", 1795187046001)])
async def test_a_time_that_cannot_be_read_is_no_time(web: Web, told: str, known: int) -> None:
    assert (await web.hook(CREATE | {"timestamp": told}))[0] == 202
    assert web.intake.lead.event_ms == known


async def test_a_time_far_in_the_future_is_not_believed(web: Web) -> None:
    """It would outrank every later event of the contact."""
    assert (await web.hook(CREATE | {"timestamp": "9999-12-31T23:59:59Z"}))[0] == 202
    assert 0 < web.intake.lead.event_ms < 253_000_000_000_000


@pytest.mark.parametrize("signature", ["", "N/A", "AAAA", "é" * 10, "A" * 88])
async def test_what_is_not_verified_is_refused(web: Web, signature: str) -> None:
    """Before its JSON is looked at, and whatever other proof comes with it."""
    for body in (json.dumps(CREATE).encode(), b"not json"):
        status, answer = await web.hook(
            body, X_GHL_Signature=signature, X_Webhook_Token=TOKEN, Authorization=f"Bearer {TOKEN}"
        )
        assert status == 401
        assert is_problem(answer, 401)
    assert web.intake.taken == []


async def test_a_signature_is_for_its_own_body(web: Web, signer: Any) -> None:
    assert (await web.hook(CREATE, X_GHL_Signature=signer(b"{}")))[0] == 401
    raw = json.dumps(CREATE).encode()
    assert (await web.hook(raw, X_GHL_Signature=signer(raw, Ed25519PrivateKey.generate())))[0] == 401
    assert (await web.hook(raw, X_GHL_Signature="x", X_WH_Signature=signer(raw)))[0] == 401


async def test_another_app_s_event_is_not_verified(start_web: Any) -> None:
    async with start_web(ghl={"app_id": "ours"}) as web:
        assert (await web.hook(CREATE | {"appId": "theirs"}))[0] == 401
        assert (await web.hook(CREATE))[0] == 401
        assert (await web.hook({"type": "INSTALL", "appId": "theirs"}))[0] == 401
        assert (await web.hook(CREATE | {"appId": "ours"}))[0] == 202


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "text/json"])
async def test_what_does_not_say_json_is_refused(web: Web, kind: str) -> None:
    status, answer = await web.hook(CREATE, Content_Type=kind, X_GHL_Signature="")
    assert status == 415
    assert is_problem(answer, 415)
    assert (await web.workflow(FLOW, Content_Type=kind, X_Webhook_Token=""))[0] == 415


async def test_json_with_a_charset_is_json(web: Web) -> None:
    assert (await web.hook(CREATE, Content_Type="Application/JSON; charset=utf-8"))[0] == 202


async def test_what_is_too_large_is_refused_first(start_web: Any) -> None:
    async with start_web(server={"max_body_bytes": 1024}) as web:
        fits = json.dumps(CREATE).encode()
        assert (await web.hook(fits + b" " * (1024 - len(fits))))[0] == 202
        status, answer = await web.hook(b"x" * 1025, Content_Type="text/plain", X_GHL_Signature="")
        assert status == 413
        assert is_problem(answer, 413)

        async def chunks() -> Any:
            for _ in range(100):
                yield b"x" * 100

        response, _ = await web.call(
            "POST", "/webhooks/ghl", data=chunks(), headers={"Content-Type": "application/json"}
        )
        assert response.status == 413


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
async def test_a_compressed_body_is_read(web: Web, signer: Any, encoding: str, pack: Any) -> None:
    """Signed before or after it was compressed."""
    raw = json.dumps(CREATE).encode()
    for signed in (raw, pack(raw)):
        status, _ = await web.hook(pack(raw), Content_Encoding=encoding, X_GHL_Signature=signer(signed))
        assert status == 202


async def test_a_bomb_goes_off_outside(web: Web, signer: Any) -> None:
    bomb = gzip.compress(b" " * 20_000_000)
    assert len(bomb) < 262_144
    assert (await web.hook(bomb, Content_Encoding="gzip"))[0] == 413
    nothing = gzip.compress(b"")
    for broken in (b"nonsense", gzip.compress(b"{}")[:-9], nothing * 10_000, gzip.compress(b"{}") + b"x"):
        assert (await web.hook(broken, Content_Encoding="gzip"))[0] == 400
    for unknown in ("br", "zstd", "gzip, gzip", "gzip;q=1"):
        assert (await web.hook(b"{}", Content_Encoding=unknown))[0] == 415


async def test_without_redis_the_sender_must_come_again(web: Web) -> None:
    web.intake.next = StoreUnavailable("gone")
    for path, headers, body in (
        ("/webhooks/ghl/workflow", {"X-Webhook-Token": TOKEN}, FLOW),
        ("/webhooks/ghl/workflow", {"Authorization": f"bearer {TOKEN}"}, FLOW),
    ):
        response, answer = await web.call("POST", path, json=body, headers=headers)
        assert (response.status, response.headers["Retry-After"]) == (429, "5")
        assert response.content_type == "application/problem+json"
        assert is_problem(answer, 429)
    assert (await web.hook(CREATE))[0] == 429
    assert web.receipts == []


async def test_our_own_mistake_shows_no_stack(web: Web) -> None:
    web.intake.next = RuntimeError("the inner workings")
    status, answer = await web.hook(CREATE)
    assert status == 500
    assert is_problem(answer, 500)
    assert "inner workings" not in json.dumps(answer)


# --- the workflow door -------------------------------------------------------------------------------------------


async def test_the_webhook_action_s_body(web: Web, samples: dict[str, Any]) -> None:
    assert (await web.workflow(samples["webhook-action.synthetic.json"]))[0] == 202
    [submission] = web.intake.taken
    lead = submission.lead
    assert (lead.kind, lead.contact_id, lead.location_id) == ("workflow", CONTACT, LOCATION)
    assert lead.address.line1 == "742 Example Ave"
    assert lead.address.full == "742 Example Ave, Austin TX 78701"
    assert lead.tags == ("seller lead", "enrich")
    assert lead.custom_fields is None
    assert lead.workflow_id == "b7709c6d-0000-402b-887d-000000000081"
    assert submission.delivery_window_s == QueueSettings().workflow_window


async def test_the_custom_webhook_s_body(web: Web, samples: dict[str, Any]) -> None:
    assert (await web.workflow(samples["custom-webhook-rendered.synthetic.json"]))[0] == 202
    assert web.intake.lead.address == PostalAddress("742 Example Ave", "Austin", "TX", "78701", "US")
    assert web.intake.lead.tags is None


async def test_a_contact_without_address_is_taken(web: Web, samples: dict[str, Any]) -> None:
    """The contact is read when the job runs; it may have one by then."""
    assert (await web.workflow(samples["webhook-action-no-address.synthetic.json"]))[0] == 202
    assert not web.intake.lead.address
    assert web.intake.lead.tags == ()


async def test_the_same_workflow_lead_has_the_same_key(web: Web) -> None:
    """Contact, workflow and address make it; how the address is written does not."""
    same = FLOW | {"address1": "742 EXAMPLE ave.", "first_name": "Somebody"}
    others = [
        FLOW | {"workflow": {"id": "w2"}},
        FLOW | {"contact_id": "somebodyElse"},
        FLOW | {"address1": "743 Example Ave"},
    ]
    for body in (FLOW, same, *others):
        assert (await web.workflow(body))[0] == 202
    first, second, *rest = [submission.delivery_key for submission in web.intake.taken]
    assert first == second
    assert first.startswith("wf:")
    assert len({first, *rest}) == 4


@pytest.mark.parametrize(
    ("query", "headers", "members"),
    [
        ("", {"Authorization": f"Bearer {TOKEN}"}, {}),
        ("", {"Authorization": f"bearer   {TOKEN}"}, {}),
        ("", {"X-Webhook-Token": TOKEN}, {}),
        (f"?token={TOKEN}", {}, {}),
        ("", {}, {"customData": {"secret": TOKEN}}),
        ("", {"Authorization": "Basic abc", "X-Webhook-Token": "wrong"}, {"customData": {"secret": TOKEN}}),
    ],
)
async def test_the_token_may_come_by_four_ways(
    web: Web, query: str, headers: dict[str, str], members: dict[str, Any]
) -> None:
    response, _ = await web.call("POST", f"/webhooks/ghl/workflow{query}", json=FLOW | members, headers=headers)
    assert response.status == 202


@pytest.mark.parametrize(
    ("query", "headers", "members"),
    [
        ("", {}, {}),
        ("", {"Authorization": f"Basic {TOKEN}"}, {}),
        ("", {"Authorization": "Bearer "}, {}),
        ("", {"X-Webhook-Token": TOKEN + "x"}, {}),
        ("", {"X-Webhook-Token": "é" * 5}, {}),
        ("?token=", {}, {}),
        ("?token=%ff%fe%00", {}, {}),
        ("", {}, {"customData": {"secret": 5}}),
        ("", {}, {"customData": [TOKEN]}),
        ("", {}, {"secret": TOKEN}),
    ],
)
async def test_no_token_no_entry(web: Web, query: str, headers: dict[str, str], members: dict[str, Any]) -> None:
    response, answer = await web.call("POST", f"/webhooks/ghl/workflow{query}", json=FLOW | members, headers=headers)
    assert response.status == 401
    assert "WWW-Authenticate" in response.headers
    assert is_problem(answer, 401)
    assert web.intake.taken == []


async def test_bytes_that_are_no_text_are_no_token(web: Web) -> None:
    head = b"POST /webhooks/ghl/workflow?token=\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    head += b"Content-Type: application/json\r\nX-Webhook-Token: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}"
    answer = await web.raw(head)
    assert answer[9:12] in (b"400", b"401")


async def test_the_unproven_is_refused_before_its_json_is_judged(web: Web) -> None:
    assert (await web.workflow(b"not json", X_Webhook_Token="wrong"))[0] == 401


@pytest.mark.parametrize("token", [None, Secret("")])
async def test_without_a_configured_token_nobody_enters(start_web: Any, token: Secret | None) -> None:
    async with start_web(ghl={"webhook_token": token}) as web:
        for told in ("", "None", TOKEN):
            assert (await web.workflow(FLOW | {"customData": {"secret": told}}, X_Webhook_Token=told))[0] == 401


async def test_tokens_of_any_alphabet(start_web: Any) -> None:
    async with start_web(ghl={"webhook_token": Secret("schlüssel+/=")}) as web:
        assert (await web.workflow(FLOW, X_Webhook_Token="schlüssel+/="))[0] == 202
        assert (await web.workflow(FLOW, query="?token=schlüssel+/=", X_Webhook_Token=""))[0] == 202


async def test_the_bulk_lane_is_asked_for(web: Web) -> None:
    assert (await web.workflow(FLOW, query="?lane=bulk"))[0] == 202
    assert (await web.workflow(FLOW, query="?lane="))[0] == 202
    assert [submission.lane for submission in web.intake.taken] == [Lane.BULK, Lane.LIVE]
    status, answer = await web.workflow(FLOW, query="?lane=fast")
    assert status == 400
    assert is_problem(answer, 400)


async def test_a_workflow_lead_needs_its_contact(web: Web) -> None:
    for wrong in ("", 7, None, "{{contact.id}}"):  # the last: a template that was never filled in
        body = FLOW | {"contact_id": wrong}
        status, answer = await web.workflow(body)
        assert status == 422
        assert is_problem(answer, 422)


# --- both --------------------------------------------------------------------------------------------------------


async def test_every_sample_of_the_vendor_is_understood(start_web: Any, vendor_samples: dict[str, bytes]) -> None:
    """Documented, delivered and rendered: none is an error, except the template that was never rendered."""
    served = [LOCATION, "3jJ0coeqWCZMAosyGQ6K"]
    async with start_web(ghl={"locations": tuple(LocationSettings(id=name) for name in served)}) as web:
        for name, raw in vendor_samples.items():
            post = web.workflow if name.startswith("workflow/") else web.hook
            status, answer = await post(raw)
            event = json.loads(raw).get("type", "")
            if name.endswith("custom-webhook-template.json"):
                assert status == 422, name
            elif name.startswith("workflow/") or event in (
                "ContactCreate", "ContactUpdate", "ContactTagUpdate", "ContactDelete", "OpportunityCreate"
            ):  # fmt: skip
                assert (status, answer["status"]) == (202, "QUEUED"), name
            else:
                assert (status, list(answer)) == (200, ["ignored"]), name


async def test_keys_and_tokens_can_be_changed_while_it_serves(web: Web, pem_of: Any, signer: Any) -> None:
    new = Ed25519PrivateKey.generate()
    settings = GhlSettings(
        public_keys=(pem_of(new),), webhook_token=Secret("new"), locations=(LocationSettings(id=LOCATION),)
    )
    reconfigure(web.app, ServerSettings(), settings, QueueSettings())
    raw = json.dumps(CREATE).encode()
    assert (await web.hook(raw))[0] == 401
    assert (await web.hook(raw, X_GHL_Signature=signer(raw, new)))[0] == 202
    assert (await web.workflow(FLOW))[0] == 401
    assert (await web.workflow(FLOW, X_Webhook_Token="new"))[0] == 202
    with pytest.raises(ValueError):
        reconfigure(web.app, ServerSettings(), GhlSettings(public_keys=("nonsense",)), QueueSettings())
    assert (await web.workflow(FLOW, X_Webhook_Token="new"))[0] == 202
