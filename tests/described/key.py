"""The key of who makes requests up: its public half belongs into `ghl.public_keys` of the server that is asked."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_KEY = Ed25519PrivateKey.from_private_bytes(b"the key of who makes requests up")
PUBLIC_PEM = _KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
sign = _KEY.sign
