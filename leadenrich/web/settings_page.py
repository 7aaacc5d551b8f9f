"""The settings in force, in words; and a try of other rules on leads that were enriched before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from leadenrich.config import Row
from leadenrich.web.access import Session
from leadenrich.web.frame import cell, csrf_field, framed, row, row_head, table
from leadenrich.web.in_force import InForce
from leadenrich.web.story import rule_in_words

if TYPE_CHECKING:
    from leadenrich.enrich.hindsight import Hindsight
    from leadenrich.enrich.mapping import FieldEntry
    from leadenrich.enrich.rules import Rule

TEXT_CHARS = 20_000
_EXAMPLE = '[[rules]]\ncode = "LOW_EQUITY"\nparams = { percent = 40 }'


@dataclass(frozen=True, slots=True)
class Retold:
    """One lead judged again: what it was, and what it would be, or the sentence why nobody can tell."""

    job_id: str
    title: str
    outcome: str
    now: Hindsight | str

    @property
    def differs(self) -> bool:
        return not isinstance(self.now, str) and self.now.verdict.outcome != self.outcome


@dataclass(frozen=True, slots=True)
class Try:
    """What was typed, and what came of it; `faults` are (key, message)."""

    text: str = ""
    job_id: str = ""
    faults: Sequence[tuple[str, str]] = ()
    leads: Sequence[Retold] = ()
    done: bool = False


def settings_page(in_force: InForce, tried: Try, visitor: Session) -> str:
    rules, mapping = in_force.rules, in_force.mapping
    preset = in_force.config.enrichment.preset
    written = [entry for entry in mapping.entries if entry.enabled]
    content = f"""{_try(tried, visitor) if visitor.may_act else ""}
<section aria-labelledby="rules"><h2 id="rules">Rules in force</h2>
<p>Those of the preset “{escape(preset)}”, with the [[rules]] of the configuration laid over them. A rule fires only on
what is known: missing data never speaks against a lead.</p>
{_rules("Rules", [rule for rule in rules.rules if rule.enabled])}
<details><summary>Rules that are off</summary>
{_rules("Rules that are off", [rule for rule in rules.rules if not rule.enabled])}
</details></section>
<section aria-labelledby="mapping"><h2 id="mapping">Fields that are written</h2>
<p>{len(written)} custom fields of the contact; of several sources the first that has a value counts.</p>
<details><summary>All fields</summary>
{table("Fields", ("Field", "From", "Written as"), "".join(map(_field, written)), "wide")}
</details></section>
<section aria-labelledby="settings"><h2 id="settings">Settings, and where each is from</h2>
<p>Change them in the configuration; SIGHUP reads it again. Secrets are masked.</p>
{"".join(_settings(in_force.rows()))}</section>"""
    return framed("Settings", "Settings", content, visitor, here="/settings")


def _field(entry: FieldEntry) -> str:
    return row(
        row_head(f'{escape(entry.name)}<span class="dim">{escape(entry.key)}</span>'),
        cell(escape(", else ".join(entry.source))),
        cell(escape(f"{entry.data_type}, {entry.transform}")),
    )


def _rules(name: str, rules: Sequence[Rule]) -> str:
    """The sentences without their codes, which stand in a column of their own."""
    rows = (row(row_head(escape(it.code)), cell(escape(rule_in_words(it.sentence())))) for it in rules)
    return table(name, ("Rule", "In words"), "".join(rows), "wide")


def _settings(rows: Sequence[Row]) -> Iterator[str]:
    for section, members in groupby(rows, key=lambda it: it.key.partition(".")[0].partition("[")[0]):
        cells = "".join(
            row(row_head(escape(it.key)), cell(escape(it.value) or "–"), cell(escape(str(it.source)))) for it in members
        )
        yield f"""<details><summary>{escape(section)}</summary>
{table(f"Settings of {section}", ("Key", "Value", "From"), cells, "wide")}</details>"""


def _try(tried: Try, visitor: Session) -> str:
    return f"""<section aria-labelledby="try"><h2 id="try">Try other rules on past leads</h2>
<p>Type [[rules]] as in the configuration; they replace the configuration's, on top of the preset. Nothing is bought and
nothing is written: the records are those that were bought before.</p>
<form method="post" action="/settings/try">{csrf_field(visitor)}
<label for="rules-text">Rules</label>
<textarea id="rules-text" name="rules" rows="8" spellcheck="false" maxlength="{TEXT_CHARS}"
 placeholder="{escape(_EXAMPLE)}"{' aria-invalid="true" aria-describedby="faults"' if tried.faults else ""}>
{escape(tried.text)}</textarea>
<label for="job">A job's id <span class="dim">(empty: the newest leads)</span></label>
<input id="job" name="job" value="{escape(tried.job_id)}" maxlength="64">
<button>Try them</button></form>
{_faults(tried.faults)}{_outcomes(tried) if tried.done else ""}</section>"""


def _faults(faults: Sequence[tuple[str, str]]) -> str:
    if not faults:
        return ""
    rows = "".join(f"<li><strong>{escape(key)}</strong>: {escape(message)}</li>" for key, message in faults)
    return f'<div class="bad" role="alert" id="faults"><p>These rules cannot be used:</p><ul>{rows}</ul></div>'


def _outcomes(tried: Try) -> str:
    judged = [lead for lead in tried.leads if not isinstance(lead.now, str)]
    changed = [lead for lead in judged if lead.differs]
    if tried.job_id and tried.leads:
        said = _sentence(tried.leads[0])
    elif not tried.leads:
        said = "There is no lead to try them on yet."
    else:
        gone = len(tried.leads) - len(judged)
        said = f"Of the newest {len(judged)} leads whose record is still there, {len(changed) or 'none'} would change."
        said += f" Of {gone} more it is gone." if gone else ""
    shown = tried.leads if tried.job_id else changed
    rows = "".join(_outcome(lead) for lead in shown)
    listed = table("Leads judged again", ("Lead", "Was", "Would be", "By"), rows, "wide") if rows else ""
    return f'<div class="tried" role="status"><p class="headline">{escape(said)}</p>{listed}</div>'


def _sentence(lead: Retold) -> str:
    if isinstance(lead.now, str):
        return f"Nobody can tell: {lead.now}."
    verdict = lead.now.verdict
    by = f" by {', '.join(verdict.reason_codes)}" if verdict.reason_codes else ""
    return f"{'Would now be' if lead.differs else 'Would still be'} {verdict.outcome}{by}."


def _outcome(lead: Retold) -> str:
    link = f'<a href="/jobs/{escape(lead.job_id)}">{escape(lead.title or lead.job_id)}</a>'
    if isinstance(lead.now, str):
        return row(row_head(link), cell(escape(lead.outcome)), cell("–"), cell(escape(lead.now)))
    hits = "; ".join(f"{hit.code}: {hit.why}" for hit in lead.now.verdict.hits)
    return row(
        row_head(link),
        cell(escape(lead.outcome)),
        cell(escape(lead.now.verdict.outcome)),
        cell(escape(hits) or "no rule"),
    )
