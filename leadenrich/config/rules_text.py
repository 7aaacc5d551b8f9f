"""`[[rules]]` as somebody types them, read as the file's are, with every fault."""

from __future__ import annotations

from typing import cast

from leadenrich.config.faults import Fault
from leadenrich.config.load import parsed
from leadenrich.config.reading import Reading, Source
from leadenrich.config.settings import RuleEntry, Section


class _RulesText(Section, frozen=True):
    rules: tuple[RuleEntry, ...] = ()


def read_rules_text(text: str) -> tuple[tuple[RuleEntry, ...], list[Fault]]:
    """The rules of a TOML text that holds nothing else; those that could be understood, along with the faults."""
    faults: list[Fault] = []
    table = parsed(text, "the text", faults)
    reading = Reading({}, Source("file", "the text"), faults)
    read = cast(_RulesText, reading.struct(_RulesText, "", table or {}))
    return read.rules, faults
