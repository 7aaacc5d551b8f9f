"""Ed25519 public keys in PEM form, without a library: OpenSSL's takes eight megabytes and 30 ms of each start."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

KEY_BYTES: Final = 32

_PEM: Final = re.compile(r"\s*-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END PUBLIC KEY-----\s*")
# SubjectPublicKeyInfo of Ed25519 has one form (RFC 8410, section 4): this, then the key.
_HEAD: Final = bytes.fromhex("302a300506032b6570032100")


class NoPublicKey(ValueError):
    """The text is no public key in PEM form."""


class NotEd25519(ValueError):
    """It is a public key, of another kind."""


def ed25519_key(pem: str) -> bytes:
    """The key's 32 bytes. Raises: NoPublicKey, NotEd25519."""
    found = _PEM.fullmatch(pem)
    try:
        der = base64.b64decode("".join(found[1].split()), validate=True) if found else b""
    except binascii.Error as error:
        raise NoPublicKey(str(error)) from None
    if der.startswith(_HEAD) and len(der) == len(_HEAD) + KEY_BYTES:
        return der[len(_HEAD) :]
    if len(der) >= len(_HEAD) + KEY_BYTES and der[0] == 0x30:
        raise NotEd25519("a key of another algorithm")
    raise NoPublicKey("not a public key in PEM form")


def ed25519_pem(key: bytes) -> str:
    """The PEM text of a key's 32 bytes."""
    return f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(_HEAD + key).decode()}\n-----END PUBLIC KEY-----\n"
