"""Which jobs a page is about: its filter, as it stands in addresses and forms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Final

import msgspec
from aiohttp import web
from multidict import MultiDict

from leadenrich.core.job import JobState, Lane, Outcome, Reason
from leadenrich.store.job_list import Failures, JobFilter
from leadenrich.store.views import JobQuery
from leadenrich.web.api import job_query

TIMES: Final = ("since", "until", "ended_since")
_NO_ZONE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?", re.ASCII)
_NAMES: Final = ("q", "state", "lane", "reason", "failure", "outcome", "contact", "location", *TIMES)
_SINCE: Final = {"since": "since", "until": "before", "ended_since": "ended since"}
_LABELS: Final = {"q": "text", "contact": "contact", "location": "location"}


def query_told(request: web.Request) -> JobQuery:
    """The filter of an address. Browsers' time fields know no zone, and rarely seconds: theirs is UTC.

    Raises: Refused 400.
    """
    told = MultiDict(request.query)
    for name in TIMES:
        if _NO_ZONE.fullmatch(told.get(name, "")):
            told[name] += "Z" if told[name].count(":") == 2 else ":00Z"
    return job_query(request.clone(rel_url=request.rel_url.with_query(told)))


def filter_of(query: JobQuery) -> dict[str, str]:
    """The members of a query that choose; as they stand in the address."""
    return {name: _text(value) for name in _NAMES if (value := getattr(query, name))}


def same_filter(query: JobQuery) -> dict[str, object]:
    """The members but the state, for what acts on all jobs that fit."""
    return {name: getattr(query, name) for name in JobFilter.__struct_fields__}


def in_words(query: JobQuery) -> str:
    """`FAILED_FINAL, attempts_exhausted, since 2026-11-24 07:28 UTC`; "" for no filter."""
    return ", ".join(_said(query))


def hidden(members: Mapping[str, str]) -> str:
    """Fields of a form, as HTML."""
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in members.items()
    )


def filter_form(query: JobQuery) -> str:
    """The form of the list, as HTML."""
    rare = ("outcome", "reason", "failure", "lane", "contact", "location", *TIMES)
    is_open = " open" if any(getattr(query, name) for name in rare) else ""
    clear = '<a href="/jobs">Show all</a>' if filter_of(query) else ""
    return f"""<form method="get" action="/jobs" class="search">
<p><label for="q">Name, address, phone, e-mail or id</label>
<input id="q" name="q" type="search" value="{escape(query.q or "")}"></p>
{_select("state", "State", JobState, query.state)}
<p><button>Find</button> {clear}</p>
<details{is_open}><summary>More to filter by</summary><div class="search">
{_select("outcome", "Outcome", Outcome, query.outcome)}
{_select("reason", "Reason of a failure", Reason, query.reason)}
{_select("failure", "Kind of failure", Failures, query.failure)}
{_select("lane", "Lane", Lane, query.lane)}
{_input("contact", "Contact's id", query.contact or "")}
{_input("location", "Location's id", query.location or "")}
{_input("since", "Came in since (UTC)", _minute(query.since), "datetime-local")}
{_input("until", "and before (UTC)", _minute(query.until), "datetime-local")}
{_input("ended_since", "Ended since (UTC)", _minute(query.ended_since), "datetime-local")}
</div></details>
</form>"""


def _select(name: str, label: str, choices: Iterable[str], chosen: str | None) -> str:
    options = "".join(
        f'<option value="{choice}"{" selected" if choice == chosen else ""}>{choice}</option>' for choice in choices
    )
    return (
        f'<p><label for="{name}">{label}</label><select id="{name}" name="{name}">'
        f'<option value="">any</option>{options}</select></p>'
    )


def _input(name: str, label: str, value: str, kind: str = "text") -> str:
    return (
        f'<p><label for="{name}">{label}</label>'
        f'<input id="{name}" name="{name}" type="{kind}" value="{escape(value)}"></p>'
    )


def _said(query: JobQuery) -> Iterator[str]:
    for name, text in filter_of(query).items():
        if name in TIMES:
            yield f"{_SINCE[name]} {text[:16].replace('T', ' ')} UTC"
        else:
            yield f"{_LABELS[name]} “{text}”" if name in _LABELS else text


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def _minute(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M") if moment else ""


def without_place(query: JobQuery) -> JobQuery:
    """The same from its beginning."""
    return msgspec.structs.replace(query, cursor=None)
