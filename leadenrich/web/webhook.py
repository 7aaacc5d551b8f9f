"""The two doors for HighLevel's webhooks. Nothing but the checks and one call to the store before the answer."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from aiohttp import web

from leadenrich.config import GhlSettings, QueueSettings
from leadenrich.core.job import JobState, Lane
from leadenrich.core.lead import Lead, fingerprint
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Receipt, Submission
from leadenrich.web.body import Body, read_json_body
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

RETRY_AFTER_S: Final = 5

_log: Final = structlog.get_logger(__name__)


def log_receipt(submission: Submission | None, receipt: Receipt) -> None:
    """The event as a log line; ids only. Without a submission: an event that is no lead of ours."""
    if submission is None:
        _log.info(receipt.verb, why=receipt.why)
        return
    lead = submission.lead
    _log.info(
        receipt.verb,
        job_id=receipt.job_id,
        contact_id=lead.contact_id,
        location_id=lead.location_id,
        lane=str(submission.lane),
        **({"why": receipt.why} if receipt.why else {}),
    )


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
        on_receipt: Callable[[Submission | None, Receipt], None] = log_receipt,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Raises: ValueError, when one of `ghl.public_keys` is no Ed25519 key."""
        self._intake = intake
        self._bytes_max = bytes_max
        self._body_s = body_s
        self._on_receipt = on_receipt
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
            return self._ignored(f"{clean(envelope.type)[:40]} is not a lead")
        event = decode(body.plain, SignedEvent)
        kind = LEAD_EVENTS[event.type]
        contact_id = an_id(event.contact_id if kind == "opportunity" else event.id, "The contact id")
        if not contact_id and kind == "opportunity":
            return self._ignored("the opportunity has no contact")
        location_id = _location(rules, contact_id, event.location_id)
        if location_id is None:
            return self._ignored("unknown location")
        lead = signed_lead(event, kind, contact_id, location_id, self._now_ms())
        delivery_id = an_id(event.webhook_id, "The webhook id")
        return await self._submit(
            Submission(lead, Lane.LIVE, delivery_id and f"wh:{delivery_id}", rules.delivery_window_s)
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
        told = event.location_id or (event.location.id if event.location else None)
        location_id = _location(rules, contact_id, told)
        lane = _lane(request)
        if location_id is None:
            return self._ignored("unknown location")
        lead = workflow_lead(event, contact_id, location_id)
        return await self._submit(Submission(lead, lane, _workflow_key(lead), rules.workflow_window_s))

    async def _read(self, request: web.Request) -> Body:
        return await read_json_body(request, bytes_max=self._bytes_max, seconds=self._body_s)

    async def _submit(self, submission: Submission) -> web.Response:
        try:
            receipt = await self._intake.submit(submission)
        except StoreUnavailable:
            # 429, not 503: HighLevel sends a 429 again under its old and its new rules.
            raise Refused(
                429, "The lead cannot be kept now; send it again.", headers={"Retry-After": str(RETRY_AFTER_S)}
            ) from None
        self._on_receipt(submission, receipt)
        return _answer(receipt)

    def _ignored(self, why: str) -> web.Response:
        receipt = Receipt("ignored", None, why)
        self._on_receipt(None, receipt)
        return _answer(receipt)


def _answer(receipt: Receipt) -> web.Response:
    match receipt.verb:
        case "queued":
            return _json(202, {"job_id": receipt.job_id, "status": JobState.QUEUED})
        case "duplicate":
            return _json(200, {"job_id": receipt.job_id, "duplicate": True})
        case "ignored":
            return _json(200, {"ignored": receipt.why or "nothing to do"})


def _json(status: int, members: dict[str, object]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(members), content_type="application/json")


def _bytes_of(body: Body) -> tuple[bytes, bytes]:
    """HighLevel signs what it says; a proxy on the way may have compressed it. Either is proof."""
    return body.sent, body.plain


def _location(rules: _Rules, contact_id: str, told: str | None) -> str | None:
    """The location of an event; None for one we do not serve.

    Raises: Refused 422, without a contact id, or where no location is told and several are configured.
    """
    if not contact_id:
        raise Refused(422, "The event has no contact id.")
    location_id = an_id(told, "The location id")
    if location_id:
        return location_id if location_id in rules.locations else None
    if len(rules.locations) != 1:
        raise Refused(422, "The event has no location id, and not exactly one location is configured.")
    return next(iter(rules.locations))


def _lane(request: web.Request) -> Lane:
    try:
        return Lane(request.query.get("lane") or Lane.LIVE)
    except ValueError:
        raise Refused(400, "lane must be live or bulk.") from None


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
