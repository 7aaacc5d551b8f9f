"""What the rules say of a lead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from leadenrich.core.job import Outcome
from leadenrich.enrich.derived import Limits
from leadenrich.enrich.names import LeadNames

Severity: TypeAlias = Literal["no_address", "no_match", "disqualify", "review", "info"]

# Worst first.
OUTCOMES: Final[dict[Severity, Outcome]] = {
    "no_address": Outcome.NO_ADDRESS,
    "no_match": Outcome.NO_MATCH,
    "disqualify": Outcome.DISQUALIFIED,
    "review": Outcome.REVIEW,
    "info": Outcome.QUALIFIED,
}
SEVERITIES: Final[tuple[Severity, ...]] = tuple(OUTCOMES)


@dataclass(frozen=True, slots=True)
class Hit:
    """One rule that fired. `why` is the rule's own sentence."""

    code: str
    severity: Severity
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All hits in file order; the worst decides the outcome.

    `names` and `limits` are what the rules read the record with: the mapping reads it the same way.
    """

    outcome: Outcome
    hits: tuple[Hit, ...] = ()
    names: LeadNames = field(default_factory=LeadNames)
    limits: Limits = field(default_factory=Limits)

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(hit.code for hit in self.hits)

    @property
    def dq_codes(self) -> tuple[str, ...]:
        """The codes that disqualify; each has its `DQ_<CODE>` tag."""
        return tuple(hit.code for hit in self.hits if hit.severity == "disqualify")

    @property
    def reason_codes(self) -> tuple[str, ...]:
        """The codes of severity disqualify and review: what `disqualify_reasons` shows."""
        return tuple(hit.code for hit in self.hits if hit.severity in ("disqualify", "review"))


def worst(hits: tuple[Hit, ...]) -> Outcome:
    """QUALIFIED when nothing fired."""
    ranks = [SEVERITIES.index(hit.severity) for hit in hits]
    return OUTCOMES[SEVERITIES[min(ranks)]] if ranks else Outcome.QUALIFIED
