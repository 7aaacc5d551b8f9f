"""What came back, and what it means: status first, then JSON, then shape.

Vendors' words end up in logs and on the page, so they are cut, cleaned and stripped of what looks like a person's data.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from leadenrich.core.errors import Permanent, ProviderOut, Transient, Trouble
from leadenrich.core.job import Reason
from leadenrich.core.lead import Json

RETRY_AFTER_S_MAX: Final = 3600.0
MESSAGE_CHARS_MAX: Final = 300
SECRET_CHARS_MIN: Final = 4

_EMAIL = re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+")
_PHONE = re.compile(r"\+?\d[\d ().-]{7,}\d")


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer of any status. `headers` looks names up without case; `secrets` must not be shown."""

    provider: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def parsed(self) -> dict[str, Json] | None:
        """The body if it is a JSON object, whatever its content type says; None for everything else."""
        try:
            value = msgspec.json.decode(self.body.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def object(self) -> dict[str, Json]:
        """The body of a good answer. Raises: Transient, when it is malformed or cut off."""
        parsed = self.parsed()
        if parsed is None:
            raise self.malformed("it is no JSON object" if self.body.strip() else "it is empty")
        return parsed

    def malformed(self, why: str) -> Transient:
        text = f"{self.provider} answered {self.status}, but the answer is malformed: {why}"
        return Transient(text, provider=self.provider, status=self.status)

    def message(self) -> str:
        """The vendor's own words, safe to show; "" when there are none."""
        return clean(_words(self.parsed() or {}), self.secrets)

    def told(self, status: int | None = None) -> str:
        """One line for the log: who answered what."""
        words = self.message()
        return f"{self.provider} answered {status or self.status}" + (f": {words}" if words else "")


def refusal(answer: Answer, status: int | None = None) -> Trouble:
    """What a status outside 2xx means, 429 excepted. `status`: the body's own, where that knows better."""
    provider, code = answer.provider, status or answer.status
    text = answer.told(code)
    if code in (408, 425) or code >= 500 or code < 200:
        return Transient(text, provider=provider, status=code)
    if code == 401 or (code == 403 and answer.parsed() is not None):
        return ProviderOut(text, provider=provider, kind="auth", status=code)
    if code == 402:
        return ProviderOut(text, provider=provider, kind="credit", status=code)
    if code == 403:  # a gateway's refusal, not the vendor's: it says nothing about the key
        return Transient(f"{text}, not in JSON: the vendor's gateway refused", provider=provider, status=code)
    if 300 <= code < 400:
        text += ": a redirect, and none is followed; check the base_url"
    return Permanent(text, reason=Reason.REJECTED_BY_PROVIDER, provider=provider, status=code)


def clean(text: str, secrets: Sequence[str] = ()) -> str:
    """At most 300 printable characters, without e-mail addresses, long numbers such as phones, and `secrets`.

    Those are what was sent and must not be shown: the key, the address.
    """
    for secret in secrets:
        if len(secret) >= SECRET_CHARS_MIN:
            # Without case: vendors repeat an address in their own spelling. Of more than one word (a key is one) only
            # whole ones: "A ST" must not eat into "a state is required".
            edges = (r"(?<!\w)", r"(?!\w)") if " " in secret else ("", "")
            text = re.sub(re.escape(secret).join(edges), "[secret]", text, flags=re.IGNORECASE)
    text = "".join(
        " " if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char for char in text[:4000]
    )
    text = _PHONE.sub("[number]", _EMAIL.sub("[email]", text))
    return " ".join(text.split())[:MESSAGE_CHARS_MAX]


def _words(body: Mapping[str, Json]) -> str:
    """The first member that says something: the vendors use several, one of them nested."""
    for name in ("message", "errorMessage", "reason", "error_description", "error", "statusMessage"):
        value = body.get(name)
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, list):
            value = "; ".join(item for item in value if isinstance(item, str))
        if isinstance(value, str) and value.strip():
            return value
    return ""


def retry_after_s(value: str | None, now_ms: int) -> float | None:
    """Seconds from a `Retry-After` header, 0 to 3600; None when it is missing or neither digits nor a date.

    ASCII digits only: `str.isdigit` takes other scripts, `float` takes "1e9" and "-5".
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return RETRY_AFTER_S_MAX if len(text.lstrip("0")) > 4 else min(float(text), RETRY_AFTER_S_MAX)
    try:
        when = parsedate_to_datetime(text)
        if when.tzinfo is None:  # "-0000" gives a naive time; it means UTC
            when = when.replace(tzinfo=UTC)
        seconds = when.timestamp() - now_ms / 1000
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_S_MAX)


def whole_number(value: str | None) -> int | None:
    """A header's count: ASCII digits, at most 15 of them; None for anything else."""
    text = (value or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None
