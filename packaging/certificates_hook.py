"""Runs in the built file before the program: where this system keeps the certificates that https is checked with.

The OpenSSL inside was built for Debian and looks where Debian keeps them; others keep them elsewhere.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

PLACES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine, without the openssl package too
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL and their like
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",
)

found = ssl.get_default_verify_paths()  # what the environment says (SSL_CERT_FILE, SSL_CERT_DIR) is in it already
if found.cafile is None and (found.capath is None or not any(Path(found.capath).iterdir())):
    for place in PLACES:
        if Path(place).is_file():
            os.environ["SSL_CERT_FILE"] = place
            break
