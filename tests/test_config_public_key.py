"""Public keys in PEM form: read as the library reads them, and refused where it would refuse them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from leadenrich.config.public_key import NoPublicKey, NotEd25519, ed25519_key, ed25519_pem

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()


def pem_of(key: object) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("change", ["", "\n\n", "crlf", "indented"])
def test_a_key_is_read_as_the_library_reads_it(change: str) -> None:
    pem = pem_of(KEY)
    spelled = {"crlf": pem.replace("\n", "\r\n"), "indented": pem.replace("\n", "\n  ")}.get(change, pem + change)
    assert ed25519_key(spelled) == KEY.public_bytes_raw()


@pytest.mark.parametrize(
    "key", [X25519PrivateKey.generate().public_key(), generate_private_key(SECP256R1()).public_key()]
)
def test_a_key_of_another_algorithm_is_told_apart(key: object) -> None:
    with pytest.raises(NotEd25519):
        ed25519_key(pem_of(key))


@pytest.mark.parametrize(
    "text",
    ["", "key", pem_of(KEY)[:-5], pem_of(KEY).replace("MCow", "MC*w"), pem_of(KEY).replace("MCow", "MCo"),
     "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", pem_of(KEY) + "more", pem_of(KEY) * 2],
)  # fmt: skip
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(NoPublicKey):
        ed25519_key(text)


def test_what_is_written_is_what_the_library_writes() -> None:
    assert ed25519_pem(KEY.public_bytes_raw()) == pem_of(KEY)
