"""The acting half of the API: jobs again or no more, the queue and the providers paused and resumed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from leadenrich.store.audit import ENTRY_ID, Actor, AuditPage
from leadenrich.store.errors import JobGone, StoreUnavailable, WrongState
from leadenrich.store.interventions import UNTOLD, CancelMany, CutOff, RetryMany, Tally, UnknownProvider
from leadenrich.store.views import BadCursor, JobView
from leadenrich.web.access import Access
from leadenrich.web.api import ID_IN_PATH, JOB_ID, NO_SUCH_JOB, away, shown
from leadenrich.web.body import read_json_body
from leadenrich.web.openapi import ACTS, LOOKS, REFUSED_ACT, REFUSED_BODY, REFUSED_LOOK, Answer, Content, operation
from leadenrich.web.payload import clean, decode
from leadenrich.web.ports import Operations, Views
from leadenrich.web.problems import Refused
from leadenrich.web.query import query_of

NAME_CHARS: Final = 60
BODY_BYTES: Final = 16_384

Told = TypeVar("Told", bound=msgspec.Struct)


class OperatorHeader(msgspec.Struct):
    """Who asks for an action."""

    operator: Annotated[
        str | None,
        Meta(description="Your name, for the audit log and the job's timeline; the address where there is none."),
    ] = msgspec.field(default=None, name="X-Operator")


class PauseOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Why; it is shown while the pause lasts."""

    reason: Annotated[str, Meta(max_length=300)] = ""


class Paused(msgspec.Struct):
    """How it stands now."""

    paused: Annotated[str | None, Meta(description="Why; null while work goes on.")]
    changed: Annotated[bool, Meta(description="false where it stood so already.")]


class AuditQuery(msgspec.Struct):
    """How much of the log."""

    limit: Annotated[int, Meta(ge=1, le=999_999, description="Most entries in the answer; above 200: 200.")] = 50
    cursor: Annotated[
        str | None,
        Meta(description="The next_cursor of an earlier answer.", extra_json_schema={"pattern": f"^{ENTRY_ID}$"}),
    ] = None


_JOB: Final[dict[str, Any]] = {
    "tag": "jobs",
    "security": ACTS,
    "headers": OperatorHeader,
    "path": ID_IN_PATH,
    "answers": {200: Answer("The job as it is now.", (JobView,))},
    "refuses": REFUSED_ACT | {404: NO_SUCH_JOB, 409: "The job is in a state that does not allow it."},
}
_MANY: Final[dict[str, Any]] = {
    "tag": "jobs",
    "security": ACTS,
    "headers": OperatorHeader,
    "answers": {200: Answer("How many it were.", (Tally,))},
    "refuses": REFUSED_ACT | REFUSED_BODY | {503: "Redis cannot be reached; what was done until then is in `detail`."},
}
_PAUSE: Final[dict[str, Any]] = {
    "tag": "queue",
    "security": ACTS,
    "headers": OperatorHeader,
    "bodies": {"application/json": Content((PauseOrder,), {"reason": "clean-up"})},
    "body_required": False,
    "answers": {200: Answer("It is paused.", (Paused,))},
    "refuses": REFUSED_ACT | REFUSED_BODY,
}
_RESUME: Final[dict[str, Any]] = {
    "tag": "queue",
    "security": ACTS,
    "headers": OperatorHeader,
    "answers": {200: Answer("Work goes on.", (Paused,))},
    "refuses": REFUSED_ACT,
}
_PROVIDER: Final[dict[str, Any]] = {
    "tag": "providers",
    "path": {
        "name": {
            "description": "realestateapi, or ghl: and a location's id.",
            "schema": {"type": "string"},
            "example": "realestateapi",
        }
    },
}
_NO_PROVIDER: Final = {404: "There is no provider of this name."}


class Actions:
    """Handlers that change something; each asks `access` for the admin token first, and leaves an audit entry."""

    def __init__(self, operations: Operations, views: Views, access: Access, *, body_s: float) -> None:
        self._do = operations
        self._views = views
        self._access = access
        self._body_s = body_s

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/jobs/retry", self.retry_many),
            web.post("/api/v1/jobs/cancel", self.cancel_many),
            web.post("/api/v1/jobs/{id}/retry", self.retry),
            web.post("/api/v1/jobs/{id}/cancel", self.cancel),
            web.post("/api/v1/queue/pause", self.pause_queue),
            web.post("/api/v1/queue/resume", self.resume_queue),
            web.post("/api/v1/providers/{name}/pause", self.pause_provider),
            web.post("/api/v1/providers/{name}/resume", self.resume_provider),
            web.get("/api/v1/audit", self.audit),
        ]

    @operation(
        summary="Runs a failed job again",
        description="From its last good step, with all its tries. What was bought already is not bought again.",
        **_JOB,
    )
    async def retry(self, request: web.Request) -> web.Response:
        return await self._one(request, self._do.interventions.retry)

    @operation(
        summary="Ends a waiting job",
        description="In FAILED_FINAL, with the reason cancelled. One that is being worked on is left alone.",
        **_JOB,
    )
    async def cancel(self, request: web.Request) -> web.Response:
        return await self._one(request, self._do.interventions.cancel)

    async def _one(self, request: web.Request, act: Callable[[str, Actor], Awaitable[None]]) -> web.Response:
        actor = await self._actor(request)
        job_id = request.match_info["id"]
        if not JOB_ID.fullmatch(job_id):
            raise Refused(404, NO_SUCH_JOB)
        try:
            await act(job_id, actor)
            view = await self._views.job(job_id)
        except JobGone:
            view = None
        except WrongState as error:
            raise Refused(409, _WRONG_STATE.get(str(error), f"The job cannot do that now: {error}.")) from None
        except StoreUnavailable:
            raise away() from None
        if view is None:
            raise Refused(404, NO_SUCH_JOB)
        return shown(view)

    @operation(
        summary="Runs failed jobs again",
        description="Those that fit the filter, a bounded number a call: while next_cursor is told, ask again with it.",
        bodies={"application/json": Content((RetryMany,), {"reason": "attempts_exhausted", "dry_run": True})},
        **_MANY,
    )
    async def retry_many(self, request: web.Request) -> web.Response:
        return await self._many(request, RetryMany, self._do.interventions.retry_many)

    @operation(
        summary="Ends waiting jobs",
        description="Those that fit the filter, a bounded number a call: while next_cursor is told, ask again with it.",
        bodies={"application/json": Content((CancelMany,), {"lane": "bulk", "dry_run": True})},
        **_MANY,
    )
    async def cancel_many(self, request: web.Request) -> web.Response:
        return await self._many(request, CancelMany, self._do.interventions.cancel_many)

    async def _many(
        self, request: web.Request, kind: type[Told], act: Callable[[Told, Actor], Awaitable[Tally]]
    ) -> web.Response:
        actor = await self._actor(request)
        body = await read_json_body(request, bytes_max=BODY_BYTES, seconds=self._body_s)
        try:
            return shown(await act(decode(body.plain, kind), actor))
        except BadCursor:
            raise Refused(422, "cursor must be a next_cursor of an earlier answer.") from None
        except CutOff as error:
            raise Refused(503, f"{error}: send it again.", headers={"Retry-After": "5"}) from None
        except StoreUnavailable:
            raise away() from None

    @operation(
        summary="Stops taking jobs",
        description="For every daemon on the queue and across restarts, until it is resumed. What is being worked on "
        "ends; webhooks are still kept.",
        **_PAUSE,
    )
    async def pause_queue(self, request: web.Request) -> web.Response:
        actor, reason = await self._actor(request), await self._reason(request)
        try:
            return shown(Paused(reason, await self._do.controls.pause_queue(reason, actor)))
        except StoreUnavailable:
            raise away() from None

    @operation(summary="Takes jobs again", **_RESUME)
    async def resume_queue(self, request: web.Request) -> web.Response:
        actor = await self._actor(request)
        try:
            return shown(Paused(None, await self._do.controls.resume_queue(actor)))
        except StoreUnavailable:
            raise away() from None

    @operation(
        summary="Stops calling a vendor",
        description="For every daemon on the queue and across restarts, until it is resumed. Leads that need it wait.",
        **(_PAUSE | _PROVIDER | {"refuses": _PAUSE["refuses"] | _NO_PROVIDER}),
    )
    async def pause_provider(self, request: web.Request) -> web.Response:
        actor, reason = await self._actor(request), await self._reason(request)
        return await self._provider(
            reason, self._do.controls.pause_provider(clean(request.match_info["name"]), reason, actor)
        )

    @operation(
        summary="Calls a vendor again",
        description="Whoever paused it: also after a wrong key, or when its records had changed.",
        **(_RESUME | _PROVIDER | {"refuses": _RESUME["refuses"] | _NO_PROVIDER}),
    )
    async def resume_provider(self, request: web.Request) -> web.Response:
        actor = await self._actor(request)
        return await self._provider(None, self._do.controls.resume_provider(clean(request.match_info["name"]), actor))

    async def _provider(self, reason: str | None, acted: Awaitable[bool]) -> web.Response:
        try:
            return shown(Paused(reason, await acted))
        except UnknownProvider as error:
            raise Refused(404, f"There is no such provider: {error}.") from None
        except StoreUnavailable:
            raise away() from None

    @operation(
        summary="Shows who did what",
        description="The newest 10,000 actions on the queue, by the API and at a shell, the newest first.",
        tag="audit",
        security=LOOKS,
        query=AuditQuery,
        answers={200: Answer("A part of the log.", (AuditPage,))},
        refuses=REFUSED_LOOK | {400: "A parameter is unknown, or not what it must be."},
    )
    async def audit(self, request: web.Request) -> web.Response:
        await self._access.role(request)
        query = query_of(request, AuditQuery)
        try:
            return shown(await self._do.audit.read(limit=query.limit, cursor=query.cursor))
        except BadCursor:
            raise Refused(400, "cursor must be a next_cursor of an earlier answer.") from None
        except StoreUnavailable:
            raise away() from None

    async def _actor(self, request: web.Request) -> Actor:
        """Raises: Refused 401, 403."""
        await self._access.admin(request)
        told = request.headers.get("X-Operator", "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        name = clean(told)[:NAME_CHARS]
        return Actor("admin", name or request.remote or "unknown")

    async def _reason(self, request: web.Request) -> str:
        """A body may be left out. Raises: Refused 400, 408, 413, 415, 422."""
        if not request.can_read_body:
            return UNTOLD
        body = await read_json_body(request, bytes_max=BODY_BYTES, seconds=self._body_s)
        return " ".join(clean(decode(body.plain, PauseOrder).reason).split()) or UNTOLD


_WRONG_STATE: Final = {
    "wrong_state": "The job is in a state that does not allow it: failed jobs can be retried, waiting ones cancelled.",
    "no_payload": "The lead itself is kept no longer (queue.payload_retention): send it again.",
}
