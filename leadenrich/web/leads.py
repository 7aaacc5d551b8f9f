"""POST /api/v1/leads: leads that a program brings, one as JSON or many as NDJSON.

An unknown location is an error here (422), where a webhook would be ignored: a program asked for it by name.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from leadenrich.config import GhlSettings, QueueSettings
from leadenrich.core.job import Lane
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Receipt, Submission
from leadenrich.web.access import Access
from leadenrich.web.body import media_type, read_json_body
from leadenrich.web.door import (
    LEAD_NEEDS,
    RETRY_AFTER,
    Door,
    Duplicate,
    Ignored,
    LaneQuery,
    OnReceipt,
    Queued,
    json_answer,
    lane_of,
    location_of,
    log_receipt,
)
from leadenrich.web.openapi import ACTS, REFUSED_ACT, REFUSED_BODY, Answer, Content, operation
from leadenrich.web.payload import WorkflowEvent, an_id, decode, workflow_lead
from leadenrich.web.ports import Intake
from leadenrich.web.problems import Problem, Refused, problem

NDJSON: Final = frozenset({"application/x-ndjson", "application/ndjson"})
GROUP: Final = 256  # lines at the store at the same time: as many as it takes in one call

_KEY: Final = re.compile(r"[ -~]{1,200}")


class LineAnswer(msgspec.Struct, omit_defaults=True):
    """What became of one line, numbered from 1: a new job, an existing one, or why there is none."""

    line: int
    job_id: str | None = None
    duplicate: bool = False
    spooled: bool = False
    error: str = ""


class LinesAnswer(msgspec.Struct):
    """What became of many leads. `leads` is in the order of the lines; empty lines are not in it."""

    accepted: int
    duplicates: int
    rejected: int
    leads: list[LineAnswer]


class LinesStopped(Problem):
    """Redis went away. Of many leads: what is known so far, and the first line that is not kept."""

    next_line: int | UnsetType = UNSET
    accepted: int | UnsetType = UNSET
    duplicates: int | UnsetType = UNSET
    rejected: int | UnsetType = UNSET
    leads: list[LineAnswer] | UnsetType = UNSET


class KeyHeader(msgspec.Struct):
    """Headers of the door."""

    key: Annotated[
        str | None,
        Meta(
            description="The same key within queue.delivery_window answers the same job, whatever the body says now. "
            "Without one, the same contact and address within queue.dedup_window is a duplicate.",
            extra_json_schema={"pattern": "^[ -~]{1,200}$"},
        ),
    ] = msgspec.field(default=None, name="Idempotency-Key")


EXAMPLE: Final = {
    "contact_id": "nmFmQEsNgz6AVpgLVUJ0",
    "location_id": "ve9EPM428h8vShlRW1KT",
    "address1": "742 Evergreen Ter",
    "city": "Springfield",
    "state": "IL",
    "postal_code": "62704",
}


@dataclass(frozen=True, slots=True)
class _Rules:
    """The settings in the form the checks need."""

    locations: frozenset[str]
    window_s: float


class LeadsDoor:
    """Needs the admin token. `configure` may be called again while it serves."""

    def __init__(
        self,
        intake: Intake,
        access: Access,
        ghl: GhlSettings,
        queue: QueueSettings,
        *,
        bytes_max: int,
        body_s: float,
        on_receipt: OnReceipt = log_receipt,
    ) -> None:
        self._door = Door(intake, on_receipt)
        self._access = access
        self._bytes_max = bytes_max
        self._body_s = body_s
        self.configure(ghl, queue)

    def configure(self, ghl: GhlSettings, queue: QueueSettings) -> None:
        self._rules = _Rules(frozenset(location.id for location in ghl.locations), queue.delivery_window)

    @operation(
        summary="Queues leads",
        description="One as a JSON object, answered as a webhook is; or many as NDJSON, one object a line, each "
        "answered for itself: a bad line stops no other. Sending all of it again queues nothing twice.",
        tag="leads",
        security=ACTS,
        query=LaneQuery,
        headers=KeyHeader,
        bodies={
            "application/json": Content((WorkflowEvent,), EXAMPLE, {WorkflowEvent: LEAD_NEEDS}),
            "application/x-ndjson": Content((str,), "\n".join([msgspec.json.encode(EXAMPLE).decode()] * 2)),
        },
        answers={
            202: Answer("The lead is kept.", (Queued,)),
            200: Answer("It was known, or there is nothing to do; or, of many, what became of each.",
                        (Duplicate, Ignored, LinesAnswer)),
        },
        refuses=REFUSED_ACT
        | REFUSED_BODY
        | {
            400: "The body, `lane` or Idempotency-Key is not what it must be.",
            422: "A member is not what it must be, or the location is none that is configured.",
            429: "The leads cannot be kept now (of many: from `next_line` on), or too many wrong tokens are waiting.",
        },
        problems={429: LinesStopped},
    )  # fmt: skip
    async def post(self, request: web.Request) -> web.Response:
        """One lead is answered as a webhook is. Of many each line is answered for itself: a bad one stops no other.

        The same `Idempotency-Key` (NDJSON: and line) within `queue.delivery_window` answers the same job, whatever
        the body says now. Without one, the same contact and address within `queue.dedup_window` is a duplicate.
        """
        body = await read_json_body(request, bytes_max=self._bytes_max, seconds=self._body_s, also=NDJSON)
        await self._access.admin(request)
        lane, key = lane_of(request), _delivery_key(request)
        if media_type(request) in NDJSON:
            return await self._many(body.plain, lane, key)
        return await self._door.answer(self._submission(body.plain, lane, key))

    async def _many(self, body: bytes, lane: Lane, key: str) -> web.Response:
        lines, told = _lines(body), LinesAnswer(0, 0, 0, [])
        while group := list(islice(lines, GROUP)):
            answers = await asyncio.gather(
                # A line feed is in no key: no line of this request meets another request's key.
                *(self._line(number, text, lane, key and f"{key}\n{number}") for number, text in group),
                return_exceptions=True,
            )
            if lost := _count(told, answers, [number for number, _ in group]):
                return _stopped_before(lost, told)
        return json_answer(200, told)

    async def _line(self, number: int, text: bytes, lane: Lane, key: str) -> LineAnswer:
        """Raises: StoreUnavailable."""
        try:
            submission = self._submission(text, lane, key)
        except Refused as refused:
            return LineAnswer(number, error=refused.detail)
        return _told(number, await self._door.take(submission))

    def _submission(self, body: bytes, lane: Lane, key: str) -> Submission:
        """Raises: Refused 400, 422."""
        rules, event = self._rules, decode(body, WorkflowEvent)
        contact_id = an_id(event.contact_id, "The contact id")
        location_id = location_of(rules.locations, contact_id, event.told_location)
        if location_id is None:
            raise Refused(422, f"The location {event.told_location} is none of ghl.locations.")
        lead = workflow_lead(event, contact_id, location_id, "api")
        return Submission(lead, lane, key, rules.window_s if key else 0.0)


def _delivery_key(request: web.Request) -> str:
    """`idem:` and the Idempotency-Key; "" without one. Raises: Refused 400."""
    told = request.headers.getall("Idempotency-Key", [])
    if not told:
        return ""
    if len(told) > 1 or not _KEY.fullmatch(told[0]):
        raise Refused(400, "Idempotency-Key must be one text of 1 to 200 printable ASCII characters.")
    return f"idem:{told[0]}"


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Numbered from 1; empty ones count and are left out."""
    return ((number, line) for number, line in enumerate(body.split(b"\n"), start=1) if line.strip())


def _told(number: int, receipt: Receipt) -> LineAnswer:
    if receipt.verb == "ignored":
        return LineAnswer(number, error=receipt.why or "nothing to do")
    return LineAnswer(number, receipt.job_id, duplicate=receipt.verb == "duplicate", spooled=receipt.spooled)


def _count(told: LinesAnswer, answers: Sequence[LineAnswer | BaseException], numbers: Sequence[int]) -> int:
    """Add a group's answers; the first line that the store did not take, or 0. Raises: what is no StoreUnavailable."""
    lost = 0
    for number, answer in zip(numbers, answers, strict=True):
        if isinstance(answer, StoreUnavailable):
            lost = lost or number
        elif isinstance(answer, BaseException):
            raise answer
        else:
            told.leads.append(answer)
            told.accepted += bool(answer.job_id) and not answer.duplicate
            told.duplicates += answer.duplicate
            told.rejected += bool(answer.error)
    return lost


def _stopped_before(line: int, told: LinesAnswer) -> web.Response:
    """429 with what is known so far, in the shape of the full answer."""
    detail = (
        f"The leads from line {line} on cannot be kept now, except those listed. Send all of it again: "
        "what is kept already is answered as a duplicate."
    )
    members = {"next_line": line, **msgspec.to_builtins(told)}
    return problem(429, detail, RETRY_AFTER, members)
