"""One rule, ready to be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from leadenrich.enrich.conditions import Condition, Scene
from leadenrich.enrich.verdict import Hit, Severity

Stage: TypeAlias = Literal["address", "lookup", "property"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)

_MEANS: Final[dict[Severity, str]] = {
    "no_address": "no look-up",
    "no_match": "no match",
    "disqualify": "disqualifies",
    "review": "needs a look",
    "info": "only noted",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """`unless` cancels a hit, or, with `downgrade_to`, softens it."""

    code: str
    stage: Stage
    severity: Severity
    enabled: bool
    when: Condition
    unless: Condition | None = None
    downgrade_to: Severity | None = None
    why: str = ""

    def ask(self, scene: Scene) -> Hit | None:
        """The hit, when the condition surely holds: unknown is no hit, and no excuse either."""
        if self.when.holds(scene) is not True:
            return None
        if self.unless is not None and self.unless.holds(scene) is True:
            return Hit(self.code, self.downgrade_to, self.why) if self.downgrade_to else None
        return Hit(self.code, self.severity, self.why)

    def sentence(self) -> str:
        """The rule in words, for people who did not write it."""
        text = f"{self.code} ({_MEANS[self.severity]}): when {self.when.words()}"
        if self.unless is not None:
            softened = f": then {_MEANS[self.downgrade_to]}" if self.downgrade_to else ""
            text += f"; unless {self.unless.words()}{softened}"
        return f"{text}. {self.why[:1].upper()}{self.why[1:]}." if self.why else f"{text}."
