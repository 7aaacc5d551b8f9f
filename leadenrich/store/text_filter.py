"""What somebody typed to find leads: as the search takes it, and as the filter `q` of lists does."""

from __future__ import annotations

import re
from typing import Final

from leadenrich.core.address_parser import same_words
from leadenrich.core.phone import digits_of, phone_typed
from leadenrich.store.lead_texts import PHONE_ENDS, folded

QUESTION_CHARS: Final = 200
_PHONES: Final = re.compile(r'"phone":"([^"]*)"')


class Question:
    """What somebody typed, ready to be held against leads."""

    def __init__(self, text: str) -> None:
        text = text[:QUESTION_CHARS].strip()
        self._email = text.casefold() if "@" in text else ""
        self._phone = phone_typed(text)
        self._words = [self._spellings(word) for word in folded(text).split()]

    @staticmethod
    def _spellings(word: str) -> tuple[str, ...]:
        """As it stands at a word's beginning; a number as a whole word; `street` also as `st`."""
        if word.isdigit():
            return (f" {word} ",)
        return (f" {word}", *(f" {other} " for other in same_words(word)))

    def fits(self, text: str) -> bool:
        """By the phone's last ten digits, by part of the e-mail, or by every word somewhere in name and address.

        `text` is a lead's, as `searchable` makes it.
        """
        if self._phone and self._phone + PHONE_ENDS in text:
            return True
        return self._email in text if self._email else self.has_words_of(text)

    def has_words_of(self, text: str) -> bool:
        """Whether every word is there; `text` is folded, between two blanks."""
        # Loops, for this is asked of each kept lead: any() and all() cost three times as much.
        for spellings in self._words:
            for spelling in spellings:
                if spelling in text:
                    break
            else:
                return False
        return bool(self._words)


class TextFilter:
    """The filter `q`: an id, text that is anywhere in the lead, words that all are, or its phone in any form."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._folded = text.casefold()
        self._phone = phone_typed(text)
        self._question = Question(text)

    def is_one_of(self, *ids: str) -> bool:
        return self._text in ids

    def is_in(self, lead: str) -> bool:
        """`lead` is its JSON."""
        if self._folded in lead.casefold():
            return True
        if self._question.has_words_of(f" {folded(lead)} "):
            return True
        return bool(self._phone) and any(digits_of(phone).endswith(self._phone) for phone in _PHONES.findall(lead))
