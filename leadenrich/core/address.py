"""An address as it is bought: normalised to USPS short forms, or rejected before any call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

RejectCode: TypeAlias = Literal["ADDRESS_MISSING", "ADDRESS_INCOMPLETE", "ADDRESS_PO_BOX", "ADDRESS_NOT_US"]


@dataclass(frozen=True, slots=True)
class NormalAddress:
    """All parts upper case; `zip5` or both `city` and `state` are set. `key` is what a purchase is keyed by."""

    house: str
    street: str
    unit: str
    city: str
    state: str
    zip5: str

    @property
    def key(self) -> str:
        place = self.zip5 or f"{self.city}|{self.state}"
        return f"{self.house}|{self.street}|{self.unit}|{place}"


class AddressRejected(Exception):
    """No call can be made for this address. `code` says why."""

    def __init__(self, code: RejectCode, message: str) -> None:
        super().__init__(message)
        self.code = code
