"""Jobs as CSV, streamed: as many as there are, a part at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

import msgspec
from aiohttp import web

from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.views import JobQuery
from leadenrich.web.ports import Views
from leadenrich.web.shown import JobShown, JobsShown, shown

_PART: Final = 50  # about 15 ms of work: leads that come in meanwhile are not kept waiting
COLUMNS: Final = (
    "job", "state", "outcome", "reason", "rules", "lane", "contact", "location", "tries", "credits", "came_in", "ended",
    "error",
)  # fmt: skip
PERSONAL: Final = ("name", "address", "phone", "email")
# What a spreadsheet takes for the beginning of a formula, also behind blanks, and as its full-width twins.
_FORMULA: Final = tuple("=+-@\t\r\n|％＝＋－＠")


async def send_csv(request: web.Request, views: Views, query: JobQuery, *, personal: bool) -> web.StreamResponse:
    """Every job that fits; who they are only where `personal`. Raises: StoreUnavailable before anything is sent; later
    the connection is cut, so that nobody takes a part for the whole."""
    query = msgspec.structs.replace(query, limit=_PART, cursor=None)
    part = shown(await views.jobs(query), JobsShown)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": 'attachment; filename="jobs.csv"',
        }
    )
    await response.prepare(request)
    try:
        await response.write(_lines([(*COLUMNS, *(PERSONAL if personal else ()))]))
        while True:
            await response.write(_lines([_row(job, personal) for job in part.jobs]))
            if part.next_cursor is None:
                break
            part = shown(await views.jobs(msgspec.structs.replace(query, cursor=part.next_cursor)), JobsShown)
        await response.write_eof()
    except StoreUnavailable:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # the reader is gone
    return response


def safe_cell(text: str) -> str:
    """What a spreadsheet would run as a formula, as text: OWASP's `'` in front."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def _row(job: JobShown, personal: bool) -> list[str]:
    credits = sum(step.credits for step in job.steps)
    cells = [
        job.id, job.state, job.outcome or "", job.reason or "", " ".join(job.disqualified_by), job.lane, job.contact_id,
        job.location_id, str(job.attempts_made), str(credits) if job.steps else "", job.created_at or "",
        job.finished_at or "", job.error or "",
    ]  # fmt: skip
    if personal:
        lead = job.lead
        name = job.title if job.title != job.contact_id else ""
        cells += [name, job.address, lead.phone if lead else "", lead.email if lead else ""]
    return [safe_cell(text) for text in cells]
