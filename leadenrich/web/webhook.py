"""The two doors for HighLevel's webhooks. Nothing but the checks and one call to the store before the answer."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from leadenrich.config import GhlSettings, QueueSettings
from leadenrich.core.job import Lane
from leadenrich.core.lead import Lead, fingerprint
from leadenrich.store.queue import Submission
from leadenrich.web.body import Body, read_json_body
from leadenrich.web.door import (
    AN_ID,
    ID_OR_NONE,
    LEAD_NEEDS,
    Door,
    Duplicate,
    Ignored,
    LaneQuery,
    OnReceipt,
    Queued,
    lane_of,
    location_of,
    log_receipt,
)
from leadenrich.web.openapi import REFUSED_BODY, Answer, Content, operation
from leadenrich.web.payload import (
    LEAD_EVENTS,
    Envelope,
    SignedEvent,
    WorkflowEvent,
    an_id,
    clean,
    custom_secret,
    decode,
    signed_lead,
    workflow_lead,
)
from leadenrich.web.ports import Intake
from leadenrich.web.problems import Refused
from leadenrich.web.signature import SIGNATURE_HEADER, Verifier

SIGNED_EXAMPLE: Final = {
    "type": "ContactCreate",
    "locationId": "ve9EPM428h8vShlRW1KT",
    "id": "nmFmQEsNgz6AVpgLVUJ0",
    "address1": "742 Evergreen Ter",
    "city": "Springfield",
    "state": "IL",
    "postalCode": "62704",
    "firstName": "Pat",
    "timestamp": "2026-11-20T15:04:06.001Z",
    "webhookId": "0b7d3d0a-4f0e-4f3b-9a53-0f4d7d4b6a01",
}
WORKFLOW_EXAMPLE: Final = {
    "contact_id": "nmFmQEsNgz6AVpgLVUJ0",
    "location": {"id": "ve9EPM428h8vShlRW1KT"},
    "workflow": {"id": "b7709c6d-0000-402b-887d-000000000081"},
    "address1": "742 Evergreen Ter",
    "city": "Springfield",
    "state": "IL",
    "postal_code": "62704",
}
_CONTACT_EVENTS: Final = [name for name, kind in LEAD_EVENTS.items() if kind != "opportunity"]
_SIGNED_NEEDS: Final[dict[Any, dict[str, Any]]] = {
    SignedEvent: {
        "properties": {"locationId": ID_OR_NONE, "webhookId": ID_OR_NONE},
        "anyOf": [
            {"required": ["id"], "properties": {"type": {"enum": _CONTACT_EVENTS}, "id": AN_ID}},
            {"properties": {"type": {"const": "OpportunityCreate"}, "contactId": ID_OR_NONE}},
        ],
    },
    Envelope: {
        "required": ["type"],
        "properties": {"type": {"type": "string", "not": {"enum": list(LEAD_EVENTS)}}},
    },
}
_ANSWERS: Final = {
    202: Answer("The lead is kept: Redis, or the spool on the daemon's disk, has it.", (Queued,)),
    200: Answer("The lead is known already, or there is nothing to do.", (Duplicate, Ignored)),
}


@dataclass(frozen=True, slots=True)
class _Rules:
    """The settings in the form the checks need."""

    verifier: Verifier
    token: bytes
    app_id: str | None
    locations: frozenset[str]
    delivery_window_s: float
    workflow_window_s: float


class WebhookDoor:
    """Handles /webhooks/ghl and /webhooks/ghl/workflow; `configure` may be called again while it serves."""

    def __init__(
        self,
        intake: Intake,
        ghl: GhlSettings,
        queue: QueueSettings,
        *,
        bytes_max: int,
        body_s: float,
        on_receipt: OnReceipt = log_receipt,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Raises: ValueError, when one of `ghl.public_keys` is no Ed25519 key."""
        self._door = Door(intake, on_receipt)
        self._bytes_max = bytes_max
        self._body_s = body_s
        self._now_ms = now_ms
        self.configure(ghl, queue)

    def configure(self, ghl: GhlSettings, queue: QueueSettings) -> None:
        """Take new keys, tokens, locations and windows, all or none. Raises: ValueError, as above."""
        self._rules = _Rules(
            verifier=Verifier(ghl.public_keys),
            token=ghl.webhook_token.reveal().encode() if ghl.webhook_token else b"",
            app_id=ghl.app_id or None,
            locations=frozenset(location.id for location in ghl.locations),
            delivery_window_s=queue.delivery_window,
            workflow_window_s=queue.workflow_window,
        )

    @operation(
        summary="Takes HighLevel's signed app webhooks",
        description="Events of contacts and opportunities become leads; the rest is answered as ignored, so that "
        "HighLevel does not send it again. Members that are not described are allowed, and skipped.",
        tag="webhooks",
        security=("signature",),
        bodies={"application/json": Content((SignedEvent, Envelope), SIGNED_EXAMPLE, _SIGNED_NEEDS)},
        answers=_ANSWERS,
        refuses=REFUSED_BODY
        | {
            401: "The signature does not verify the body, or the event is another app's.",
            422: "There is no contact id, or a member is not what it must be.",
            429: "The lead cannot be kept now: send it again.",
        },
    )
    async def signed(self, request: web.Request) -> web.Response:
        """POST /webhooks/ghl: events of the marketplace app, signed by HighLevel."""
        rules = self._rules
        body = await self._read(request)
        if not rules.verifier.accepts(request.headers.getall(SIGNATURE_HEADER, []), *dict.fromkeys(_bytes_of(body))):
            raise Refused(401, f"{SIGNATURE_HEADER} does not verify the body.", headers=_challenge("Signature"))
        envelope = decode(body.plain, Envelope)
        if rules.app_id and envelope.app_id != rules.app_id:
            raise Refused(401, "The event is another app's (ghl.app_id).", headers=_challenge("Signature"))
        if isinstance(envelope.type, str) and envelope.type not in LEAD_EVENTS:
            return self._door.ignore(f"{clean(envelope.type)[:40]} is not a lead")
        event = decode(body.plain, SignedEvent)
        kind = LEAD_EVENTS[event.type]
        contact_id = an_id(event.contact_id if kind == "opportunity" else event.id, "The contact id")
        if not contact_id and kind == "opportunity":
            return self._door.ignore("the opportunity has no contact")
        location_id = location_of(rules.locations, contact_id, event.location_id)
        if location_id is None:
            return self._door.ignore("unknown location")
        lead = signed_lead(event, kind, contact_id, location_id, self._now_ms())
        delivery_id = an_id(event.webhook_id, "The webhook id")
        return await self._door.answer(
            Submission(lead, Lane.LIVE, delivery_id and f"wh:{delivery_id}", rules.delivery_window_s)
        )

    @operation(
        summary="Takes the webhooks of HighLevel's workflow actions",
        description="From the Webhook and the Custom Webhook action. The shared token stands in one of four places: "
        "Authorization, X-Webhook-Token, ?token=, or customData.secret in the body.",
        tag="webhooks",
        security=("webhookBearer", "webhookHeader", "webhookQuery"),
        query=LaneQuery,
        bodies={"application/json": Content((WorkflowEvent,), WORKFLOW_EXAMPLE, {WorkflowEvent: LEAD_NEEDS})},
        answers=_ANSWERS,
        refuses=REFUSED_BODY
        | {
            400: "The body or `lane` is not what it must be.",
            401: "The shared token is missing or wrong.",
            422: "There is no contact id, or a member is not what it must be.",
            429: "The lead cannot be kept now: send it again.",
        },
    )
    async def workflow(self, request: web.Request) -> web.Response:
        """POST /webhooks/ghl/workflow: the workflow actions, proven by the shared token."""
        rules = self._rules
        body = await self._read(request)
        if not _token_fits(rules.token, request, body):
            raise Refused(
                401, "The shared token is missing or wrong (ghl.webhook_token).", headers=_challenge("Bearer")
            )
        event = decode(body.plain, WorkflowEvent)
        contact_id = an_id(event.contact_id, "The contact id")
        location_id = location_of(rules.locations, contact_id, event.told_location)
        lane = lane_of(request)
        if location_id is None:
            return self._door.ignore("unknown location")
        lead = workflow_lead(event, contact_id, location_id)
        return await self._door.answer(Submission(lead, lane, _workflow_key(lead), rules.workflow_window_s))

    async def _read(self, request: web.Request) -> Body:
        return await read_json_body(request, bytes_max=self._bytes_max, seconds=self._body_s)


def _bytes_of(body: Body) -> tuple[bytes, bytes]:
    """HighLevel signs what it says; a proxy on the way may have compressed it. Either is proof."""
    return body.sent, body.plain


def _token_fits(token: bytes, request: web.Request, body: Body) -> bool:
    """Any of the places may hold it: the plain Webhook action offers no headers. Every one is compared, in bytes."""
    if not token:
        return False
    # Header text that is not UTF-8 holds lone surrogates: compare_digest of str, or a plain encode, would raise.
    return any(hmac.compare_digest(told.encode("utf-8", "surrogatepass"), token) for told in _tokens(request, body))


def _tokens(request: web.Request, body: Body) -> Iterator[str]:
    for value in request.headers.getall("Authorization", []):
        scheme, _, told = value.partition(" ")
        if scheme.lower() == "bearer":
            yield told.strip()
    yield from request.headers.getall("X-Webhook-Token", [])
    for told in request.query.getall("token", []):
        yield told
        yield told.replace(" ", "+")  # a pasted base64 token whose plus signs were not escaped
    yield custom_secret(body.plain)


def _workflow_key(lead: Lead) -> str:
    parts = (lead.location_id, lead.contact_id, lead.workflow_id, fingerprint(lead.address))
    return "wf:" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _challenge(scheme: str) -> dict[str, str]:
    return {"WWW-Authenticate": scheme}
