"""What the web half needs of the store and shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from leadenrich.store.audit import Audit
from leadenrich.store.history import History
from leadenrich.store.interventions import Controls, Interventions
from leadenrich.store.queue import Receipt, Submission
from leadenrich.store.search import Search
from leadenrich.store.switches import Pause
from leadenrich.store.views import JobPage, JobQuery, JobView
from leadenrich.web.in_force import InForce


class Intake(Protocol):
    """Takes leads."""

    async def submit(self, submission: Submission) -> Receipt:
        """Keep the lead, or say why there is nothing to keep. Only an answer means that the store has it.

        Raises: StoreUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Operations:
    """What an operator may do, and the log of it."""

    interventions: Interventions
    controls: Controls
    audit: Audit


@dataclass(frozen=True, slots=True)
class Finding:
    """What the pages read besides: the history, the search, the day's budget in credits by vendor (0: none), and the
    settings in force."""

    history: History
    search: Search
    budgets: Mapping[str, int]
    in_force: InForce = field(default_factory=InForce)


class Views(Protocol):
    """Reads what the store holds; the answers are encoded as they are.

    Raises: StoreUnavailable.
    """

    async def job(self, job_id: str) -> JobView | None: ...

    async def jobs(self, query: JobQuery) -> JobPage:
        """Raises: BadCursor."""
        ...

    async def stats(self) -> msgspec.Struct: ...

    async def pauses(self) -> dict[str, Pause]:
        """By a provider's name, or "" for the queue itself."""
        ...
