"""What the search box found, as sentences: who, when, what happened."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode

import msgspec

from leadenrich.store.switches import Pause
from leadenrich.web.access import Session
from leadenrich.web.frame import framed, moment, state_of
from leadenrich.web.shown import JobShown
from leadenrich.web.story import headline


class FindingsShown(msgspec.Struct):
    """`before` is the job that an earlier part ended with; "" for the first part."""

    asked: str
    before: str
    jobs: list[JobShown]
    looked_at: int
    older: str


def search_page(found: FindingsShown, pauses: Mapping[str, Pause], visitor: Session) -> str:
    content = f"""<section aria-labelledby="found"><h2 id="found">{escape(_count(found))}</h2>
<ol class="found">{"".join(_finding(job, pauses) for job in found.jobs)}</ol>
{_further(found)}</section>"""
    return framed("Search", "Search", content if found.asked else _HELP, visitor, asked=found.asked)


_HELP = """<section aria-labelledby="help"><h2 id="help">How to search</h2>
<p>Type into the box above what you know of a lead: its phone in any form, its e-mail, its name, its
address, the contact's id or the job's. Names and addresses may be told in part.</p></section>"""


def _count(found: FindingsShown) -> str:
    many = len(found.jobs)
    where = "older leads" if found.before else "the leads that are kept"
    if not many:
        return f"None of {where} fits “{found.asked}”" if not found.older else f"Nothing yet fits “{found.asked}”"
    if many == 1:
        return f"1 lead fits “{found.asked}”"
    newest = "The newest " if found.older else ""
    return f"{newest}{many} leads that fit “{found.asked}”"


def _finding(job: JobShown, pauses: Mapping[str, Pause]) -> str:
    about = ", ".join(part for part in (job.address, job.lead.phone if job.lead else "", _email(job)) if part)
    return f"""<li><p><a href="/jobs/{escape(job.id)}">{escape(job.title or job.id)}</a> {state_of(job.state)}
<span class="dim">came in {moment(job.created_at)} UTC</span></p>
<p>{escape(headline(job, pauses=pauses))}</p>
<p class="dim">{escape(about)}</p></li>"""


def _email(job: JobShown) -> str:
    return job.lead.email if job.lead else ""


def _further(found: FindingsShown) -> str:
    looked = f"Looked at {found.looked_at:,} leads"
    if not found.older:
        end = "that was all" if not found.before else "the oldest is among them"
        gone = " Of what ended long ago nothing but its fate is kept." if not found.jobs else ""
        return f'<p class="dim">{looked}: {end}.{gone}</p>'
    address = urlencode({"q": found.asked, "before": found.older})
    return f'<p class="dim">{looked}. <a href="/search?{escape(address)}" rel="next">Look further back</a></p>'
