"""The sandbox's own signing key: HighLevel's private one is HighLevel's."""

from __future__ import annotations

import base64

from nacl.signing import SigningKey

from leadenrich.config.public_key import ed25519_pem


class SandboxKeys:
    """An Ed25519 pair made at start. `public_pem` belongs into `ghl.public_keys`."""

    def __init__(self) -> None:
        self._private = SigningKey.generate()
        self.public_pem = ed25519_pem(bytes(self._private.verify_key))

    def sign(self, body: bytes) -> str:
        """The `X-GHL-Signature` of a raw body."""
        return base64.b64encode(self._private.sign(body).signature).decode()
