"""What a file to import looks like in the tests, and the configuration it is imported with."""

from __future__ import annotations

import json
from typing import Any

import pytest

HEADER = "Contact Id,First Name,Street Address,City,State,Postal Code\n"


def row(number: int, contact: str = "") -> str:
    return f"{contact or f'Contact{number:05d}'},Pat,{100 + number} Maple St,Springfield,IL,62704\n"


def configuration(url: str, queue: str, *locations: str) -> str:
    places = "".join(f'[[ghl.locations]]\nid = "{it}"\ntoken = "t"\n' for it in locations or ("loc1",))
    return f'[redis]\nurl = "{url}"\n[queue]\nname = "{queue}"\n{places}'


def as_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told
