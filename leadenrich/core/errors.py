"""Errors are typed once, here, and judged once, in core/retry.py.

Trouble
  Transient         a timeout, a broken connection, 408, 425, 5xx, a malformed answer: uses up a try
  Throttled         429 or a limit header at zero: nobody calls until `until_ms`; uses up no try
  ProviderOut       out of order for everybody: 401, JSON 403, 402, a certificate; uses up no try
  Permanent         will never work for this lead; carries its reason and outcome
LostLease           another worker has the job now: stop, write nothing more
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from leadenrich.core.job import Outcome, Reason

OutKind: TypeAlias = Literal["auth", "credit", "certificate", "outage", "budget", "operator"]


class Trouble(Exception):
    """What a provider's call can raise. `provider` is `realestateapi` or `ghl:<location id>`; "" is ourselves."""

    def __init__(self, message: str, *, provider: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.provider = provider
        self.status = status


class Transient(Trouble):
    """May pass: the same call can work later. `sent` is False when the request surely never left us."""

    def __init__(self, message: str, *, provider: str = "", status: int | None = None, sent: bool = True) -> None:
        super().__init__(message, provider=provider, status=status)
        self.sent = sent


class Throttled(Trouble):
    """The provider asks for patience. `until_ms` is epoch milliseconds."""

    def __init__(self, message: str, *, provider: str, until_ms: int, status: int | None = 429) -> None:
        super().__init__(message, provider=provider, status=status)
        self.until_ms = until_ms


class ProviderOut(Trouble):
    """The provider works for no lead at all. `until_ms`: when it may be tried again; None: a probe or a person says."""

    def __init__(
        self, message: str, *, provider: str, kind: OutKind, until_ms: int | None = None, status: int | None = None
    ) -> None:
        super().__init__(message, provider=provider, status=status)
        self.kind = kind
        self.until_ms = until_ms


class Permanent(Trouble):
    """Ends the job in FAILED_FINAL at once. `codes` are the address or rule codes that led there."""

    def __init__(
        self,
        message: str,
        *,
        reason: Reason,
        outcome: Outcome | None = None,
        codes: tuple[str, ...] = (),
        provider: str = "",
        status: int | None = None,
    ) -> None:
        super().__init__(message, provider=provider, status=status)
        self.reason = reason
        self.outcome = outcome
        self.codes = codes


class LostLease(Exception):
    """The job is no longer ours: nothing may be written for it any more."""
