"""The sandbox's own signing key: HighLevel's private one is HighLevel's."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class SandboxKeys:
    """An Ed25519 pair made at start. `public_pem` belongs into `ghl.public_keys`."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        public = self._private.public_key()
        self.public_pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, body: bytes) -> str:
        """The `X-GHL-Signature` of a raw body."""
        return base64.b64encode(self._private.sign(body)).decode()
