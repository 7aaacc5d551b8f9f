"""What `leadenrich enrich` prints: each step as it happens, then what the rules say and what changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from leadenrich.core.address import one_line
from leadenrich.core.job import Outcome, StepRecord
from leadenrich.core.lead import FieldValue
from leadenrich.core.written import unpack_fields, unpack_tags
from leadenrich.enrich.pipeline import Preview
from leadenrich.store.job_view import JobView
from leadenrich.store.switches import Pause
from leadenrich.web.shown import JobShown, shown
from leadenrich.web.story import headline

_STYLES: Final = {Outcome.QUALIFIED: "green", Outcome.REVIEW: "yellow", Outcome.DISQUALIFIED: "red"}
_VALUE_SIGNS: Final = 60


class Teller:
    """Prints once what is told twice: a run may be looked at before it is made."""

    def __init__(self, out: Console, clean: Callable[[str], str]) -> None:
        self._out = out
        self._clean = clean
        self._said: set[tuple[str, str]] = set()

    def say(self, what: str, text: str) -> None:
        if (what, text) not in self._said:
            self._said.add((what, text))
            self._out.print(Text(f"{what:<9}", "dim"), Text(self._clean(text)), soft_wrap=True)

    def step(self, name: str, result: bytes, *, cached: bool, credits: int) -> None:
        """A step has its result, in the words of its checkpoint."""
        match name.partition(".")[0]:
            case "address":
                asked = " ".join(part for part in msgspec.json.decode(result)["key"].split("|") if part)
                self.say("address", f"looked up as {asked}")
            case "lookup" | "lookup_2":
                paid = "1 credit" if credits == 1 else f"{credits} credits"
                self.say("look-up", "from the cache, no credit" if cached else f"bought for {paid}")
            case "fields":
                self.say("fields", f"{len(unpack_fields(result))} written")
            case "tags":
                told = unpack_tags(result)
                self.say("tags", f"{_tags(told.added, told.removed)}: written")
            case "note":
                self.say("note", "written")

    def preview(self, preview: Preview, rules: int, missing: Sequence[str]) -> None:
        """`rules` is how many are switched on, `missing` the fields that the location lacks."""
        decision, plan = preview.decision, preview.plan
        if decision.address:
            self.say("address", one_line(decision.address))
        verdict = decision.verdict
        self._out.print(
            Text("verdict  ", "dim"), Text(verdict.outcome, f"bold {_STYLES.get(verdict.outcome, '')}".strip())
        )
        for hit in verdict.hits:
            self._out.print(Text(f"          {hit.code} ({hit.severity}): {self._clean(hit.why)}"))
        if decision.why and not verdict.hits:
            self._out.print(Text(f"          {self._clean(decision.why)}"))
        if decision.record:
            others = rules - len(verdict.hits)
            self._out.print(
                Text(f"          {others} {'other ' if verdict.hits else ''}rules found nothing against it", "dim")
            )
            if not decision.record.live:
                self.say("record", "mock data of a test key")
        self._fields(plan.keys, plan.fields, preview.known.fields)
        if plan.add_tags or plan.remove_tags:
            self.say("tags", _tags(plan.add_tags, plan.remove_tags))
        if not plan:
            self.say("contact", "shows all of it already: nothing to change")
        if missing:
            self.say("missing", f"the location lacks {', '.join(missing)}: run leadenrich setup")

    def ending(self, job: JobView, pauses: Mapping[str, Pause]) -> None:
        self._out.print(Text(self._clean(headline(shown(job, JobShown), pauses=pauses)), "bold"))

    def _fields(
        self, keys: Mapping[str, str], new: Mapping[str, FieldValue], old: Mapping[str, FieldValue] | None
    ) -> None:
        if not new:
            return
        table = Table("field", "old", "", "new", box=None, pad_edge=False, header_style="dim")
        for field_id, value in new.items():
            before = "?" if old is None else self._value(old.get(field_id))
            table.add_row(Text(keys[field_id]), Text(before, "dim"), "->", Text(self._value(value)))
        self._out.print(table)

    def _value(self, value: FieldValue) -> str:
        text = ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)
        text = self._clean(text) or "(empty)"
        return text if len(text) <= _VALUE_SIGNS else f"{text[: _VALUE_SIGNS - 1]}…"


class _Steps(Protocol):
    """The checkpoints below: of a job, or of nobody's."""

    def get(self, name: str) -> StepRecord | None: ...

    async def intend(self, name: str) -> None: ...

    async def withdraw(self, name: str) -> None: ...

    async def record(self, name: str, result: bytes, *, cached: bool = False, credits: int = 0) -> None: ...


class ToldSteps:
    """Checkpoints that are told as they are written."""

    def __init__(self, steps: _Steps, teller: Teller) -> None:
        self._steps = steps
        self._teller = teller

    def get(self, name: str) -> StepRecord | None:
        return self._steps.get(name)

    async def intend(self, name: str) -> None:
        await self._steps.intend(name)
        if name.startswith("lookup"):
            self._teller.say("look-up", "not in the cache: RealEstateAPI is asked")

    async def withdraw(self, name: str) -> None:
        await self._steps.withdraw(name)

    async def record(self, name: str, result: bytes, *, cached: bool = False, credits: int = 0) -> None:
        await self._steps.record(name, result, cached=cached, credits=credits)
        self._teller.step(name, result, cached=cached, credits=credits)


def _tags(added: Sequence[str], removed: Sequence[str]) -> str:
    """As the contact shows them: HighLevel keeps tags in lower case."""
    return ", ".join([*(f"+{tag.lower()}" for tag in added), *(f"-{tag.lower()}" for tag in removed)])
