"""What Redis says against us, in the words of its versions, and what we are told to change."""

from __future__ import annotations

import pytest
from redis import exceptions as redis_errors

from leadenrich.store.refusals import is_refusal, what_to_change

COMMANDS = "allow this user the commands that systemd/redis-leadenrich-acl.conf lists"
KEYS = "allow this user the keys le:*"


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (redis_errors.NoPermissionError("this user has no permissions to run the 'evalsha' command"), COMMANDS),
        (redis_errors.ResponseError("The user executing the script can't run this command or subcommand"), COMMANDS),
        (redis_errors.ResponseError("ACL failure in script: User x has no permissions to run 'x'"), COMMANDS),
        (redis_errors.NoPermissionError("No permissions to access a key"), KEYS),
        (redis_errors.NoPermissionError("this user has no permissions to access one of the keys"), KEYS),
        (redis_errors.ResponseError("The user executing the script can't access at least one of the keys"), KEYS),
        (redis_errors.AuthenticationError("invalid username-password pair or user is disabled."), "check user"),
        (
            redis_errors.ConnectionError(
                "Error 1 connecting to redis:6379. [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
                "certificate has expired (_ssl.c:1006)."
            ),
            "renew Redis' certificate",
        ),
    ],
)  # fmt: skip
def test_a_refusal_names_its_cure(error: Exception, cure: str) -> None:
    assert is_refusal(error)
    assert cure in what_to_change(error)


def test_protected_mode_is_no_matter_of_a_password_of_ours() -> None:
    said = "DENIED Redis is running in protected mode because protected mode is enabled and no password is set"
    assert what_to_change(redis_errors.ResponseError(said)).endswith(
        "give Redis a password, or let it listen on the loopback"
    )


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis_errors.ConnectionError("Error 111 connecting to 127.0.0.1:6379. Connection refused."),
        redis_errors.ConnectionError("Error 2 connecting to unix:/run/redis.sock. No such file or directory."),
        redis_errors.TimeoutError("Timeout connecting to server"),
    ],
)
def test_what_may_pass_by_itself_is_none(error: Exception) -> None:
    assert not is_refusal(error)
