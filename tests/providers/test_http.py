"""What leaves us, counted on a raw socket, and what each way of failing means."""

import asyncio
import contextlib
import datetime
import gzip
import ipaddress
import os
import socket
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from leadenrich.core.errors import ProviderOut, Throttled, Transient
from leadenrich.providers.http import BODY_BYTES_MAX, HttpClient, Request

METHODS = ["GET", "POST", "PUT", "DELETE"]


@pytest.fixture
async def connect():
    """Makes clients and closes them."""
    clients = []

    def make(url, **options):
        clients.append(HttpClient(url, **{"timeout_s": 5.0, **options}))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


def a_request(method="PUT", **more):
    headers = {"Authorization": "Bearer token-in-flight"}
    body = None if method == "GET" else {"a": 1}
    return Request("vendor", method, "/path?q=1", "path", **{"headers": headers, "body": body, **more})


async def test_a_call_as_it_arrives(wire, answer, connect):
    wire.says(answer(201, {"ok": True}, {"X-Thing": "7"}))
    got = await connect(wire.url + "/base/").call(a_request("POST"))
    assert (got.status, got.object(), got.headers["x-thing"]) == (201, {"ok": True}, "7")
    [seen] = wire.seen
    assert (seen.method, seen.path, seen.json()) == ("POST", "/base/path?q=1", {"a": 1})
    assert seen.headers["authorization"] == "Bearer token-in-flight"
    assert seen.headers["content-type"] == seen.headers["accept"] == "application/json"
    assert seen.headers["user-agent"].startswith("leadenrich/")
    assert "cookie" not in seen.headers


async def test_connections_are_reused(wire, connect):
    client = connect(wire.url)
    for _ in range(5):
        await client.call(a_request())
    assert (len(wire.seen), wire.connections) == (5, 1)


async def test_what_the_vendors_host_does_not_acknowledge_is_given_up_with_the_call(wire, connect):
    """After a cut the kernel would send it for minutes, long after another daemon took the lead over."""
    await connect(wire.url, timeout_s=2.5).call(a_request())
    assert user_timeouts_ms(int(wire.url.rpartition(":")[2])) == [2500]


def user_timeouts_ms(port):
    """Of this process' connections to that port."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if entry.readlink().name.startswith("socket:"):
                with socket.socket(fileno=os.dup(int(entry.name))) as copy:
                    if copy.family == socket.AF_INET and copy.getpeername()[1] == port:
                        found.append(copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    return found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_reused_connection_that_breaks_is_one_send(wire, answer, connect, method, reset):
    """The vendor may have carried it out: nobody repeats it, aiohttp neither."""
    client = connect(wire.url)
    await client.call(a_request())

    async def drop(seen, writer):
        if reset:
            writer.transport.abort()
        else:
            writer.close()

    wire.does(drop)
    with pytest.raises(Transient, match="broke") as caught:
        await client.call(a_request(method))
    assert caught.value.sent
    assert [seen.method for seen in wire.seen] == ["PUT", method]
    assert wire.seen[0].connection == wire.seen[1].connection  # it really was a reused one


@pytest.mark.parametrize("method", METHODS)
async def test_whatever_goes_wrong_each_call_is_sent_once(wire, answer, connect, method):
    """Faults of all kinds over kept connections: as many requests arrive as calls were made."""
    client = connect(wire.url, timeout_s=1.0)
    faults = [
        answer(200, {}),
        answer(500, {}),
        answer(200, {})[:-1],
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        b"nonsense\r\n\r\n",
        b"",
        answer(302, b"", {"Location": "/elsewhere"}),
    ]

    async def misbehave(seen, writer):
        fault = faults[len(wire.seen) % len(faults)]
        writer.write(fault)
        if fault[-1:] != b"}" and fault[:12] != b"HTTP/1.1 302":
            await writer.drain()
            writer.close()

    wire.does(misbehave)
    outcomes = set()
    for _ in range(3 * len(faults)):
        try:
            outcomes.add((await client.call(a_request(method))).status)
        except Transient:
            outcomes.add("transient")
    assert outcomes == {200, 302, 500, "transient"}
    assert len(wire.seen) == 3 * len(faults)


async def test_a_connection_that_never_opened_is_opened_once_more(wire, connect, monkeypatch):
    client = connect("http://127.0.0.1:1")
    opened = []
    exchange = client._exchange

    async def count(*args):
        opened.append(args)
        return await exchange(*args)

    monkeypatch.setattr(client, "_exchange", count)
    with pytest.raises(Transient, match="no connection") as caught:
        await client.call(a_request())
    assert not caught.value.sent
    assert len(opened) == 2


async def test_a_name_that_does_not_resolve(connect):
    with pytest.raises(Transient, match="no connection") as caught:
        await connect("https://no-such-host.invalid").call(a_request())
    assert not caught.value.sent


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(500)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
    ids=[
        "length",
        "chunk",
        "chunk-size",
        "gzip",
        "no-http",
        "header",
        "500-headers",
        "long-header",
        "cut-head",
        "nothing",
    ],
)
async def test_a_broken_answer_is_transient_and_quotes_nothing(wire, connect, reply):
    async def cut(seen, writer):
        writer.write(reply)
        await writer.drain()
        writer.close()

    wire.does(cut)
    with pytest.raises(Transient) as caught:
        await connect(wire.url).call(a_request())
    assert caught.value.status is None  # 400 is aiohttp's word for a bad header, not the vendor's
    assert caught.value.sent
    assert caught.value.__cause__ is None
    assert "token-in-flight" not in str(caught.value)
    assert len(wire.seen) == 1


async def test_silence_ends_after_two_thirds_of_the_time(wire, connect):
    async def stay_silent(seen, writer):
        await asyncio.sleep(60)

    wire.does(stay_silent)
    began = time.monotonic()
    with pytest.raises(Transient, match="silent"):
        await connect(wire.url, timeout_s=0.6).call(a_request())
    assert time.monotonic() - began > 0.35


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
async def test_a_drip_ends_with_the_whole_time(wire, connect, start):
    async def drip(seen, writer):
        writer.write(start)
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    wire.does(drip)
    began = time.monotonic()
    with pytest.raises(Transient, match="no complete answer"):
        await connect(wire.url, timeout_s=0.6).call(a_request())
    assert time.monotonic() - began > 0.55


async def test_limits_above_five_seconds_are_not_rounded_up(connect):
    """aiohttp rounds those up to whole seconds of the loop's clock unless told otherwise."""
    client = connect("http://127.0.0.1:1", timeout_s=15.0)
    timeout = client._opened().timeout
    assert (timeout.connect, timeout.sock_connect, timeout.sock_read) == (5.0, 5.0, 10.0)
    assert timeout.ceil_threshold > 15
    assert timeout.total is None


async def test_a_redirect_is_not_followed(wire, answer, connect):
    wire.says(answer(302, b"", {"Location": f"{wire.url}/elsewhere"}))
    assert (await connect(wire.url).call(a_request("GET"))).status == 302
    assert len(wire.seen) == 1


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip-bomb"])
async def test_a_huge_answer_is_not_read_to_its_end(wire, answer, connect, packed):
    body = b" " * (64 * 1024 * 1024)
    wire.says(answer(200, gzip.compress(body, 1), {"Content-Encoding": "gzip"}) if packed else answer(200, body))
    began = time.monotonic()
    with pytest.raises(Transient, match="larger than 2 MB"):
        await connect(wire.url).call(a_request())
    assert time.monotonic() - began < 3


async def test_an_answer_of_just_two_megabytes_is_taken(wire, answer, connect):
    wire.says(answer(200, b" " * BODY_BYTES_MAX))
    assert len((await connect(wire.url).call(a_request())).body) == BODY_BYTES_MAX


async def test_a_gzipped_answer_is_unpacked(wire, answer, connect):
    wire.says(answer(200, gzip.compress(b'{"a": 1}'), {"Content-Encoding": "gzip"}))
    assert (await connect(wire.url).call(a_request())).object() == {"a": 1}


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 401 No\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 401 No\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (3 * 1024 * 1024),
    ],
    ids=["cut", "huge"],
)
async def test_a_bad_error_body_does_not_hide_the_status(wire, connect, reply):
    async def refuse(seen, writer):
        writer.write(reply)
        await writer.drain()
        writer.close()

    wire.does(refuse)
    assert (await connect(wire.url).call(a_request())).status == 401


async def test_the_gate_opens_after_the_connection_and_right_before_the_request(wire, connect):
    order = []

    async def gate():
        order.append((wire.connections, len(wire.seen)))

    await connect(wire.url).call(a_request(gate=gate))
    assert order[0][1] == 0
    assert len(wire.seen) == 1


async def test_the_wait_at_the_gate_is_not_the_vendors(wire, connect):
    """Neither the time limit nor the vendor's seconds count it; it is told apart."""
    calls = []

    async def gate():
        await asyncio.sleep(0.7)

    client = connect(wire.url, timeout_s=0.5, on_call=lambda *call: calls.append(call))
    assert (await client.call(a_request(gate=gate))).status == 200
    await client.call(a_request())
    [(provider, endpoint, status, seconds, waited_s), (*_, none_waited)] = calls
    assert (provider, endpoint, status) == ("vendor", "path", 200)
    assert seconds < 0.7
    assert waited_s == pytest.approx(0.7, abs=0.2)
    assert none_waited is None


async def test_after_the_gate_the_time_runs_on(wire, connect):
    async def gate():
        await asyncio.sleep(0.3)

    async def stay_silent(seen, writer):
        await asyncio.sleep(60)

    wire.does(stay_silent)
    began = time.monotonic()
    with pytest.raises(Transient):
        await connect(wire.url, timeout_s=0.5).call(a_request(gate=gate))
    assert time.monotonic() - began < 5.0


async def test_what_the_gate_refuses_is_never_sent_and_is_no_call(wire, connect):
    calls = []

    async def gate():
        raise Throttled("closed", provider="vendor", until_ms=5)

    client = connect(wire.url, on_call=lambda *call: calls.append(call))
    with pytest.raises(Throttled):
        await client.call(a_request(gate=gate))
    await client.call(a_request())
    assert len(wire.seen) == len(calls) == 1


async def test_a_call_cancelled_at_the_gate_is_never_sent(wire, connect):
    waiting = asyncio.Event()

    async def gate():
        waiting.set()
        await asyncio.Event().wait()

    client = connect(wire.url)
    call = asyncio.create_task(client.call(a_request(gate=gate)))
    await waiting.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await client.call(a_request())
    assert len(wire.seen) == 1


async def test_a_connection_that_closes_during_the_wait_is_replaced_before_anything_is_sent(wire, connect):
    client = connect(wire.url)
    await client.call(a_request())
    gates = []

    async def gate():
        gates.append(len(wire.seen))
        if len(gates) == 1:
            for writer in list(wire._writers):
                writer.close()
            await asyncio.sleep(0.1)

    assert (await client.call(a_request(gate=gate))).status == 200
    assert gates == [1, 1]
    assert len(wire.seen) == 2


async def test_failed_calls_are_observed_too(connect):
    calls = []
    client = connect("http://127.0.0.1:1", on_call=lambda *call: calls.append(call[:3]))
    with pytest.raises(Transient):
        await client.call(a_request())
    assert calls == [("vendor", "path", None)]


def certificate(tmp_path, *, days, name):
    """A self-signed one: files for the server."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vendor.test")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")) if name == "ip" else x509.DNSName(name)]
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@pytest.mark.parametrize(("days", "name"), [(30, "ip"), (-1, "ip"), (30, "other.test")])
async def test_a_bad_certificate_puts_the_provider_out_and_sends_nothing(start_wire, connect, tmp_path, days, name):
    wire = await start_wire(certificate(tmp_path, days=days, name=name))
    with pytest.raises(ProviderOut, match="certificate") as caught:
        await connect(wire.url).call(a_request())
    assert caught.value.kind == "certificate"
    assert wire.seen == []


async def test_tls_to_a_plain_port(wire, connect):
    with pytest.raises(Transient) as caught:
        await connect(wire.url.replace("http:", "https:"), timeout_s=1.0).call(a_request())
    assert not caught.value.sent
