"""The pages about jobs: the list, one lead, and what is done to one, to the chosen or to all that fit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from leadenrich.core.job import TERMINAL, JobState
from leadenrich.store.audit import Actor
from leadenrich.store.errors import JobGone, WrongState
from leadenrich.store.interventions import CancelMany, CutOff, RetryMany, Tally
from leadenrich.store.views import BadCursor, JobPage, JobQuery
from leadenrich.web.access import Session
from leadenrich.web.api import JOB_ID, NO_SUCH_JOB
from leadenrich.web.csv_export import send_csv
from leadenrich.web.in_force import InForce, Unknown
from leadenrich.web.job_choice import filter_of, query_told, same_filter
from leadenrich.web.job_page import WAITING, LeadShown, job_page, payload_of
from leadenrich.web.jobs_page import VERBS, Verb, confirm_page, jobs_page
from leadenrich.web.ports import Operations, Views
from leadenrich.web.problems import Refused
from leadenrich.web.shown import JobShown, JobsShown, shown
from leadenrich.web.visitors import Deed, Handler, Page, Visitors

if TYPE_CHECKING:
    from leadenrich.enrich.hindsight import Hindsight

NEWEST_JOBS: Final = 25
CHOSEN_MAX: Final = 200
COUNTED_MAX: Final = 5_000
BATCH: Final = 1_000  # of one call, and five calls of one form: then it asks again
_BATCHES: Final = 5
_MASK: Final = "********"
_MANY: Final[dict[Verb, type[RetryMany] | type[CancelMany]]] = {"retry": RetryMany, "cancel": CancelMany}
_DONE: Final[dict[Verb, str]] = {"retry": "run again", "cancel": "cancelled"}
_REFUSED: Final = {
    "wrong_state": "The job is in another state by now: failed jobs can be retried, waiting ones cancelled.",
    "no_payload": "The lead itself is kept no longer (queue.payload_retention): send it again.",
}


class JobDesk:
    """Handlers; who may do what is the visitors' matter."""

    def __init__(self, views: Views, operations: Operations, in_force: InForce) -> None:
        self._views = views
        self._do = operations
        self._in_force = in_force

    def routes(self, visitors: Visitors) -> list[web.RouteDef]:
        page: Callable[..., Handler] = visitors.page
        act: Callable[..., Handler] = visitors.act
        return [
            web.get("/jobs", page(self.jobs)),
            web.get("/jobs.csv", page(self.csv)),
            web.get("/jobs/confirm", page(self.confirm)),
            web.post("/jobs/act", act(self.act)),
            web.get("/jobs/{id}", page(self.job)),
            web.post("/jobs/{id}/retry", act(self.retry)),
        ]

    async def jobs(self, request: web.Request, visitor: Session) -> Page:
        query = msgspec.structs.replace(query_told(request), limit=NEWEST_JOBS)
        jobs = await self._found(query) if filter_of(query) or query.cursor else await self._newest()
        return jobs_page(jobs, query, visitor)

    async def csv(self, request: web.Request, visitor: Session) -> Page:
        return await send_csv(request, self._views, query_told(request), personal=visitor.role == "admin")

    async def _found(self, query: JobQuery) -> JobsShown:
        return shown(await self._views.jobs(query), JobsShown)

    async def _newest(self) -> JobsShown:
        """Of all states together: the store's own order would show no success while there are failures."""
        each = [self._views.jobs(JobQuery(state=state, limit=NEWEST_JOBS)) for state in JobState]
        jobs = {
            job.id: job for part in await asyncio.gather(*each) for job in part.jobs
        }  # one may have moved meanwhile
        newest = [jobs[job_id] for job_id in sorted(jobs, reverse=True)[:NEWEST_JOBS]]
        return shown(JobPage(newest, None), JobsShown)

    async def job(self, request: web.Request, visitor: Session) -> Page:
        job = await self._job(request.match_info["id"])
        if job is None:
            raise Refused(404, NO_SUCH_JOB)
        hindsight = await self._hindsight(job)
        sentences = {rule.code: rule.sentence() for rule in self._in_force.rules.rules if rule.enabled}
        why = {rule.code: rule.why.partition(";")[0] for rule in self._in_force.rules.rules}
        pauses = await self._views.pauses() if job.state in WAITING else {}
        return job_page(LeadShown(job, hindsight, self._payload(job, visitor), sentences, why, pauses), visitor)

    async def _job(self, job_id: str) -> JobShown | None:
        found = await self._views.job(job_id) if JOB_ID.fullmatch(job_id) else None
        return shown(found, JobShown) if found is not None else None

    async def _hindsight(self, job: JobShown) -> Hindsight | str:
        if job.state not in TERMINAL:
            return "the job has not ended"
        ended = datetime.fromisoformat(job.finished_at) if job.finished_at else datetime.now(UTC)
        try:
            return await self._in_force.look_back(job, ended)
        except Unknown as why_not:
            return str(why_not)

    def _payload(self, job: JobShown, visitor: Session) -> str:
        """The lead as JSON. Secrets never; personal data, and custom fields (their ids tell nothing) to admins only."""
        members = dict(payload_of(job))
        if not members:
            return ""
        personal = visitor.role != "admin"
        if personal:
            members |= {name: _MASK for name in ("name", "address", "custom_fields") if members.get(name)}
        cleaned = self._in_force.redactor.fields(members, personal=personal)
        return msgspec.json.format(msgspec.json.encode(cleaned), indent=2).decode()

    async def retry(self, request: web.Request, deed: Deed) -> Page:
        job_id = request.match_info["id"]
        if not JOB_ID.fullmatch(job_id):
            raise Refused(404, NO_SUCH_JOB)
        try:
            await self._do.interventions.retry(job_id, deed.actor)
        except JobGone:
            raise Refused(404, NO_SUCH_JOB) from None
        except WrongState as error:
            raise Refused(409, _REFUSED.get(str(error), f"The job cannot do that now: {error}.")) from None
        return deed.done("It runs again, from its last good step.", f"/jobs/{job_id}")

    async def confirm(self, request: web.Request, visitor: Session) -> Page:
        verb = _verb(request.query.get("do", ""))
        if not visitor.may_act:
            raise Refused(403, "This log-in looks without touching: log in with server.admin_token to act.")
        ids = [job_id for job_id in request.query.getall("id", []) if JOB_ID.fullmatch(job_id)]
        if ids:
            jobs = [job for job_id in dict.fromkeys(ids[:CHOSEN_MAX]) if (job := await self._job(job_id)) is not None]
            fitting = [job for job in jobs if job.state in _states(verb)]
            return confirm_page(verb, visitor, await self._counted(verb, fitting), jobs=fitting)
        if "from" in request.query:
            raise Refused(400, "No job was chosen: tick those that are meant.")
        query = query_told(request)
        tally = await self._many(verb, query, visitor_actor(visitor), dry_run=True, limit=COUNTED_MAX)
        return confirm_page(verb, visitor, tally, query=query)

    async def _counted(self, verb: Verb, chosen: Sequence[JobShown]) -> Tally:
        """What the store tells of all that fit a filter, of the chosen ones."""
        tally = Tally(
            matched=len(chosen), reasons=dict(Counter(job.reason for job in chosen if job.reason).most_common())
        )
        if verb == "cancel":
            tally.failures_removed = await self._do.interventions.at_stake(len(chosen))
        return tally

    async def act(self, request: web.Request, deed: Deed) -> Page:
        verb = _verb(deed.form.text("do"))
        if not deed.form.text("all"):
            return await self._act_on_chosen(verb, deed)
        query = _query_of(deed)
        cursor, sum_up = deed.form.text("cursor") or None, Tally()
        for _ in range(_BATCHES):
            tally = await self._many(verb, msgspec.structs.replace(query, cursor=cursor), deed.actor, limit=BATCH)
            sum_up.done += tally.done
            sum_up.skipped += tally.skipped
            sum_up.failures_removed += tally.failures_removed
            cursor = tally.next_cursor
            if cursor is None:
                return deed.done(_told(verb, sum_up), _back(query))
        left = await self._many(
            verb, msgspec.structs.replace(query, cursor=cursor), deed.actor, dry_run=True, limit=COUNTED_MAX
        )
        return confirm_page(
            verb, deed.session, left, query=query, cursor=cursor or "", so_far=_told(verb, sum_up),
        )  # fmt: skip

    async def _act_on_chosen(self, verb: Verb, deed: Deed) -> Page:
        one = self._do.interventions.retry if verb == "retry" else self._do.interventions.cancel
        ids = [job_id for job_id in deed.form.get("id", []) if JOB_ID.fullmatch(job_id)][:CHOSEN_MAX]
        if not ids:
            raise Refused(400, "No job was chosen: tick those that are meant.")
        tally = Tally()
        for job_id in dict.fromkeys(ids):
            if await _was_done(one(job_id, deed.actor)):
                tally.done += 1
            else:
                tally.skipped += 1
        return deed.done(_told(verb, tally), f"/jobs/{ids[0]}" if len(ids) == 1 else "/jobs")

    async def _many(self, verb: Verb, query: JobQuery, actor: Actor, *, limit: int, dry_run: bool = False) -> Tally:
        """Raises: Refused 400, 503."""
        members = same_filter(query) | {"dry_run": dry_run, "limit": limit, "cursor": query.cursor}
        if query.state is not None:
            members["state"] = query.state.value
        try:
            wanted = msgspec.convert(msgspec.to_builtins(members), _MANY[verb])
        except msgspec.ValidationError:
            raise Refused(400, f"No job in the state {query.state} can be {_DONE[verb]}.") from None
        try:
            if isinstance(wanted, RetryMany):
                return await self._do.interventions.retry_many(wanted, actor)
            return await self._do.interventions.cancel_many(wanted, actor)
        except BadCursor:
            raise Refused(400, "This address is out of date: search again.") from None
        except CutOff as error:
            raise Refused(503, f"{error}: send it again.", headers={"Retry-After": "5"}) from None


def visitor_actor(visitor: Session) -> Actor:
    """Who counts; counting leaves no entry in the audit log."""
    return Actor("admin", visitor.name)


async def _was_done(acted: Awaitable[None]) -> bool:
    try:
        await acted
    except (JobGone, WrongState):
        return False
    return True


def _verb(told: str) -> Verb:
    """Raises: Refused 400."""
    if told not in VERBS:
        raise Refused(400, "Nothing like that can be done to jobs: retry and cancel can.")
    return told


def _states(verb: Verb) -> tuple[str, ...]:
    return (JobState.FAILED_FINAL,) if verb == "retry" else WAITING


def _query_of(deed: Deed) -> JobQuery:
    """The filter that a form carries. Raises: Refused 400."""
    told = {
        name: deed.form.text(name)
        for name in JobQuery.__struct_fields__
        if name not in ("limit", "cursor") and deed.form.text(name)
    }
    try:
        return msgspec.convert(told, JobQuery)
    except msgspec.ValidationError:
        raise Refused(400, "The form cannot be read: search again.") from None


def _told(verb: Verb, tally: Tally) -> str:
    said = f"{tally.done:,} job{'' if tally.done == 1 else 's'} {_DONE[verb]}."
    if tally.skipped:
        said += f" {tally.skipped:,} were gone, or in another state by then."
    if lost := tally.failures_removed:
        said += f" {lost:,} older failure{'' if lost == 1 else 's'} removed to make room (queue.keep_failed)."
    return said


def _back(query: JobQuery) -> str:
    """To the list without state and failure: those that were meant are in another state now."""
    left = {
        name: value
        for name, value in filter_of(query).items()
        if name not in ("state", "reason", "failure", "ended_since")
    }
    return f"/jobs?{urlencode(left)}" if left else "/jobs"
