"""When a custom field already holds what would be written."""

from __future__ import annotations

from typing import Any

import pytest

from leadenrich.enrich.field_values import fitted, same_value


@pytest.mark.parametrize(
    ("held", "wanted", "data_type"),
    [
        ("3", 3, "NUMERICAL"),
        (3.0, 3, "NUMERICAL"),
        ("$342,000", 342000, "MONETORY"),
        ("3", 3, "TEXT"),
        ("2026-11-23T00:00:00.000Z", "2026-11-23", "DATE"),
        ("2026-11-23", "2026-11-23", "TEXT"),
        (None, "", "TEXT"),
        ("", None, "TEXT"),
        ([], "", "CHECKBOX"),
        ("  ", "", "TEXT"),
        ("a\r\nb ", "a\nb", "LARGE_TEXT"),
        (["b", "a"], ["a", "b"], "MULTIPLE_OPTIONS"),
        ("Yes", ["Yes"], "CHECKBOX"),
    ],
)
def test_the_same(held: Any, wanted: Any, data_type: str) -> None:
    assert same_value(held, wanted, data_type)


@pytest.mark.parametrize(
    ("held", "wanted", "data_type"),
    [
        ("3", 4, "NUMERICAL"),
        (None, 0, "NUMERICAL"),  # 0 is a value
        ("0", "", "NUMERICAL"),
        ("unknown", 3, "NUMERICAL"),
        ("2026-11-22", "2026-11-23", "DATE"),
        ("2026-11-23T00:00:00Z", "2026-11-23", "TEXT"),
        ("yes", "Yes", "TEXT"),
        ("003", "3", "TEXT"),  # a parcel number is no number
        (None, "Yes", "TEXT"),
        (["a"], ["a", "b"], "MULTIPLE_OPTIONS"),
    ],
)
def test_not_the_same(held: Any, wanted: Any, data_type: str) -> None:
    assert not same_value(held, wanted, data_type)


@pytest.mark.parametrize(
    ("value", "data_type", "sent"),
    [
        (1974, "TEXT", "1974"),
        ("1974", "NUMERICAL", 1974),
        ("$1,200.50", "MONETORY", 1200.5),
        ("", "NUMERICAL", ""),
        ("none", "NUMERICAL", "none"),
        (3, "NUMERICAL", 3),
        (["a"], "CHECKBOX", ["a"]),
    ],
)
def test_a_value_is_sent_in_the_form_that_the_field_takes(value: Any, data_type: str, sent: Any) -> None:
    assert fitted(value, data_type) == sent
