"""Faults of a Lua script. Its comments are left alone, and of its strings all but states and the ends of lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from mutation.mutant import Edit

_COMMENT_OR_STRING: Final = re.compile(rb'--\[\[.*?\]\]|--[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_WORDS: Final[tuple[tuple[bytes, bytes, str], ...]] = (
    (rb"==", b"~=", "comparison"),
    (rb"~=", b"==", "comparison"),
    (rb"<=", b"<", "comparison"),
    (rb">=", b">", "comparison"),
    (rb"<(?!=)", b"<=", "comparison"),
    (rb">(?!=)", b">=", "comparison"),
    (rb"(?<= )\+(?= )", b"-", "arithmetic"),
    (rb"(?<= )-(?= )", b"+", "arithmetic"),
    (rb"(?<= )\*(?= )", b"/", "arithmetic"),
    (rb"\band\b", b"or", "and/or"),
    (rb"\bor\b", b"and", "and/or"),
    (rb"\bnot ", b"", "not removed"),
    (rb"\btrue\b", b"false", "true/false"),
    (rb"\bfalse\b", b"true", "true/false"),
    (rb"\bmath\.max\b", b"math.min", "max/min"),
    (rb"\bmath\.min\b", b"math.max", "max/min"),
)
_STRINGS: Final[dict[bytes, bytes]] = {
    b'"QUEUED"': b'"PROCESSING"',
    b'"PROCESSING"': b'"QUEUED"',
    b'"RETRY_SCHEDULED"': b'"QUEUED"',
    b'"SUCCEEDED"': b'"FAILED_FINAL"',
    b'"FAILED_FINAL"': b'"SUCCEEDED"',
    b'"RPUSH"': b'"LPUSH"',
    b'"LPUSH"': b'"RPUSH"',
    b'"LPOP"': b'"RPOP"',
}
_NUMBER: Final = re.compile(rb"(?<![\w.\[])\d+(?![\w.])|(?<=[a-z]\[)\d+(?=\])")  # not KEYS[1], but fields[1]
_CONDITION: Final = re.compile(rb"\b(?:if|elseif|while)\b(.+?)\b(then|do)\b")
_CALL: Final = re.compile(rb"(?:(?<=\n)|\bthen\b|\belse\b|;)\s*((?:redis\.call|[a-z_]+)\()")
_AFTER_A_STATEMENT: Final = re.compile(rb"[ ]*(?:\n|;|end\b|else\b|\Z)")


def faults(source: bytes) -> list[Edit]:
    masked = _COMMENT_OR_STRING.sub(lambda match: _mask(match[0]), source)
    edits = [
        Edit(match.start(), match.end(), new, kind)
        for pattern, new, kind in _WORDS
        for match in re.finditer(pattern, masked)
    ]
    edits += [Edit(*match.span(), b"%d" % (int(match[0]) + 1), "number + 1") for match in _NUMBER.finditer(masked)]
    edits += _in_strings(source)
    edits += _conditions(masked, source)
    edits += _statements(masked)
    edits += _dropped_fields(masked, source)
    return edits


def _mask(text: bytes) -> bytes:
    """As long as it was, with its lines, and nothing in it that looks like code."""
    if text.startswith(b"--"):
        return re.sub(rb"[^\n]", b" ", text)
    return text[:1] + b"_" * (len(text) - 2) + text[-1:]


def _in_strings(source: bytes) -> Iterator[Edit]:
    for match in _COMMENT_OR_STRING.finditer(source):
        if match[0] in _STRINGS:
            yield Edit(*match.span(), _STRINGS[match[0]], "state or end of a list")


def _conditions(masked: bytes, source: bytes) -> Iterator[Edit]:
    for match in _CONDITION.finditer(masked):
        start, end = match.span(1)
        inside = source[start:end].strip()
        if not re.fullmatch(rb"not [\w.\[\]]+|[^ ]+ [=~]= [^ ]+", inside):  # another fault turns these
            yield Edit(start, end, b" not (" + inside + b") ", "condition turned")
        if masked[match.end() :].lstrip().startswith(b"return"):
            yield Edit(start, end, b" false ", "guard removed")


def _statements(masked: bytes) -> Iterator[Edit]:
    """A call that stands alone, up to the parenthesis that closes it."""
    for match in _CALL.finditer(masked):
        at, depth = match.end(), 1
        while depth and at < len(masked):
            depth += {ord("("): 1, ord(")"): -1}.get(masked[at], 0)
            at += 1
        if _AFTER_A_STATEMENT.match(masked, at):
            yield Edit(match.start(1), at, b"do end", "statement removed")


def _dropped_fields(masked: bytes, source: bytes) -> Iterator[Edit]:
    """Of a HDEL of several fields, each one stays once."""
    for call in re.finditer(rb'redis\.call\("HDEL", [^"()]+((?:, "\w+")+)\)', source):
        fields = list(re.finditer(rb', "\w+"', source[call.start(1) : call.end(1)]))
        for field in fields if len(fields) > 1 else ():
            start = call.start(1)
            yield Edit(start + field.start(), start + field.end(), b"", "field stays")
