"""What leaves for the log or for people is cleaned first: no secret, no personal data, no control characters."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import quote

import msgspec

Clean: TypeAlias = "bool | int | float | str | list[Clean] | dict[str, Clean] | None"

MASK: Final = "********"
SECRET_LENGTH_MIN: Final = 4  # shorter ones are no secrets, and masking them would make every line unreadable
_DEPTH_MAX: Final = 8
_ITEMS_MAX: Final = 200
_TEXT_MAX: Final = 16_000  # signs; journald cuts a line at 48 KiB

# By the words of a member's name: `X-Api-Key`, `admin_token` and `apiKey` are told by their last words.
_SECRET_NAME: Final = re.compile(
    r"(^|_)(token|secret|authorization|api_?key|password|passwd|cookie|set_cookie|credential|private_?key)$"
)
_PERSONAL_NAME: Final = re.compile(
    r"(^|_)(phone|mobile|e?mail|email_address|first_?name|last_?name|full_?name|address_?1|address_?line|line_?1|street)$"
)
_NAMES_MAX: Final = 1024  # sets of names of a line's members whose verdict is remembered
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_USERINFO: Final = re.compile(r"(?<=://)[^\s/@]+(?:/[^\s@]*)?@")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_PHONE: Final = re.compile(r"\+\d[\d ().-]{8,18}\d")
# Line breaks and tabs stand: in JSON they are escaped anyway, on a console a stack needs them.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


_PLAIN_TYPES: Final = frozenset({str, int, float, bool, type(None)})
# An escape, a mail address or credentials, a phone number, a delete, and what stands for a number that JSON lacks.
_SUSPECT_SIGNS: Final = ("\\", "@", "+", "\x7f", "null")


@dataclass(slots=True)
class Redactor:
    """Cleans values of any kind. `personal` says whether personal data is masked too (info and above)."""

    secrets: Collection[str] = ()
    _known: re.Pattern[str] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        texts = {text for text in self.secrets if len(text) >= SECRET_LENGTH_MIN}
        texts |= {quote(text, safe="") for text in texts}
        # The longest first: of two secrets one may begin with the other.
        ordered = sorted(texts, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def fields(self, members: Mapping[str, object], *, personal: bool = True) -> dict[str, Clean]:
        """The members of a line or a mapping, cleaned by their names and by their content."""
        return self._mapping(members, personal, 0)

    def plain_json(self, members: Mapping[str, object], *, personal: bool = True) -> str | None:
        """A line in which surely nothing has to be cleaned, as ASCII JSON; None where that takes a closer look.

        Nearly all lines are such: looking at the whole of one is twenty times cheaper than at each of its values. Their
        JSON holds every name and value as it is, since one that had to be escaped is looked at closely.
        """
        if not _are_shown(tuple(members), personal):
            return None
        odd = set(map(type, members.values())) - _PLAIN_TYPES
        if odd and not all(_are_texts(value) for value in members.values() if type(value) in odd):
            return None
        try:
            text = msgspec.json.encode(members).decode("ascii")
        except (ValueError, OverflowError):  # not ASCII; half a surrogate pair; an integer of more than 64 bits
            return None
        if len(text) > _TEXT_MAX or len(members) > _ITEMS_MAX or any(sign in text for sign in _SUSPECT_SIGNS):
            return None
        if (self._known is not None and self._known.search(text)) or (" " in text and _BEARER.search(text)):
            return None
        return text

    def text(self, text: str, *, personal: bool = True) -> str:
        """A text without known secrets, credentials in URLs and headers, and signs that a terminal obeys."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        if "@" in text:
            text = _USERINFO.sub(f"{MASK}@", text)
            if personal:
                text = _EMAIL.sub(MASK, text)
        text = _BEARER.sub(rf"\1 {MASK}", text)
        if personal and "+" in text:
            text = _PHONE.sub(MASK, text)
        plain = _CONTROL.sub(_escaped, text)
        if plain is not text and self._known is not None:
            plain = self._known.sub(MASK, plain)  # an escape spells letters that were not there before
        text = plain
        if len(text) > _TEXT_MAX:  # after the masking: a cut could leave half a secret
            half = _TEXT_MAX // 2
            text = f"{text[:half]} [...] {text[-half:]}"
        return text

    def _mapping(self, members: Mapping[str, object], personal: bool, depth: int) -> dict[str, Clean]:
        cleaned: dict[str, Clean] = {}
        for number, (name, value) in enumerate(members.items()):
            if number >= _ITEMS_MAX:
                cleaned["..."] = f"{len(members) - number} more"
                break
            label = self.text(str(name), personal=personal)
            if value is None or isinstance(value, bool):
                cleaned[label] = value
            elif _is_masked(str(name), personal):
                cleaned[label] = MASK
            else:
                cleaned[label] = self._value(value, personal, depth + 1)
        return cleaned

    def _value(self, value: object, personal: bool, depth: int) -> Clean:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(value, personal=personal)
        if isinstance(value, int | float):
            return self._number(value)
        if depth > _DEPTH_MAX:
            return "..."
        if isinstance(value, Mapping):
            return self._mapping(value, personal, depth)
        if isinstance(value, list | tuple | set | frozenset):
            items = list(value)
            cleaned = [self._value(item, personal, depth + 1) for item in items[:_ITEMS_MAX]]
            return [*cleaned, f"... {len(items) - _ITEMS_MAX} more"] if len(items) > _ITEMS_MAX else cleaned
        return self.text(_printed(value), personal=personal)

    def _number(self, value: int | float) -> Clean:
        if isinstance(value, int) and value.bit_length() > 64:
            return f"a number of {value.bit_length()} bits"  # int's str refuses very long ones
        # A subclass (an enum) may print itself in any way.
        plain = int(value) if isinstance(value, int) else float(value)
        if isinstance(plain, float) and not math.isfinite(plain):
            return str(plain)  # JSON has no such number
        return MASK if self._known is not None and self._known.search(str(plain)) else plain


def _are_texts(value: object) -> bool:
    return type(value) in (list, tuple) and len(value) <= _ITEMS_MAX and all(type(item) is str for item in value)  # type: ignore[arg-type, attr-defined]


@lru_cache(maxsize=_NAMES_MAX)
def _are_shown(names: tuple[object, ...], personal: bool) -> bool:
    return not any(type(name) is not str or _is_masked(name, personal) for name in names)


def _is_masked(name: str, personal: bool) -> bool:
    words = _CAMEL.sub("_", name).replace("-", "_").replace(".", "_").replace(" ", "_").lower()
    return bool(_SECRET_NAME.search(words)) or (personal and bool(_PERSONAL_NAME.search(words)))


def _printed(value: object) -> str:
    try:
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    except Exception:  # noqa: BLE001  an object's own __str__ may raise anything, and a log line must not
        return f"<unprintable {type(value).__name__}>"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
