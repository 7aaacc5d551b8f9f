"""Sockets that systemd opened and keeps open while we restart: whoever comes meanwhile waits in their rows.

Source: sd_listen_fds(3) and systemd.socket(5).
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Final

from leadenrich.web.server import CannotListen

FIRST: Final = 3  # the descriptor behind stderr
FAMILIES: Final = frozenset({socket.AF_INET, socket.AF_INET6, socket.AF_UNIX})


def take_held(environ: MutableMapping[str, str] = os.environ, *, first: int = FIRST) -> tuple[socket.socket, ...]:
    """The listening sockets that are meant for this process; () where it was started without any.

    The variables that tell of them are gone then: no child may take them for its own. Raises: CannotListen, for what
    cannot be listened on; a daemon that passed over it would leave its callers waiting.
    """
    pid, count, names = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()):
        return ()
    if not (count.isascii() and count.isdigit()):
        raise CannotListen(f"LISTEN_FDS is {count!r}, which is no number: was this environment made by systemd?")
    told = dict(enumerate(names.split(":"), first))
    return tuple(_listening(descriptor, told.get(descriptor, "")) for descriptor in range(first, first + int(count)))


def _listening(descriptor: int, name: str) -> socket.socket:
    try:
        held = socket.socket(fileno=descriptor)
    except OSError as error:
        raise _unfit(descriptor, name, os.strerror(error.errno or 0)) from error
    if held.family not in FAMILIES or held.type != socket.SOCK_STREAM:
        unfit = "neither a TCP socket nor a unix stream socket: it must be made by ListenStream="
    elif not held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        unfit = "a connection, and no socket that listens: Accept= must be no"
    else:
        held.setblocking(False)
        held.set_inheritable(False)
        return held
    held.detach()
    raise _unfit(descriptor, name, unfit)


def _unfit(descriptor: int, name: str, why: str) -> CannotListen:
    return CannotListen(f"cannot listen on descriptor {descriptor} of {name or 'the socket unit'}: {why}")
