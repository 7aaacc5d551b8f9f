"""The log's lines: their shape, their level, where they go."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from datetime import datetime

import pytest
import structlog

from leadenrich.config import LogSettings
from leadenrich.core.job import Event, Lane, Reason
from leadenrich.core.retry import Failure, describe
from leadenrich.telemetry.logs import LineBudget, configure, job_event

SECRET = "pit-8d1c-hunter2"
JOB = {"job_id": "j1", "contact_id": "c1", "location_id": "l1", "lane": Lane.LIVE, "attempt": 2}


@pytest.fixture(autouse=True)
def _put_logging_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    for name in ("aiohttp", "asyncio", "redis", "backoff", "hiredis"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.getLogger("aiohttp.server").filters.clear()
    structlog.reset_defaults()


def logged(**settings: str) -> io.StringIO:
    stream = io.StringIO()
    configure(LogSettings(**{"format": "json", **settings}), secrets=[SECRET], stream=stream)
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if "leadenrich" in type(handler).__module__]
    return stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_jobs_event_carries_the_names_of_the_contract() -> None:
    stream = logged()
    job_event(Event.COMPLETED, **JOB, outcome="QUALIFIED")
    [line] = lines(stream)
    assert list(line)[:8] == ["time", "level", "event", "job_id", "contact_id", "location_id", "lane", "attempt"]
    assert line | {"time": ""} == {
        "time": "",
        "level": "info",
        "event": "completed",
        "job_id": "j1",
        "contact_id": "c1",
        "location_id": "l1",
        "lane": "live",
        "attempt": 2,
        "outcome": "QUALIFIED",
    }
    stamp = str(line["time"])
    assert stamp.endswith("Z")
    assert len(stamp) == len("2026-11-24T07:15:26.904Z")
    assert datetime.fromisoformat(stamp).utcoffset() is not None


def test_a_failure_carries_its_error_and_stack() -> None:
    stream = logged()
    try:
        raise ValueError(f"refused {SECRET}")
    except ValueError as error:
        job_event(Event.FAILED, **JOB, failure=describe(error))
    job_event(Event.FAILED, **JOB, reason="cancelled")
    failed, cancelled = lines(stream)
    assert failed["level"] == "error"
    assert failed["error"] == "ValueError: refused ********"
    assert "test_a_failure_carries_its_error_and_stack" in str(failed["stack"])
    assert (cancelled["error"], cancelled["stack"]) == ("", "")


EXPECTED = {"missing_address", "bad_address", "property_not_found", "contact_not_found", "cancelled"}


@pytest.mark.parametrize("reason", list(Reason))
def test_nobody_is_woken_for_an_end_that_is_the_lead_s(reason: Reason) -> None:
    stream = logged()
    job_event(Event.FAILED, **JOB, reason=reason.value)
    assert (lines(stream)[0]["level"] == "warning") is (reason.value in EXPECTED)


@pytest.mark.parametrize("more", [{"outcome": "NO_MATCH"}, {"reason": "contact_not_found"}])
def test_on_the_console_an_expected_end_has_no_stack(more: dict[str, str]) -> None:
    """It would bury the other lines; for programs it is there."""
    failure = Failure("NotFound: no such property", "Traceback (most recent call last):\n  ...")
    for shape, shown in (("console", False), ("json", True)):
        stream = logged(format=shape)
        job_event(Event.FAILED, **JOB, failure=failure, **more)
        assert "no such property" in stream.getvalue()
        assert ("Traceback" in stream.getvalue()) is shown
    stream = logged(format="console")
    job_event(Event.FAILED, **JOB, failure=failure, reason="internal_error")
    assert "    Traceback" in stream.getvalue()


@pytest.mark.parametrize("event", list(Event))
def test_every_event_can_be_logged(event: Event) -> None:
    stream = logged()
    job_event(event, **JOB)
    assert lines(stream)[0]["event"] == event.value


def test_an_exception_is_unfolded_and_cleaned() -> None:
    stream = logged()
    try:
        raise RuntimeError(f"key {SECRET}")
    except RuntimeError:
        structlog.get_logger().exception("broken")
    assert SECRET not in stream.getvalue()
    assert lines(stream)[0]["error"] == "RuntimeError: key ********"


def test_the_level_holds_for_us_and_for_libraries() -> None:
    stream = logged(level="warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("anything").info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_libraries_speak_from_a_warning_on_unless_debugging() -> None:
    stream = logged()
    logging.getLogger("aiohttp.client").info("quiet")
    logging.getLogger("redis.client").warning("gone %s", SECRET)
    assert [(line["logger"], line["event"]) for line in lines(stream)] == [("redis.client", "gone ********")]
    stream = logged(level="debug")
    logging.getLogger("aiohttp.client").debug("heard")
    assert "heard" in stream.getvalue()


def test_a_reload_changes_what_loggers_made_before_it_do() -> None:
    logger = structlog.get_logger("made.at.import")
    first = logged(level="error")
    logger.info("one")
    second = logged(level="info")
    logger.info("two")
    logging.getLogger("std").warning("three")
    assert first.getvalue() == ""
    assert [line["event"] for line in lines(second)] == ["two", "three"]


def test_journald_is_told_the_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1234")
    stream = logged()
    for level in ("info", "warning", "error", "critical"):
        getattr(structlog.get_logger(), level)(level)
    assert [line[:4] for line in stream.getvalue().splitlines()] == ["<6>{", "<4>{", "<3>{", "<2>{"]


def test_auto_is_json_where_nobody_looks() -> None:
    stream = logged(format="auto")
    structlog.get_logger().info("x")
    assert lines(stream)[0]["event"] == "x"


def test_a_line_is_one_line_of_ascii_whatever_is_in_it() -> None:
    for settings in ({"format": "json"}, {"format": "console"}):
        stream = logged(**settings)
        structlog.get_logger().info("a\nb\x1b[31m\u2028é", value="x\r\ny\x00\ud800", **{"k\n": 1})
        assert stream.getvalue().count("\n") == 1
        assert stream.getvalue().rstrip("\n").isascii()
        assert stream.getvalue().rstrip("\n").isprintable()


def test_the_console_has_no_colour_off_a_terminal_and_shows_a_stack() -> None:
    stream = logged(format="console")
    try:
        raise ValueError("x")
    except ValueError:
        structlog.get_logger().exception("broken", job_id="j1", note="two words")
    head, *below = stream.getvalue().splitlines()
    assert "error   broken" in head
    assert 'job_id=j1 note="two words" error="ValueError: x"' in head
    assert below[0] == "    Traceback (most recent call last):"


@pytest.mark.parametrize(("no_color", "painted"), [("", True), ("1", False)])
def test_no_color_is_honoured_on_a_terminal(monkeypatch: pytest.MonkeyPatch, no_color: str, painted: bool) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as terminal, os.fdopen(master, "rb", buffering=0) as seen:
        configure(LogSettings(), stream=terminal)
        structlog.get_logger().info("hello")
        assert (b"\x1b[" in seen.read(1000)) is painted


def test_a_flood_of_one_logger_is_held_back_and_counted() -> None:
    now = [100.0]
    budget = LineBudget(10, clock=lambda: now[0])
    record = logging.LogRecord("aiohttp.server", logging.ERROR, "", 0, "x", None, None)
    assert [budget.filter(record) for _ in range(15)] == [True] * 10 + [False] * 5
    now[0] += 1
    assert budget.filter(record)
    assert record.suppressed == 5
    assert budget.filter(record)
    assert record.suppressed == 0


def test_malformed_requests_cannot_fill_the_disk() -> None:
    """Configured twice: a reload must not stack budgets or handlers."""
    logged()
    stream = logged()
    for _ in range(50):
        logging.getLogger("aiohttp.server").error("Error handling request")
    assert 10 <= len(lines(stream)) <= 20


def test_a_log_call_with_wrong_arguments_does_not_fail_its_caller(capsys: pytest.CaptureFixture[str]) -> None:
    stream = logged()

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    logging.getLogger("x").warning("%d %d", SECRET)
    logging.getLogger("x").warning("%s", Broken())
    structlog.get_logger().warning("y", value=Broken())
    assert lines(stream)[-1]["value"] == "<unprintable Broken>"
    assert capsys.readouterr().err == ""
