"""Wiring and life: opens, connects and closes everything; both halves, or one."""

import sys

if sys.modules.keys().isdisjoint(("rich", "structlog")):
    # structlog loads rich where it is installed, for tracebacks that our log writes itself: 40 ms and 3 MiB a daemon.
    sys.modules["rich"] = None  # type: ignore[assignment]  # to an import: not installed
    import structlog  # noqa: F401

    del sys.modules["rich"]

from leadenrich.daemon.life import CannotStart, Running, ServeOptions, serve

__all__ = ["CannotStart", "Running", "ServeOptions", "serve"]
