import pytest
from hypothesis import given, strategies as st

from leadenrich.core.errors import Permanent, ProviderOut, Transient
from leadenrich.core.job import Reason
from leadenrich.providers.answers import Answer, clean, refusal, retry_after_s, whole_number

NOON_MS = 1_795_435_200_000  # 2026-11-23T12:00:00Z


def an_answer(status, body=b'{"message": "no"}', **more):
    return Answer("p", status, {}, body, **more)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 120 ", 120),
        ("1000", 1000),
        ("3599", 3599),
        ("3600", 3600),
        ("3601", 3600),
        ("00000000000005", 5),
        ("9" * 20, 3600),
        ("9" * 5000, 3600),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30),
        ("Mon, 23 Nov 2026 12:00:30 -0000", 30),
        ("Mon, 23 Nov 2026 13:00:30 +0100", 30),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0),
        ("Mon, 23 Nov 2099 11:00:00 GMT", 3600),
        ("Mon, 23 Nov 0001 11:00:00 +2300", 0),
        ("-5", None),
        ("1e9", None),
        ("1.5", None),
        ("١٢", None),
        ("²", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_in_all_its_spellings(value, seconds):
    assert retry_after_s(value, NOON_MS) == seconds


@given(st.text(max_size=60))
def test_retry_after_never_fails_and_never_leaves_its_bounds(value):
    seconds = retry_after_s(value, NOON_MS)
    assert seconds is None or 0 <= seconds <= 3600


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0", 0),
        (" 42 ", 42),
        ("-1", None),
        ("٣", None),
        ("1" * 15, 111_111_111_111_111),
        ("1" * 16, None),
        (None, None),
    ],
)
def test_counts_in_headers(value, number):
    assert whole_number(value) == number


@pytest.mark.parametrize("status", [100, 199, 408, 425, 500, 501, 502, 503, 504, 520, 599])
def test_what_may_pass(status):
    error = refusal(an_answer(status))
    assert isinstance(error, Transient)
    assert (error.status, error.provider, error.sent) == (status, "p", True)


@pytest.mark.parametrize(("status", "kind"), [(401, "auth"), (403, "auth"), (402, "credit")])
def test_what_concerns_every_lead(status, kind):
    error = refusal(an_answer(status))
    assert isinstance(error, ProviderOut)
    assert (error.kind, error.until_ms) == (kind, None)


@pytest.mark.parametrize("body", [b"error code: 1010", b"<html>no</html>", b""])
def test_a_403_that_is_not_json_is_a_gateways_and_passes(body):
    assert isinstance(refusal(an_answer(403, body)), Transient)


@pytest.mark.parametrize("body", [b"error", b"<html></html>", b""])
def test_a_401_stands_whatever_its_body(body):
    assert isinstance(refusal(an_answer(401, body)), ProviderOut)


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 404, 405, 409, 410, 413, 422, 451])
def test_what_will_never_work_for_this_lead(status):
    error = refusal(an_answer(status))
    assert isinstance(error, Permanent)
    assert error.reason is Reason.REJECTED_BY_PROVIDER


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (422, b'{"message": "no"}', "p answered 422: no"),
        (422, b"<html>no</html>", "p answered 422"),
        (502, b'{"message": "no"}', "p answered 502: no"),
        (401, b'{"message": "no"}', "p answered 401: no"),
        (402, b'{"message": "no"}', "p answered 402: no"),
        (403, b"no", "p answered 403, not in JSON: the vendor's gateway refused"),
        (300, b"", "p answered 300: a redirect, and none is followed; check the base_url"),
        (399, b"", "p answered 399: a redirect, and none is followed; check the base_url"),
        (400, b"", "p answered 400"),
    ],
)
def test_a_refusal_says_who_answered_what_and_what_to_look_at(status, body, text):
    error = refusal(an_answer(status, body))
    assert (str(error), error.provider, error.status) == (text, "p", status)


def test_the_bodys_own_status_counts_where_it_knows_better():
    """RealEstateAPI answers 200 with a status of its own in the body."""
    error = refusal(an_answer(200), 402)
    assert isinstance(error, ProviderOut)
    assert (str(error), error.status, error.kind) == ("p answered 402: no", 402, "credit")


@pytest.mark.parametrize(("body", "why"), [(b"[1]", "it is no JSON object"), (b" \n", "it is empty")])
def test_a_malformed_answer_says_how(body, why):
    with pytest.raises(Transient) as caught:
        an_answer(200, body).object()
    error = caught.value
    assert (str(error), error.provider, error.status) == (
        f"p answered 200, but the answer is malformed: {why}", "p", 200,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["message", "errorMessage", "reason", "error_description", "error", "statusMessage"])
def test_every_member_that_a_vendor_speaks_in_is_read(name):
    assert Answer("p", 400, {}, b'{"other": "x", "%s": "its words"}' % name.encode()).message() == "its words"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "Contact not found"}', "Contact not found"),
        (b'{"message": ["a should not exist", "b is bad"]}', "a should not exist; b is bad"),
        (b'{"statusCode": 401, "statusMessage": "Unauthorized", "error": "Invalid API key"}', "Invalid API key"),
        (b'{"error": {"code": "X", "message": "not you"}}', "not you"),
        (b'{"error": "Rate Limit Exceeded", "message": "", "validation": {}}', "Rate Limit Exceeded"),
        (b'{"error": "UnAuthorized!", "error_description": "code not found"}', "code not found"),
        (b'{"message": 5, "error": null}', ""),
        (b"<html>secret page</html>", ""),
        (b'["message"]', ""),
    ],
)
def test_the_vendors_words_wherever_they_stand(body, words):
    assert an_answer(400, body).message() == words


def test_words_are_cut_and_cleaned_before_anybody_sees_them():
    text = clean("bad\x00\x1b[31m\n\u202etoken sk-1 of ann.b@example.com, +1 (555) 010-9999 " + "x" * 999, ("sk-1",))
    assert text.startswith("bad [31m token [secret] of [email], [number] xxx")
    assert len(text) == 300


@pytest.mark.parametrize("sign", ["\n", "\x7f", "\u202e", "\ud800", "\u2028", "\u2029"])
def test_a_sign_that_cannot_be_seen_is_a_blank(sign):
    """A line break forges a log line, and a direction mark or half a pair spoils it."""
    assert clean(f"a{sign}b") == "a b"


def test_no_more_than_4000_signs_are_looked_at():
    assert clean(" " * 3999 + "yes, but no") == "y"


def test_an_answer_cannot_be_changed():
    with pytest.raises(AttributeError):
        an_answer(200).status = 500
    assert not hasattr(an_answer(200), "__dict__")


def test_an_answer_shows_neither_body_nor_secret():
    assert "hush" not in repr(an_answer(200, b"hush", secrets=("hush",)))


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"data":{"id":1', b"[1]", b"null", b"\xff\xfe", b"<html>", b'{"a": NaN}', b"[" * 100_000],
)
def test_a_good_status_with_a_bad_body_is_malformed(body):
    with pytest.raises(Transient, match="malformed"):
        an_answer(200, body).object()


def test_a_byte_order_mark_does_no_harm():
    assert an_answer(200, b'\xef\xbb\xbf{"a": 12345678901234567890}').object() == {"a": 12345678901234567890}


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("live-key-31337", "the key xlive-key-31337y is unknown", "the key x[secret]y is unknown"),
        ("742 EVERGREEN TER", "no such house: 742 Evergreen Ter.", "no such house: [secret]."),
        ("BROADWAY", "nothing on Broadway", "nothing on [secret]"),
        ("A ST", "a state is required", "a state is required"),
        ("1 A ST", "1 a st is none", "[secret] is none"),
        ("A", "a state is required", "a state is required"),
        ("", "nothing", "nothing"),
    ],
)
def test_what_was_sent_is_not_repeated(secret, text, shown):
    assert clean(text, (secret,)) == shown
