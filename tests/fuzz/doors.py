"""What senders and people bring: webhooks and their headers, addresses, cursors."""

from __future__ import annotations

import asyncio
import atexit
import gzip
from collections.abc import Coroutine, Sequence
from functools import cache
from typing import Any, get_args
from unittest.mock import Mock
from urllib.parse import quote

import msgspec
from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from fuzz.target import files, joined, parts, target
from leadenrich.config import GhlSettings, LocationSettings, QueueSettings
from leadenrich.config.secret import Secret
from leadenrich.core.address import (
    AddressRejected,
    as_postal,
    long_form,
    normalise,
    one_line,
    same_place,
)
from leadenrich.core.lead import EventKind, Lead, PostalAddress, fingerprint
from leadenrich.sandbox.keys import SandboxKeys
from leadenrich.store.queue import Receipt, Submission
from leadenrich.store.schema import Keys
from leadenrich.store.views import BadCursor, JobQuery, Views
from leadenrich.web.payload import (
    Envelope,
    SignedEvent,
    WorkflowEvent,
    custom_secret,
    decode,
    signed_lead,
    workflow_lead,
)
from leadenrich.web.problems import Refused
from leadenrich.web.signature import PUBLISHED_KEY, SIGNATURE_HEADER, Verifier
from leadenrich.web.webhook import WebhookDoor

NOON_MS = 1_795_435_200_000  # 2026-11-23T12:00:00Z
BODIES = files("webhooks")
LOCATION = "ve9EPM428h8vShlRW1KT"
TOKEN = "a-shared-token"
KEYS = SandboxKeys()
SILENT: Any = Mock(_reading_paused=False)  # the connection below a request
WORDS = """
type ContactCreate ContactUpdate ContactTagUpdate ContactDelete OpportunityCreate locationId id contactId webhookId
timestamp address1 postalCode tags customFields customData secret contact_id location workflow_id full_address value
2026-11-23T12:00:00.000Z 0001-01-01 9999-12-31T23:59:59Z
"""


@target(Refused, samples=BODIES, words=WORDS)
def webhook_payload(data: bytes) -> None:
    """Any body gives leads that can be kept and read back, or is refused."""
    assert isinstance(custom_secret(data), str)
    decode(data, Envelope)
    leads = [workflow_lead(decode(data, WorkflowEvent), "c", "l")]
    event = decode(data, SignedEvent)
    leads += [signed_lead(event, kind, "c", "l", NOON_MS) for kind in get_args(EventKind)]
    for lead in leads:
        assert lead == msgspec.json.decode(msgspec.json.encode(lead), type=Lead)
        assert 0 <= lead.event_ms <= NOON_MS + 300_000
        fingerprint(lead.address).encode()


class Tray:
    """Takes every lead."""

    async def submit(self, submission: Submission) -> Receipt:
        msgspec.json.encode(submission)
        return Receipt("queued", "1")


@cache
def _door() -> WebhookDoor:
    ghl = GhlSettings(
        public_keys=(KEYS.public_pem,), webhook_token=Secret(TOKEN), locations=(LocationSettings(id=LOCATION),)
    )
    return WebhookDoor(
        Tray(), ghl, QueueSettings(), bytes_max=4096, body_s=5.0, on_receipt=lambda *_: None, now_ms=lambda: NOON_MS
    )


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One for all inputs: a new one each costs more than all that is tried."""
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def _request(path: str, headers: Sequence[tuple[str, str]], body: bytes) -> web.Request:
    """A request as aiohttp hands it on, without a connection."""
    multi = CIMultiDictProxy(CIMultiDict(headers))
    raw = tuple((name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers)
    url = URL(path, encoded=True)
    message = RawRequestMessage("POST", path, HttpVersion11, multi, raw, False, None, False, False, url)
    loop = asyncio.get_running_loop()
    reader = StreamReader(SILENT, 2**16, loop=loop)
    reader.feed_data(body)
    reader.feed_eof()
    return web.Request(message, reader, SILENT, SILENT, SILENT, loop, client_max_size=0)


def _doors_samples() -> list[bytes]:
    json, token = "application/json", TOKEN
    return [
        *(joined("workflow", json, "identity", token, "", body) for body in BODIES),
        *(joined("signed", json, "identity", "", "", body) for body in BODIES),
        joined("workflow", f"{json}; charset=utf-8", "gzip", "", token, gzip.compress(BODIES[-1], mtime=0)),
    ]


def _header(text: bytes) -> str:
    """As aiohttp's parser hands it on: without what ends a header, UTF-8 or not."""
    return text.translate(None, b"\r\n\0").decode("utf-8", "surrogateescape").strip()


@target(Refused, samples=_doors_samples(), words=f"{WORDS} signed workflow gzip deflate application/json {TOKEN}")
def webhook_doors(data: bytes) -> None:
    """Any request gets an answer. The signature is right, so that what is behind it is met."""
    which, kind, encoding, header, query, body = parts(data, 6)
    headers = [("Content-Type", _header(kind)), ("Content-Encoding", _header(encoding))]
    headers += [("X-Webhook-Token", _header(header)), ("Authorization", f"Bearer {_header(header)}")]
    if which == b"signed":
        headers.append((SIGNATURE_HEADER, KEYS.sign(body)))

    async def knock() -> web.Response:
        handle = _door().signed if which == b"signed" else _door().workflow
        request = _request(f"/webhooks/ghl?lane={quote(query)}&token={quote(query)}", headers, body)
        return await handle(request)

    assert _loop().run_until_complete(knock()).status in (200, 202)


@target(
    ValueError,
    samples=[joined(PUBLISHED_KEY, KEYS.sign(b"body"), b"body"), joined(KEYS.public_pem, "A" * 86 + "==", b"")],
    words="-----BEGIN -----END PUBLIC KEY----- RSA CERTIFICATE MCowBQYDK2VwAyEA AAAA== = A",
)
def signature(data: bytes) -> None:
    """Nothing is accepted that was not signed; a key is one or is refused."""
    pem, signature, body = parts(data, 3)
    told = signature.decode("utf-8", "surrogateescape")
    assert not Verifier().accepts([told], body, data)
    assert not Verifier([KEYS.public_pem]).accepts([told], body + b"!")
    Verifier([pem.decode("utf-8", "replace")]).accepts([told], body)


HOMES = """
742 Evergreen Ter|Springfield|IL|62704||
100 1/2 N Main St Apt 4B|St. Louis|Missouri|63101-1234|US|
||||| 1600 Pennsylvania Ave NW, Washington, DC 20500
5 Ave of the Americas #12, New York NY 10001|New York|NY|||
PO Box 12|Dallas|TX|75201||
W7373 County Road 12345|Dallas|TX|||
12 Main St & 5th Ave|Dallas|TX|75201|USA|
""".strip().splitlines()


@target(
    AddressRejected,
    samples=[line.replace("|", "\x1f").encode() for line in HOMES],
    words="""PO BOX RR HC Unit Apt # & 1/2 ½ , ; St Street Ave N SW TX 75201 APO AA Rear PH County 5th 0 USA
    Canada z:97203""",
)
def address(data: bytes) -> None:
    """Any text is an address with one key, or is rejected."""
    texts = [part.decode("utf-8", "replace") for part in parts(data, 6)]
    typed = PostalAddress(*texts)
    fingerprint(typed)
    found = normalise(typed)
    assert normalise(as_postal(found)).key == found.key
    one_line(found)
    long_form(found)
    same_place(found, house=texts[0], zip5=texts[3], city=texts[1], state=texts[2])


class EmptyStore:
    """Holds nothing: what is tried is how far a cursor gets."""

    script_flags: tuple[str, ...] = ()

    async def execute(self, command: str, *_: object) -> list[bytes] | int | None:
        answers: dict[str, list[bytes] | int | None] = {"LLEN": 0, "LPOS": None, "LINDEX": None}
        return answers.get(command, [])


def _finished(work: Coroutine[Any, Any, object]) -> None:
    """Runs what waits for nothing."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


@target(BadCursor, samples=[b"0.50", b"6.0", b"4.1700000000000.0a", b"0..0a", b""], words="0 1 6 . 99999999999 -1 +1")
def cursor(data: bytes) -> None:
    """A cursor is one of ours or none."""
    store: Any = EmptyStore()
    query = JobQuery(cursor=data.decode("utf-8", "replace"))
    _finished(Views(store, Keys("q")).jobs(query))
