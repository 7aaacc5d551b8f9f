"""The samples of RealEstateAPI's answers, and the reference lead they are judged for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from leadenrich.core.address import NormalAddress, normalise
from leadenrich.core.lead import PostalAddress
from leadenrich.enrich.names import LeadNames
from leadenrich.enrich.record import PropertyRecord
from leadenrich.enrich.rules import RuleSet
from leadenrich.enrich.verdict import Verdict

DATA = Path(__file__).parents[1] / "data"

Answer = dict[str, Any]


@pytest.fixture(scope="session")
def now() -> datetime:
    """The reference date of the samples."""
    return datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Answer]:
    """`sample("sfr_clean")` is a fresh copy of that PropertyDetail answer."""
    read: dict[str, Answer] = {}

    def load(name: str) -> Answer:
        if name not in read:
            read[name] = msgspec.json.decode((DATA / f"samples/property_detail.200.{name}.json").read_bytes())
        return copy.deepcopy(read[name])

    return load


@pytest.fixture(scope="session")
def asked() -> Callable[[Answer], NormalAddress]:
    """The address an answer was asked for, as it is bought."""

    def normal(answer: Answer) -> NormalAddress:
        parts = answer["input"]
        unit = f" Apt {parts['unit']}" if parts.get("unit") else ""
        line = f"{parts['house']} {parts['street']}{unit}"
        return normalise(PostalAddress(line, parts["city"], parts["state"], parts["zip"]))

    return normal


@pytest.fixture(scope="session")
def judge(asked: Callable[[Answer], NormalAddress], now: datetime) -> Callable[..., Verdict]:
    """Judge an answer for the reference lead, Alex Sample, at the address that was asked for."""

    def run(rules: RuleSet, answer: Answer, **changes: Any) -> Verdict:
        given: dict[str, Any] = {
            "lead_names": LeadNames("Alex", "Sample"),
            "address": asked(answer),
            "duplicate": False,
            "now": now,
        }
        return rules.judge(PropertyRecord(answer), **{**given, **changes})

    return run
