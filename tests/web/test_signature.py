"""Only what HighLevel signed, byte for byte, is accepted."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import assume, given, settings, strategies as st

from leadenrich.web.signature import PUBLISHED_KEY, SIGNATURE_HEADER, Verifier

BODY = b'{"type":"ContactCreate","id":"nmFmQEsNgz6AVpgLVUJ0"}'
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNED = KEY.sign(BODY)
RIGHT = base64.b64encode(SIGNED).decode()


@pytest.fixture(scope="module")
def verifier(pem_of: Callable[[Ed25519PrivateKey], str]) -> Verifier:
    return Verifier((pem_of(KEY),))


def test_the_right_signature_is_accepted(verifier: Verifier) -> None:
    assert verifier.accepts([RIGHT], BODY)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "N/A",
        "n/a",
        "nonsense",
        RIGHT[:-4],
        RIGHT + "AAAA",
        RIGHT.rstrip("="),
        RIGHT + " ",
        RIGHT.replace(RIGHT[3], "é", 1),
        "\udcff" * 88,
        base64.b64encode(b"\0" * 64).decode(),
        base64.b64encode(b"\0" * 256).decode(),
        "=" * 88,
    ],
)
def test_anything_else_is_not(verifier: Verifier, header: str) -> None:
    assert not verifier.accepts([header], BODY)


def test_missing_and_doubled_headers_are_not(verifier: Verifier) -> None:
    assert not verifier.accepts([], BODY)
    assert not verifier.accepts([RIGHT, RIGHT], BODY)


@settings(max_examples=400, deadline=None)
@given(at=st.integers(0, 87), to=st.characters(codec="utf-8"))
def test_no_changed_character_of_the_header_is_accepted(verifier: Verifier, at: int, to: str) -> None:
    """Not even one that decodes to the same bytes."""
    assume(RIGHT[at] != to)
    assert not verifier.accepts([RIGHT[:at] + to + RIGHT[at + 1 :]], BODY)


def test_no_other_spelling_of_the_same_bytes_is_accepted(verifier: Verifier) -> None:
    """The last letter before the padding has four bits that say nothing: fifteen more letters decode to the same."""
    letters = [letter for letter in string.ascii_letters + string.digits + "+/" if letter != RIGHT[85]]
    same = [text for text in (RIGHT[:85] + letter + "==" for letter in letters) if base64.b64decode(text) == SIGNED]
    assert len(same) == 15
    assert not [text for text in same if verifier.accepts([text], BODY)]


def test_a_signature_fits_any_one_of_several_bodies(verifier: Verifier) -> None:
    """A body may have come compressed: HighLevel may have signed what it sent, or what was in it."""
    assert verifier.accepts([RIGHT], b"compressed", BODY)
    assert verifier.accepts([RIGHT], BODY, b"compressed")
    assert not verifier.accepts([RIGHT], b"compressed", b"another")
    assert not verifier.accepts([RIGHT])


def test_the_header_is_the_vendors() -> None:
    assert SIGNATURE_HEADER == "X-GHL-Signature"


@settings(max_examples=400, deadline=None)
@given(body=st.one_of(st.binary(), st.integers(0, len(BODY) * 8 - 1)))
def test_no_other_body_is_accepted(verifier: Verifier, body: bytes | int) -> None:
    if isinstance(body, int):
        changed = bytearray(BODY)
        changed[body // 8] ^= 1 << (body % 8)
        body = bytes(changed)
    assume(body != BODY)
    assert not verifier.accepts([RIGHT], body)


@settings(max_examples=100, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32))
def test_no_other_key_is_accepted(verifier: Verifier, seed: bytes) -> None:
    assume(seed != bytes(range(32)))
    other = Ed25519PrivateKey.from_private_bytes(seed)
    assert not verifier.accepts([base64.b64encode(other.sign(BODY)).decode()], BODY)


def test_two_keys_serve_while_one_replaces_the_other(pem_of: Callable[[Ed25519PrivateKey], str]) -> None:
    old, new = KEY, Ed25519PrivateKey.generate()
    both = Verifier((pem_of(old), pem_of(new)))
    for key in (old, new):
        assert both.accepts([base64.b64encode(key.sign(BODY)).decode()], BODY)


def test_an_rsa_key_is_refused_at_the_start() -> None:
    """The algorithm is fixed: a key of another kind cannot be swapped in."""
    public = generate_private_key(65537, 2048).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ValueError, match=r"^not an Ed25519 key; the RSA key of X-WH-Signature"):
        Verifier((pem,))
    with pytest.raises(ValueError, match="PEM"):
        Verifier(("-----BEGIN NOTHING-----",))


def test_the_default_key_is_the_published_one() -> None:
    assert not Verifier().accepts([RIGHT], BODY)
    published = Path(__file__).parents[2] / ".." / "shared" / "apis" / "ghl" / "keys" / "webhook-ed25519.pem"
    if not published.exists():
        pytest.skip("the vendor's key file is not beside this repository")
    assert published.read_text().split() == PUBLISHED_KEY.split()
