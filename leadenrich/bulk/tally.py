"""What became of the leads of an import or a backfill, so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from leadenrich.store.queue import Receipt

EXAMPLES: Final = 10


@dataclass(slots=True)
class Tally:
    """`left_out` counts what needs no job, by reason; `examples` are the first rejected ones: where, why."""

    queued: int = 0
    duplicates: int = 0
    rejected: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str]] = field(default_factory=list)

    @property
    def seen(self) -> int:
        return self.queued + self.duplicates + self.rejected + self.left_out.total()

    def count(self, receipts: Sequence[Receipt]) -> None:
        queued = sum(receipt.verb == "queued" for receipt in receipts)
        self.queued += queued
        self.duplicates += len(receipts) - queued

    def reject(self, where: str, reason: str) -> None:
        self.rejected += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append((where, reason))
