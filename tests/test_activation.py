"""The sockets that systemd hands over: taken, refused with a reason, and open for those who come between two lives."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from daemon_process import new_sandbox, process, settings_for
from held_socket import HeldSocket, NotifySocket

from leadenrich.daemon.activation import take_held
from leadenrich.web.server import CannotListen


def environment(count: object = 1, *, pid: object = None, names: str = "") -> dict[str, str]:
    told = {"LISTEN_PID": str(os.getpid() if pid is None else pid), "LISTEN_FDS": str(count)}
    return told | ({"LISTEN_FDNAMES": names} if names else {}) | {"HOME": "/"}


@pytest.fixture
def descriptor() -> Iterator[Any]:
    """Makes sockets as systemd hands them over: a number, inheritable."""
    handed: list[int] = []

    def hand_over(sock: socket.socket) -> int:
        handed.append(sock.detach())
        os.set_inheritable(handed[-1], True)
        return handed[-1]

    yield hand_over
    for number in handed:
        try:
            os.close(number)
        except OSError:
            continue  # whoever took it closed it


def test_a_listening_socket_is_taken_and_no_child_hears_of_it(descriptor: Any) -> None:
    told = environment(names="leadenrich.socket")
    first = descriptor(socket.create_server(("127.0.0.1", 0)))
    [held] = take_held(told, first=first)
    with held:
        assert (held.fileno(), held.family, held.getblocking()) == (first, socket.AF_INET, False)
        assert not held.get_inheritable()
        assert told == {"HOME": "/"}
        assert take_held(told, first=first) == ()


@pytest.mark.parametrize("told", [{}, environment(pid=1), environment(0), environment(pid="")])
def test_what_is_not_meant_for_this_process_is_not_touched(told: dict[str, str]) -> None:
    assert take_held(told, first=1_000) == ()
    assert not {"LISTEN_PID", "LISTEN_FDS"} & told.keys()


def datagram() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def connection() -> socket.socket:
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours


def not_listening() -> socket.socket:
    return socket.socket(socket.AF_INET6, socket.SOCK_STREAM)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (datagram, "neither a TCP socket nor a unix stream socket: it must be made by ListenStream="),
        (connection, "a connection, and no socket that listens: Accept= must be no"),
        (not_listening, "a connection, and no socket that listens: Accept= must be no"),
    ],
)
def test_what_nobody_can_listen_on_is_refused_by_name(descriptor: Any, make: Any, why: str) -> None:
    first = descriptor(make())
    with pytest.raises(CannotListen, match=f"^cannot listen on descriptor {first} of leadenrich.socket: {why}$"):
        take_held(environment(names="leadenrich.socket"), first=first)


def test_a_descriptor_that_is_no_socket_or_not_open_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(CannotListen, match="Socket operation on non-socket"):
        take_held(environment(), first=file.fileno())
    with pytest.raises(CannotListen, match="descriptor 1000 of the socket unit: Bad file descriptor"):
        take_held(environment(), first=1_000)
    with pytest.raises(CannotListen, match="LISTEN_FDS is 'one'"):
        take_held(environment("one"))


async def test_a_daemon_serves_the_sockets_it_was_given_and_leaves_them_open(tmp_path: Path) -> None:
    """Two lives on one unix socket, reported to systemd; whoever comes in between is answered by the second one."""
    path, notify = tmp_path / "web.sock", NotifySocket(tmp_path / "notify")
    held = HeldSocket(path)
    async with (
        new_sandbox() as sandbox,
        process(sandbox, tmp_path / "daemon", settings_for(sandbox, "fakeredis://")) as daemon,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)), timeout=aiohttp.ClientTimeout(20)) as session,
    ):
        daemon.held, daemon.environment = held, {"NOTIFY_SOCKET": str(notify.path)}

        async def healthy() -> bool:
            async with session.get("http://localhost/healthz", headers={"Connection": "close"}) as answer:
                return answer.status == 200

        await daemon.start("--only", "web")
        assert daemon.url == f"unix:{path}"
        await notify.until("READY=1")
        assert await healthy()
        ended = await daemon.terminate()
        await notify.until("STOPPING=1")
        assert ended == 0
        early = asyncio.create_task(healthy())
        await asyncio.sleep(0)
        await daemon.start("--only", "web")
        assert await early
        assert path.is_socket()
        assert await daemon.terminate() == 0
        assert path.is_socket(), "the file is systemd's"
    held.close()
    notify.close()


async def test_a_socket_that_cannot_be_listened_on_ends_the_start_with_a_word(tmp_path: Path) -> None:
    held = HeldSocket()
    held.socket.close()
    held.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    async with (
        new_sandbox() as sandbox,
        process(sandbox, tmp_path / "daemon", settings_for(sandbox, "fakeredis://")) as daemon,
    ):
        daemon.held = held
        status, said = await daemon.refused()
    held.close()
    assert status == 1
    assert "cannot listen on descriptor 3 of leadenrich.socket: neither a TCP socket nor" in said
    assert "Traceback" not in said
