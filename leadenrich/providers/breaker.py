"""Circuit breaker: opens when different leads fail in a row."""

from __future__ import annotations


class Breaker:
    """Counts different leads, not failures: one sick lead tried three times says nothing about the provider.

    It only counts. Who finds it open pauses the provider, and who probes it half open is the worker.
    """

    __slots__ = ("_failed", "_open", "_threshold")

    def __init__(self, threshold: int = 5) -> None:
        self._threshold = threshold
        self._failed: set[str] = set()
        self._open = False

    @property
    def is_open(self) -> bool:
        return self._open

    def failed(self, lead_id: str) -> bool:
        """Count a failure of this lead. True only for the one that opened the breaker."""
        if self._open:
            return False
        self._failed.add(lead_id)
        if len(self._failed) < self._threshold:
            return False
        self._open = True
        self._failed.clear()
        return True

    def succeeded(self) -> None:
        """An answer came: the row is broken, and an open breaker closes."""
        self._failed.clear()
        self._open = False
