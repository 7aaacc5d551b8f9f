"""The settings' page, and the try of other rules: read as the configuration is, judged by bought records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from aiohttp import web

from leadenrich.core.job import JobState
from leadenrich.store.views import JobQuery
from leadenrich.web.access import Session
from leadenrich.web.api import JOB_ID, NO_SUCH_JOB
from leadenrich.web.in_force import InForce, Unknown
from leadenrich.web.ports import Views
from leadenrich.web.problems import Refused
from leadenrich.web.settings_page import TEXT_CHARS, Retold, Try, settings_page
from leadenrich.web.shown import JobShown, JobsShown, shown
from leadenrich.web.visitors import Deed, Page, Visitors

if TYPE_CHECKING:
    from leadenrich.enrich.rules import RuleSet

NEWEST_LEADS: Final = 50


class SettingsDesk:
    """Handlers; who may do what is the visitors' matter."""

    def __init__(self, views: Views, in_force: InForce) -> None:
        self._views = views
        self._in_force = in_force

    def routes(self, visitors: Visitors) -> list[web.RouteDef]:
        return [
            web.get("/settings", visitors.page(self.settings)),
            web.post("/settings/try", visitors.act(self.try_rules)),
        ]

    async def settings(self, request: web.Request, visitor: Session) -> Page:
        job_id = request.query.get("job", "")
        return settings_page(self._in_force, Try(job_id=job_id if JOB_ID.fullmatch(job_id) else ""), visitor)

    async def try_rules(self, request: web.Request, deed: Deed) -> Page:
        text = deed.form.text("rules").replace("\r\n", "\n")[:TEXT_CHARS]
        job_id = deed.form.text("job").strip()
        rules, faults = self._read(text)
        if rules is None:
            return settings_page(self._in_force, Try(text, job_id, faults), deed.session)
        jobs = await self._leads(job_id)
        now = datetime.now(UTC)
        leads = [await self._retold(job, now, rules) for job in jobs]
        return settings_page(self._in_force, Try(text, job_id, (), leads, done=True), deed.session)

    def _read(self, text: str) -> tuple[RuleSet | None, list[tuple[str, str]]]:
        from leadenrich.config.rules_text import read_rules_text
        from leadenrich.enrich.faults import SettingFaults

        entries, faults = read_rules_text(text)
        told = [(fault.key, fault.message) for fault in faults]
        try:
            rules = self._in_force.rules_with(entries)
        except SettingFaults as wrong:
            return None, told + list(wrong.faults)
        except RecursionError:
            return None, [*told, ("rules", "are nested too deeply")]
        return (None, told) if told else (rules, [])

    async def _leads(self, job_id: str) -> list[JobShown]:
        """The one that is meant, or the newest that succeeded. Raises: Refused 404."""
        if not job_id:
            newest = await self._views.jobs(JobQuery(state=JobState.SUCCEEDED, limit=NEWEST_LEADS))
            return shown(newest, JobsShown).jobs
        found = await self._views.job(job_id) if JOB_ID.fullmatch(job_id) else None
        if found is None:
            raise Refused(404, NO_SUCH_JOB)
        return [shown(found, JobShown)]

    async def _retold(self, job: JobShown, now: datetime, rules: RuleSet) -> Retold:
        was = job.outcome or job.state
        try:
            return Retold(job.id, job.title, was, await self._in_force.look_back(job, now, rules))
        except Unknown as why_not:
            return Retold(job.id, job.title, was, str(why_not))
