"""What the filter `q` of a list finds: an id, text that is anywhere in the lead, or its phone in any form."""

from __future__ import annotations

import re
from typing import Final

from leadenrich.core.phone import digits_of, phone_typed

_PHONES: Final = re.compile(r'"phone":"([^"]*)"')


class TextFilter:
    """Ready to be held against many leads."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._folded = text.casefold()
        self._phone = phone_typed(text)

    def is_one_of(self, *ids: str) -> bool:
        return self._text in ids

    def is_in(self, lead: str) -> bool:
        """`lead` is its JSON."""
        if self._folded in lead.casefold():
            return True
        return bool(self._phone) and any(digits_of(phone).endswith(self._phone) for phone in _PHONES.findall(lead))
