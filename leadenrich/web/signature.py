"""HighLevel's signature of an app webhook: Ed25519 over the raw body. No other algorithm, no fallback."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from leadenrich.config.public_key import NoPublicKey, NotEd25519, ed25519_key

SIGNATURE_HEADER: Final = "X-GHL-Signature"

# Source: HighLevel's webhook integration guide, the key of X-GHL-Signature, read 2026-11.
PUBLISHED_KEY: Final = """\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg=
-----END PUBLIC KEY-----
"""

_SIGNATURE_BYTES: Final = 64


class Verifier:
    """Holds the keys that may have signed; several while one replaces another."""

    def __init__(self, pems: Sequence[str] = ()) -> None:
        """Empty: the vendor's published key. Raises: ValueError, for a text that is not an Ed25519 public key."""
        self._keys = [_load(pem) for pem in pems or (PUBLISHED_KEY,)]

    def accepts(self, signatures: Sequence[str], *bodies: bytes) -> bool:
        """Whether the one signature (the header's values) fits one of the bodies. About 60 µs a key and body."""
        if len(signatures) != 1:
            return False
        signature = _decode(signatures[0])
        return signature is not None and any(_fits(key, signature, body) for key in self._keys for body in bodies)


def _load(pem: str) -> VerifyKey:
    try:
        return VerifyKey(ed25519_key(pem))  # libsodium checks in half the time that OpenSSL takes, docs/adr/0022
    except NotEd25519:
        raise ValueError("not an Ed25519 key; the RSA key of X-WH-Signature is no longer in use") from None
    except NoPublicKey as error:
        raise ValueError(f"not a public key in PEM form: {error}") from None


def _decode(text: str) -> bytes | None:
    """The 64 bytes, or None. Only the canonical spelling counts, so that no changed header is ever accepted."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    return raw if len(raw) == _SIGNATURE_BYTES and base64.b64encode(raw).decode() == text else None


def _fits(key: VerifyKey, signature: bytes, body: bytes) -> bool:
    try:
        key.verify(body, signature)
    except BadSignatureError:
        return False
    return True
