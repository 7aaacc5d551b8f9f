"""How many jobs a pool may hold beside those that run, so that its slots are not idle while Redis answers."""

from __future__ import annotations

from typing import Final

AHEAD_MOST: Final = 512
BRIEF_S: Final = 0.05  # nothing is held beside jobs that take longer
_STUCK_S: Final = 10 * BRIEF_S
_WEIGHT: Final = 0.125  # of the newest, in what is remembered


class Ahead:
    """Little's law: what the slots finish while a claim and an ending are under way is claimed in advance.

    `jobs` = concurrency x (a claim's time + an ending's) / a job's time, of late. A look-up of a real lead takes 0.2 s
    and the calls to Redis 2 ms: that is none, and a live lead never stands behind what was taken before it.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._claim_s = self._ending_s = 0.0
        self._run_s: float | None = None

    def claimed(self, seconds: float) -> None:
        """A claim that brought jobs took so long."""
        self._claim_s += _WEIGHT * (seconds - self._claim_s)

    def ran(self, seconds: float) -> None:
        """A job's handler took so long."""
        self._run_s = seconds if self._run_s is None else self._run_s + _WEIGHT * (seconds - self._run_s)

    def ended(self, seconds: float) -> None:
        """Writing a job's ending took so long."""
        self._ending_s += _WEIGHT * (seconds - self._ending_s)

    def forget(self) -> None:
        """Nothing is known any more: nothing is held until the next jobs have shown how long they take."""
        self._run_s = None

    def stuck(self) -> None:
        """A job found no slot in time: the ones that run are no brief ones. Brief ones must show themselves anew."""
        self._run_s = _STUCK_S

    @property
    def jobs(self) -> int:
        if self._run_s is None or self._run_s > BRIEF_S:
            return 0
        jobs = self._concurrency * (self._claim_s + self._ending_s) / max(self._run_s, 1e-6)
        return min(int(jobs), AHEAD_MOST)
