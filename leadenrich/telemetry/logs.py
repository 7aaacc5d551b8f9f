"""The log: JSON lines or a console, redacted, on stderr; the libraries' own lines go the same way."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, TextIO, TypeAlias, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from leadenrich.config import LogSettings
from leadenrich.core.job import Event, Lane, Reason
from leadenrich.core.retry import Failure
from leadenrich.telemetry.console import render_console
from leadenrich.telemetry.redaction import Redactor
from leadenrich.telemetry.sink import Sink

_Render: TypeAlias = Callable[[Mapping[str, object]], str]
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

# syslog(3): journald reads them from the front of a line
_PRIORITY: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_NAMES: Final = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}  # of the levels of events
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_METHODS: Final = {"warn": "warning", "exception": "error", "err": "error", "fatal": "critical"}  # by their level
_FIRST: Final = ("time", "level", "event", "job_id", "contact_id", "location_id", "lane", "attempt")
_IDS: Final = frozenset({"job_id", "contact_id", "location_id"})
_SERVER_LINES_PER_S: Final = 10
# Chatty below a warning; `log.level = "debug"` shows what they say.
_LIBRARIES: Final = ("aiohttp", "asyncio", "redis", "backoff", "hiredis")

_EVENT_LEVELS: Final[Mapping[Event, int]] = {
    Event.FAILED: logging.ERROR,
    Event.RETRYING: logging.WARNING,
    Event.STALLED: logging.WARNING,
    Event.THROTTLED: logging.WARNING,
    Event.PROVIDER_PAUSED: logging.WARNING,
}

# Reasons to fail that are nobody's mistake; an outcome (no match, no address) is none either.
_EXPECTED: Final = frozenset(
    {
        Reason.MISSING_ADDRESS,
        Reason.BAD_ADDRESS,
        Reason.PROPERTY_NOT_FOUND,
        Reason.CONTACT_NOT_FOUND,
        Reason.CANCELLED,
    }
)


def configure(settings: LogSettings, *, secrets: Collection[str] = (), stream: TextIO | None = None) -> None:
    """Send every line of this process to `stream` (stderr), in the format asked for. Safe to repeat: a reload does.

    `secrets` are replaced by asterisks wherever they turn up in a line.
    """
    global _writer  # as structlog's configuration is: the process's
    target = sys.stderr if stream is None else stream
    terminal = _is_terminal(target)
    console = settings.format == "console" or (settings.format == "auto" and terminal)
    level = _LEVELS[settings.level]
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    redactor = Redactor(secrets)
    if console:
        render: _Render = _Console(redactor, colour=colour)
    else:
        render = _Json(redactor, priority=bool(os.environ.get("JOURNAL_STREAM")))
    writer = _writer = _Writer(Sink(target), render, level)
    structlog.configure(
        processors=[_compose],  # one: each more is a call for each line
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_names: writer,
        cache_logger_on_first_use=False,  # loggers made at import time must see a later reload
    )
    _route_stdlib(level)


def is_heard(event: Event, more: Mapping[str, object]) -> bool:
    """Whether a line of this event is written at all: asked before anything is made ready for it."""
    return _writer is not None and _level(event, more) >= _writer.level


def job_event(
    event: Event,
    *,
    job_id: str,
    contact_id: str,
    location_id: str,
    lane: Lane,
    attempt: int,
    failure: Failure | None = None,
    **more: object,
) -> None:
    """One line for an event of a job's life, under the names that people and scripts rely on.

    `failure` becomes `error` and `stack`; `failed` always carries both. An empty id is left out. Nearly all lines are
    such, so they go to the writer directly, and nowhere before `configure`.
    """
    if _writer is None or (level := _level(event, more)) < _writer.level:
        return
    line: dict[str, object] = {
        "time": _now(),
        "level": _NAMES[level],
        "event": event.value,
        "job_id": job_id,
        "contact_id": contact_id,
        "location_id": location_id,
        "lane": lane.value,
        "attempt": attempt,
        **more,
    }
    if not (job_id and contact_id and location_id):  # an event that became no job has no id to look for
        line = {name: value for name, value in line.items() if value or name not in _IDS}
    if failure is not None or event is Event.FAILED:
        shown = failure or Failure("")
        line |= {"error": shown.error, "stack": shown.trace}
    _writer.write(line)


def _level(event: Event, more: Mapping[str, object]) -> int:
    # A lead without a usable address is the lead's fault: it is told, but nobody has to be woken for it.
    if event is Event.FAILED and (more.get("outcome") is not None or more.get("reason") in _EXPECTED):
        return logging.WARNING
    return _EVENT_LEVELS.get(event, logging.INFO)


class LineBudget(logging.Filter):
    """At most `per_second` lines in a second; the next line let through tells how many were not.

    aiohttp logs a stack for each malformed request: anybody could fill the disk with them.
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._per_second = per_second
        self._clock = clock
        self._began = -1.0
        self._passed = 0
        self._held_back = 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        if now - self._began >= 1 or self._began < 0:
            self._began, self._passed = now, 0
        if self._passed >= self._per_second:
            self._held_back += 1
            return False
        self._passed += 1
        record.suppressed, self._held_back = self._held_back, 0
        return True


class _Writer:
    """What structlog calls last: takes the members of a line, cleans, renders and writes it."""

    def __init__(self, sink: Sink, render: _Render, level: int) -> None:
        self.level = level
        self._sink = sink
        self._render = render

    def msg(self, /, **line: object) -> None:
        self.write(line)

    def write(self, line: Mapping[str, object]) -> None:
        if self._sink.dropped:
            lost = self._sink.dropped
            if self._sink.write(self._render(_stamped("warning", "log_lines_dropped") | {"count": lost}) + "\n"):
                self._sink.dropped -= lost
        self._sink.write(self._render(line) + "\n")

    log = debug = info = warn = warning = error = critical = fatal = failure = err = exception = msg


_writer: _Writer | None = None


class _Json:
    """A line as JSON, cleaned. `priority`: with syslog's priority in front, which journald reads."""

    def __init__(self, redactor: Redactor, *, priority: bool) -> None:
        self._redactor = redactor
        self._priority = priority

    def __call__(self, line: Mapping[str, object]) -> str:
        level = line.get("level")
        personal = level != "debug"
        text = self._redactor.plain_json(line, personal=personal)
        if text is None:
            cleaned = self._redactor.fields(line, personal=personal)
            text = json.dumps(cleaned, ensure_ascii=True, separators=(",", ":"))
        return f"<{_PRIORITY.get(str(level), 6)}>{text}" if self._priority else text


class _Console:
    """A line for a person, cleaned."""

    def __init__(self, redactor: Redactor, *, colour: bool) -> None:
        self._redactor = redactor
        self._colour = colour

    def __call__(self, line: Mapping[str, object]) -> str:
        cleaned = self._redactor.fields(line, personal=line.get("level") != "debug")
        return render_console(cleaned, colour=self._colour)


class _Bridge(logging.Handler):
    """Hands the lines of the standard library's loggers to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            members: dict[str, object] = {"logger": record.name}
            if held_back := getattr(record, "suppressed", 0):
                members["suppressed"] = held_back
            if record.exc_info and record.exc_info[0] is not None:
                members["exc_info"] = record.exc_info
            logger = cast(FilteringBoundLogger, structlog.get_logger())
            logger.log(_known_level(record.levelno), _message(record), **members)
        except Exception:  # noqa: BLE001  logging must not fail its caller, whatever an argument's __str__ does
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the line: the default prints the unredacted arguments."""


def _route_stdlib(level: int) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(level)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.DEBUG if level <= logging.DEBUG else max(level, logging.WARNING))
    server = logging.getLogger("aiohttp.server")
    for old in [budget for budget in server.filters if isinstance(budget, LineBudget)]:
        server.removeFilter(old)
    server.addFilter(LineBudget(_SERVER_LINES_PER_S))


def _compose(_logger: WrappedLogger, method: str, event_dict: EventDict) -> dict[str, Any]:
    """All members of a line, in their order."""
    event_dict["time"] = _now()
    event_dict["level"] = _METHODS.get(method, method)
    if "exc_info" in event_dict:
        _unfold_exception(event_dict)
    first = {name: event_dict[name] for name in _FIRST if name in event_dict}
    return {**first, **event_dict}


def _stamped(level: str, event: str) -> dict[str, object]:
    return {"time": _now(), "level": level, "event": event}


def _now() -> str:
    seconds, ms = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_to_the_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=2)  # thousands of lines fall into one second
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _unfold_exception(event_dict: EventDict) -> None:
    """`exc_info` as `error` and `stack`, before the redaction: exceptions quote what they were given."""
    info = event_dict.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else (info[1] if isinstance(info, tuple) else None)
    if error is None and info:
        error = sys.exc_info()[1]
    if error is not None:
        event_dict.setdefault("error", f"{type(error).__name__}: {error}")
        event_dict.setdefault("stack", "".join(traceback.format_exception(error)))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit their format
        return str(record.msg)


def _known_level(level: int) -> int:
    """structlog knows the five standard levels only."""
    return max(logging.DEBUG, min(logging.CRITICAL, level // 10 * 10))


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (ValueError, AttributeError):  # closed
        return False
