"""What a job wrote to its contact, from which source each value was, and where a run would write something else now."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from leadenrich.core.job import TERMINAL, JobState
from leadenrich.core.lead import FieldValue
from leadenrich.core.written import FIELDS_STEP
from leadenrich.web.frame import cell, folded, row, row_head, table
from leadenrich.web.shown import JobShown, WrittenShown

if TYPE_CHECKING:
    from leadenrich.enrich.hindsight import FieldTold, Hindsight


def written_section(job: JobShown, told_now: Hindsight | str, *, shows_values: bool) -> str:
    """As HTML; "" while the job has not ended. `told_now` is what the settings in force make of the bought record, or
    why nobody can tell; without `shows_values` only the names of fields are told."""
    if job.state not in TERMINAL:
        return ""
    now = {} if isinstance(told_now, str) else {each.entry.key: each for each in told_now.fields}
    wrote = job.written or WrittenShown()
    others = [each for key, each in now.items() if key not in wrote.fields]
    parts = [f"<p>{escape(_in_short(job, wrote))}</p>", *_tags(wrote), *_fields(wrote, told_now, now, shows_values)]
    if job.written is None and job.state != JobState.SUCCEEDED and not others:
        return ""
    if others:
        parts.append(folded(_of_others(len(others), wrote), _table_of_now(others, shows_values)))
    return f'<section aria-labelledby="fields"><h2 id="fields">Written to the contact</h2>{"".join(parts)}</section>'


def _in_short(job: JobShown, wrote: WrittenShown) -> str:
    """What was written, or why nothing is told of it."""
    if wrote.fields:
        return f"{_many(len(wrote.fields), 'field')} written, as they were sent."
    if any(step.name == FIELDS_STEP for step in job.steps):
        return (
            "Fields were written by a try that was cut off before it could say which: the contact held them after it."
        )
    if wrote.tags_added or wrote.tags_removed:
        return "No field: the contact held them all."
    if job.state == JobState.SUCCEEDED and not job.steps:
        return "What was written is kept no longer (queue.payload_retention)."
    return "Nothing: the contact held it all already." if job.state == JobState.SUCCEEDED else "Nothing."


def _tags(wrote: WrittenShown) -> Iterator[str]:
    for verb, tags in (("added", wrote.tags_added), ("removed", wrote.tags_removed)):
        if tags:
            yield f"<p>Tags {verb}: {', '.join(f'<strong>{escape(tag)}</strong>' for tag in tags)}</p>"


def _fields(
    wrote: WrittenShown, told_now: Hindsight | str, now: dict[str, FieldTold], shows_values: bool
) -> Iterator[str]:
    if not wrote.fields:
        return
    said_from = not isinstance(told_now, str)
    if not said_from:
        yield f'<p class="dim">Where each was from nobody can tell any more: {escape(str(told_now))}.</p>'
    else:
        changed = sum(_differs(then, now.get(key)) for key, then in wrote.fields.items())
        said = f"would write something else to {changed} of them" if changed else "would write the same again"
        yield f'<p class="{"wait" if changed else "dim"}">By the mapping in force, a run {said}.</p>'
    heads = ("Field", *(("Written",) if shows_values else ()), *(("From",) if said_from else ()))
    rows = ""
    for key, then in wrote.fields.items():
        each = now.get(key)
        name = f'{escape(each.entry.name)}<span class="dim">{escape(key)}</span>' if each else escape(key)
        value = [cell(escape(_text(then)))] if shows_values else []
        source = [cell(_from(then, each, shows_values))] if said_from else []
        rows += row(row_head(name), *value, *source)
    yield folded(
        f"{_many(len(wrote.fields), 'field')}{', and where each is from' if said_from else ''}",
        table("Fields", heads, rows, "wide"),
    )


def _from(then: FieldValue, now: FieldTold | None, shows_values: bool) -> str:
    if now is None:
        return _changed("would not be written now")
    source = escape(_source(now))
    return source + (
        _changed(f"now: {_text(now.value)}" if shows_values else "another value now") if _differs(then, now) else ""
    )


def _differs(then: FieldValue, now: FieldTold | None) -> bool:
    """A value that is not kept may be any."""
    from leadenrich.enrich.field_values import same_value

    return now is None or (then is not None and not same_value(then, now.value, now.entry.data_type))


def _changed(said: str) -> str:
    return f'<span class="wait-text saw">{escape(said)}</span>'


def _of_others(count: int, wrote: WrittenShown) -> str:
    more = "more " if wrote.fields else ""
    return f"{_many(count, f'{more}field')} of the record that the contact held already, or that are new since"


def _table_of_now(others: list[FieldTold], shows_values: bool) -> str:
    rows = "".join(
        row(
            row_head(f'{escape(each.entry.name)}<span class="dim">{escape(each.entry.key)}</span>'),
            *([cell(escape(_text(each.value)))] if shows_values else []),
            cell(escape(_source(each))),
        )
        for each in others
    )
    return table("Fields not written", ("Field", *(("Value now",) if shows_values else ()), "From"), rows, "wide")


def _source(each: FieldTold) -> str:
    return each.source or "emptied: the record has none"


def _text(value: FieldValue) -> str:
    if value is None:
        return "not kept: too long"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
