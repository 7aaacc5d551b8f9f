"""Runs in the built file before the program: systemd's watchdog means the one file, and the program is its child.

PyInstaller hands on whose the sockets are (LISTEN_PID), but not this. In the Debian package's folder both are one
process, and there is nothing to do.
"""

from __future__ import annotations

import os

if os.environ.get("WATCHDOG_PID") == str(os.getppid()):
    os.environ["WATCHDOG_PID"] = str(os.getpid())
