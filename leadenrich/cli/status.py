"""What the process says with its exit status."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
FAILED: Final = 1  # the work failed
USAGE: Final = 2  # argparse's own
NO_REDIS: Final = 69  # EX_UNAVAILABLE: Redis cannot be reached at start
WRONG_CONFIG: Final = 78  # EX_CONFIG; the unit does not restart on it
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
