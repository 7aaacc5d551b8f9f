"""Phones as people type them, for a list's filter and the search alike."""

from __future__ import annotations

import pytest

from leadenrich.core.phone import phone_typed


@pytest.mark.parametrize(
    "text",
    [
        "2175550113", "(217) 555-0113", "217.555.0113", "+1 217 555 0113", "1-217-555-0113", "phone: 217 555 0113",
        "Phone 217 555 0113", "Tel. +1 (217) 555-0113", "tel:+12175550113", "telephone # 217/555/0113",
        "217–555–0113 ext. 9", "217 555 0113 x12", " 217\N{NO-BREAK SPACE}555 0113 ", "+1 (217) 555-0113 extension 4",
    ],
)  # fmt: skip
def test_its_last_ten_digits_whatever_stands_around_them(text: str) -> None:
    assert phone_typed(text) == "2175550113"


@pytest.mark.parametrize(("text", "digits"), [("0113", "0113"), ("555-0113", "5550113"), ("cell 555 0113", "5550113")])
def test_part_of_a_phone_is_enough(text: str, digits: str) -> None:
    assert phone_typed(text) == digits


@pytest.mark.parametrize(
    "text",
    [
        "",
        "phone",
        "phone:",
        "113",
        "x 2175550113",
        "742 Evergreen Ter",
        "phone: 0113 Elm",
        "a@0113.com",
        "0113 or 0114",
    ],
)
def test_what_is_no_phone_is_none(text: str) -> None:
    assert phone_typed(text) == ""
