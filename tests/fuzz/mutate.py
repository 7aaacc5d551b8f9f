"""Valid inputs, changed a little: what no blind search comes to, since most of what is invalid is refused at once."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[^\W\d]\w*|[^\w\s]')
_ODD = (
    *(b"null", b"true", b"-0", b"0.5", b"1e308", b"-1e-400", b"[]", b"{}", b'""', b'"0"', b'"\\ud83d"', b'"\\u0000"'),
    *(b"9" * 20, b"9" * 400, b"9" * 5000, b"[" * 1100, b'{"a":' * 500, b"a." * 1200 + b"a"),
    *(b"," * 9000, b" " * 9000, b";" * 9000, b"(" * 900, b"\xcc\x80\xcc\x96" * 5000),
    *(b"\x00", b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\xd9\xa3", b"\xc2\xb2", b"\r\n", b" " * 300),
    *(b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31T23:59:59.999999-23:59"', b"31 Dec 9999 23:59:59 -9999", b"nan"),
)


def mutated(data: bytes, words: Sequence[bytes], chance: random.Random) -> bytes:
    """One to four changes: a token by another or by an odd one, bytes put in or taken out, a piece said twice."""
    for _ in range(chance.randint(1, 4)):
        begin, end = _somewhere(data, chance)
        what = chance.randrange(5)
        if what == 0:
            piece = chance.choice(_ODD)
        elif what == 1 and words:
            piece = chance.choice(words)
        elif what == 2:
            other, until = _somewhere(data, chance)
            piece = data[other:until]
        elif what == 3:
            piece = data[begin:end] * 2
        else:
            piece = bytes(chance.randrange(256) for _ in range(chance.randrange(4)))
        data = data[:begin] + piece + data[end:]
    return data


def _somewhere(data: bytes, chance: random.Random) -> tuple[int, int]:
    """A token's bounds, or those of a few bytes."""
    at = chance.randint(0, len(data))
    if chance.random() < 0.7 and (token := _TOKEN.search(data, at)):
        return token.span()
    return at, min(len(data), at + chance.randrange(9))
