"""The tree of errors: what each carries, and that values between the halves stay as they were made."""

from __future__ import annotations

import dataclasses

import pytest

from leadenrich.core import job, lead, retry
from leadenrich.core.errors import LostLease, Permanent, ProviderOut, Throttled, Transient, Trouble
from leadenrich.core.job import Outcome, Reason

VALUES = [
    kind
    for module in (job, lead, retry)
    for kind in vars(module).values()
    if isinstance(kind, type) and kind.__module__ == module.__name__ and dataclasses.is_dataclass(kind)
]


def told(error: Trouble) -> tuple[str, str, int | None]:
    return str(error), error.provider, error.status


def test_an_error_of_our_own_names_no_provider_and_no_status() -> None:
    for error in (Trouble("no"), Transient("no"), Permanent("no", reason=Reason.BAD_ADDRESS)):
        assert told(error) == ("no", "", None)


def test_a_transient_error_is_taken_as_sent_unless_it_surely_was_not() -> None:
    error = Transient("502", provider="realestateapi", status=502)
    assert told(error) == ("502", "realestateapi", 502)
    assert error.sent is True
    assert Transient("refused", sent=False).sent is False


def test_a_throttle_knows_its_end_and_is_a_429_unless_it_says_otherwise() -> None:
    error = Throttled("slow down", provider="ghl:loc", until_ms=7)
    assert (told(error), error.until_ms) == (("slow down", "ghl:loc", 429), 7)
    assert Throttled("no credits left today", provider="realestateapi", until_ms=7, status=None).status is None


def test_a_provider_that_is_out_says_how_and_until_when() -> None:
    error = ProviderOut("out of credit", provider="realestateapi", kind="credit", until_ms=9, status=402)
    assert (told(error), error.kind, error.until_ms) == (("out of credit", "realestateapi", 402), "credit", 9)
    for_good = ProviderOut("401", provider="ghl:loc", kind="auth")
    assert (for_good.until_ms, for_good.status) == (None, None)


def test_a_permanent_error_carries_what_the_job_ends_with() -> None:
    error = Permanent(
        "gone", reason=Reason.PROPERTY_NOT_FOUND, outcome=Outcome.NO_MATCH, codes=("A",), provider="p", status=404
    )
    assert told(error) == ("gone", "p", 404)
    assert (error.reason, error.outcome, error.codes) == (Reason.PROPERTY_NOT_FOUND, Outcome.NO_MATCH, ("A",))
    plain = Permanent("gone", reason=Reason.BAD_ADDRESS)
    assert (plain.outcome, plain.codes) == (None, ())


def test_a_lost_lease_is_nobodys_trouble() -> None:
    """Nothing that judges trouble may take it for a failure of the lead."""
    assert not issubclass(LostLease, Trouble)


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_a_value_cannot_be_changed_nor_given_what_it_does_not_have(kind: type) -> None:
    """They are shared between tasks: a field set in passing would be another task's surprise."""
    assert vars(kind)["__dataclass_params__"].frozen
    assert "__slots__" in vars(kind)
    assert not hasattr(object.__new__(kind), "__dict__")
