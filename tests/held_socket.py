"""systemd's side, played by the tests: a socket that outlives the daemons on it, and the socket that they report to."""

from __future__ import annotations

import asyncio
import select
import socket
import sys
from pathlib import Path

# What systemd does between fork and exec: the socket at descriptor 3, and the variables that tell whose it is.
_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="leadenrich.socket")
os.execv(sys.argv[2], sys.argv[2:])
"""


class HeldSocket:
    """Listens from the start to the end, whoever comes and goes at it."""

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            self.socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        else:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.bind(str(path))
            self.socket.listen(4096)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def command(self, *command: str) -> list[str]:
        """Runs this command, a program by its path, as a service of this socket; `pass_fds` holds its descriptor."""
        return [sys.executable, "-c", _HAND_OVER, str(self.socket.fileno()), *command]

    def close(self) -> None:
        self.socket.close()


class NotifySocket:
    """What the daemons tell systemd, line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    async def until(self, word: str, *, within_s: float = 20.0) -> None:
        """Waits for a line; those before it are in `heard`."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(within_s):
            while True:
                lines = (await loop.sock_recv(self._socket, 4096)).decode().splitlines()
                self.heard += lines
                if word in lines:
                    return

    def waiting(self) -> bool:
        """Whether something is said and not heard yet."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        self._socket.close()
        self.path.unlink()
