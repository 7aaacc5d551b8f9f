"""What every door for leads does: the location's rule, the lane, one call to the store, the answer."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Annotated, Any, Final, Literal

import msgspec
import structlog
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from leadenrich.core.job import Lane
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Receipt, Submission
from leadenrich.web.json_answer import JsonAnswer
from leadenrich.web.payload import ID, an_id
from leadenrich.web.ports import Intake
from leadenrich.web.problems import Refused

OnReceipt = Callable[[Submission | None, Receipt], None]


class Queued(msgspec.Struct):
    """The lead is kept, and this job will work it off."""

    job_id: str
    status: Literal["QUEUED"] = "QUEUED"
    spooled: Annotated[
        Literal[True] | UnsetType,
        Meta(description="Redis is away: the lead is on the daemon's own disk and becomes this job when it is back."),
    ] = UNSET


class Duplicate(msgspec.Struct):
    """The lead is known: this is the job that it became."""

    job_id: str
    duplicate: Literal[True] = True


class Ignored(msgspec.Struct):
    """There is nothing to do, and why. Sending it again changes nothing."""

    ignored: str


class LaneQuery(msgspec.Struct):
    """How urgent a lead is."""

    lane: Annotated[
        Lane, Meta(description="live leads go first; bulk ones get what is left, and every tenth turn.")
    ] = Lane.LIVE


# What a lead's body needs beyond its type. One without a location is of the only one that is configured.
AN_ID: Final[dict[str, Any]] = {"type": "string", "pattern": f"^{ID.pattern}$"}
ID_OR_NONE: Final[dict[str, Any]] = {"pattern": f"^$|^{ID.pattern}$"}
LEAD_NEEDS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["contact_id"],
    "properties": {"contact_id": AN_ID, "location_id": ID_OR_NONE},
}

RETRY_AFTER: Final = {"Retry-After": "5"}

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


class Door:
    """Hands leads to the store and tells what became of them."""

    def __init__(self, intake: Intake, on_receipt: OnReceipt = log_receipt) -> None:
        self._intake = intake
        self._on_receipt = on_receipt

    async def take(self, submission: Submission) -> Receipt:
        """Raises: StoreUnavailable."""
        receipt = await self._intake.submit(submission)
        self._on_receipt(submission, receipt)
        return receipt

    async def answer(self, submission: Submission) -> web.Response:
        """Raises: Refused 429."""
        try:
            return answer_of(await self.take(submission))
        except StoreUnavailable:
            # 429, not 503: HighLevel sends a 429 again under its old and its new rules.
            raise Refused(429, "The lead cannot be kept now; send it again.", headers=RETRY_AFTER) from None

    def ignore(self, why: str) -> web.Response:
        receipt = Receipt("ignored", None, why)
        self._on_receipt(None, receipt)
        return answer_of(receipt)


def answer_of(receipt: Receipt) -> web.Response:
    match receipt.verb:
        case "queued":
            return json_answer(202, Queued(receipt.job_id or "", spooled=True if receipt.spooled else UNSET))
        case "duplicate":
            return json_answer(200, Duplicate(receipt.job_id or ""))
        case "ignored":
            return json_answer(200, Ignored(receipt.why or "nothing to do"))


def json_answer(status: int, members: msgspec.Struct) -> web.Response:
    return JsonAnswer(status, members)


def location_of(served: Set[str], contact_id: str, told: str | None) -> str | None:
    """The location of a lead; None for one we do not serve.

    Raises: Refused 422, without a contact id, or where no location is told and several are configured.
    """
    if not contact_id:
        raise Refused(422, "There is no contact id.")
    location_id = an_id(told, "The location id")
    if location_id:
        return location_id if location_id in served else None
    if len(served) != 1:
        raise Refused(422, "There is no location id, and not exactly one location is configured.")
    return next(iter(served))


def lane_of(request: web.Request) -> Lane:
    """`?lane=`; live where it is not told. Raises: Refused 400."""
    try:
        return Lane(request.query.get("lane") or Lane.LIVE)
    except ValueError:
        raise Refused(400, "lane must be live or bulk.") from None
