"""Nothing secret leaves, wherever it stands and whatever stands around it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from leadenrich.telemetry.redaction import MASK, Redactor

SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=4, max_size=30)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


def nested(secret: str) -> st.SearchStrategy[Any]:
    """Any value, with the secret somewhere in it."""
    holding = st.tuples(st.text(max_size=5), st.text(max_size=5)).map(lambda around: secret.join(around))
    leaf = PLAIN | holding
    return st.recursive(
        leaf,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(max_size=8) | holding, inner, max_size=4)
            | st.tuples(inner, inner)
        ),
        max_leaves=12,
    )


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for name, member in value.items() for text in (name, *texts(member))]
    if isinstance(value, list):
        return [text for member in value for text in texts(member)]
    return [str(value)] if not isinstance(value, bool) and value is not None else []


@given(st.data(), st.lists(SECRETS, min_size=1, max_size=3))
def test_no_known_secret_survives_anywhere(data: st.DataObject, secrets: list[str]) -> None:
    value = data.draw(nested(data.draw(st.sampled_from(secrets))))
    cleaned = Redactor(secrets).fields({"event": value, "more": [value], "error": RuntimeError(value)})
    for text in texts(cleaned):
        # Our own marks around a cut or an unprintable sign are no leak.
        assert not any(secret in text for secret in secrets if secret not in "\\x00 [...] unprintable")
    line = json.dumps(cleaned, ensure_ascii=True, allow_nan=False)
    assert line.isascii()
    assert "\n" not in line


NAMES = st.sampled_from(["event", "job_id", "codes", "note", "phone", "api_key", "é", "a\nb"]) | st.text(max_size=5)
NOTES = st.sampled_from(
    ["ann@example.com", "+1 555 123 4567", "Bearer abcdef0123456789", "\x7f", "null", "10", "two words"]
)


@given(st.data(), st.lists(SECRETS, max_size=2), st.booleans())
def test_a_line_taken_at_a_glance_is_the_one_that_a_closer_look_gives(
    data: st.DataObject, secrets: list[str], personal: bool
) -> None:
    value = PLAIN | NOTES | st.lists(NOTES, max_size=3) | st.dictionaries(NAMES, NOTES, max_size=2)
    line = data.draw(st.dictionaries(NAMES, value | st.sampled_from(secrets or ["x"]), max_size=6))
    redactor = Redactor(secrets)
    glance = redactor.plain_json(line, personal=personal)
    if glance is not None:
        assert json.loads(glance) == redactor.fields(line, personal=personal)
        assert glance.isascii()
        assert "\n" not in glance


def test_a_job_s_usual_line_is_taken_at_a_glance() -> None:
    line = {
        "time": "2026-11-24T07:15:26.904Z",
        "event": "completed",
        "attempt": 1,
        "alone": False,
        "codes": ["MLS_ACTIVE"],
    }
    assert json.loads(Redactor(["hunter2"]).plain_json(line) or "") == line


@given(st.text(min_size=1, max_size=40), st.sampled_from(["token", "X-Api-Key", "apiKey", "Authorization", "secret"]))
def test_what_is_called_secret_is_masked_at_every_level(text: str, name: str) -> None:
    for personal in (True, False):
        assert Redactor().fields({"a": [{name: text}]}, personal=personal) == {"a": [{name: MASK}]}


@pytest.mark.parametrize(
    "name",
    [
        "admin_token",
        "webhookToken",
        "client-secret",
        "HTTP.Authorization",
        "api_key",
        "apikey",
        "password",
        "Set-Cookie",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert Redactor().fields({name: "x"}) == {name: MASK}


@pytest.mark.parametrize(
    "name", ["tokens_used", "event", "attempt", "street_number_count", "secretary", "emailed", "name"]
)
def test_names_of_no_secrets(name: str) -> None:
    assert Redactor().fields({name: "x"}) == {name: "x"}


def test_personal_data_is_shown_to_a_debugger_only() -> None:
    members = {"phone": "+15551234567", "note": "mail ann@example.com or +1 555 123 4567"}
    assert Redactor().fields(members) == {"phone": MASK, "note": f"mail {MASK} or {MASK}"}
    assert Redactor().fields(members, personal=False) == members


def test_credentials_in_urls_and_headers_are_masked() -> None:
    clean = Redactor().text
    assert clean("redis://user:pa/ss@host:1/0") == f"redis://{MASK}@host:1/0"
    assert clean("Authorization: Bearer abcdef0123456789") == f"Authorization: Bearer {MASK}"


def test_a_secret_is_masked_in_its_url_form_and_as_a_number_too() -> None:
    redactor = Redactor(["a b/c?", "123456"])
    assert redactor.text("GET /?token=a%20b%2Fc%3F") == f"GET /?token={MASK}"
    assert redactor.fields({"n": 123456, "m": 7}) == {"n": MASK, "m": 7}


def test_of_two_secrets_the_longer_goes_first() -> None:
    assert Redactor(["abcd", "abcdefgh"]).text("abcdefgh") == MASK


def test_ids_and_times_stay_readable() -> None:
    members = {
        "job_id": "01JD3K",
        "contact_id": "ve9EPM428h8vShlRW1KT",
        "until": 1795504580603,
        "ratio": 0.5,
        "ok": True,
    }
    assert Redactor(["hunter2"]).fields(members) == members


def test_no_value_is_too_large_or_too_deep() -> None:
    deep: list[Any] = []
    deep.append(deep)
    cleaned = Redactor().fields({"deep": deep, "long": "x" * 100_000, "many": list(range(1000)), "big": 10**5000})
    assert len(json.dumps(cleaned)) < 30_000


def test_signs_that_a_terminal_obeys_are_spelled_out() -> None:
    assert Redactor().text("\x1b[2J\x9b\x7f\u202e\r") == "\\x1b[2J\\x9b\\x7f\\u202e\\x0d"
