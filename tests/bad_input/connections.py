"""Connections that do nothing, talk nonsense, break off or never read."""

import random
import resource
import socket
import struct
import time

from harness import http2
from harness.messages import KV, rpc

IDLE = 10_000
MEMORY_GROWTH_KIB = 64 * 1024
# gRPC C++ 1.51 keeps some 12 kB of each stream that is opened and reset at once for a while; it has no limit to set.
RAPID_RESET_GROWTH_KIB = 512 * 1024
CALLS = 200
BESIDE_SECONDS = 60  # for all of them; well under one on a quiet machine


def idle_connections(stage):
    """10,000 connections that finished their handshake and do nothing."""
    server = stage.server
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < IDLE + 200:
        stage.report.skip("10,000 idle connections", f"only {limit} descriptors are allowed")
        return
    files, memory = server.open_files(), server.memory_kib()
    held = []
    began = time.monotonic()
    try:
        for _ in range(IDLE):
            held.append(http2.open_connection(server.port))
        for connection in held:  # the server's own SETTINGS: it has taken the connection
            if not connection.recv(9):
                raise ConnectionError("the server closed it")
        stage.report.check("10,000 idle connections are taken", len(held) == IDLE)
        after = server.memory_kib()
        stage.report.note(
            f"{IDLE} idle connections in {time.monotonic() - began:.1f} s: "
            f"RSS {memory['VmRSS']} -> {after['VmRSS']} KiB, anonymous {memory['RssAnon']} -> "
            f"{after['RssAnon']} KiB, {(after['VmRSS'] - memory['VmRSS']) * 1024 // IDLE} bytes each, "
            f"{server.threads()} threads"
        )
        began = time.monotonic()
        with server.client() as client:
            good = sum(client.range(b"steady").ok for _ in range(CALLS))
        stage.report.check(
            "a proper client beside 10,000 idle ones",
            good == CALLS and time.monotonic() - began < BESIDE_SECONDS,
            f"{good} of {CALLS} in {time.monotonic() - began:.1f} s",
        )
        stage.still_serves("10,000 idle connections")
    except OSError as error:
        stage.report.check("10,000 idle connections are taken", False, f"{len(held)}: {error}")
    finally:
        for connection in held:
            connection.close()
    stage.gives_back("10,000 idle connections", files)


def random_bytes(stage):
    """Noise on the port, also behind a right preface."""
    pick = random.Random(stage.seed)
    files = stage.server.open_files()
    for number in range(400):
        with http2.connect(stage.server.port) as connection:
            noise = pick.randbytes(pick.choice((1, 9, 24, 100, 5000)))
            start = (b"", http2.PREFACE, http2.PREFACE + http2.frame(http2.SETTINGS), http2.PREFACE[:10])[number % 4]
            try:
                connection.sendall(start + noise)
                connection.sendall(pick.randbytes(50))
            except OSError:
                continue  # it has hung up already, which is right
    stage.still_serves("random bytes")
    stage.gives_back("random bytes", files)


def random_frames(stage):
    """Frames of each kind with random flags, streams and lengths on an open connection."""
    pick = random.Random(stage.seed)
    files = stage.server.open_files()
    for _ in range(300):
        with http2.open_connection(stage.server.port) as connection:
            try:
                for _ in range(pick.randrange(1, 12)):
                    connection.sendall(
                        http2.frame(
                            pick.randrange(12),
                            pick.randrange(256),
                            pick.choice((0, 1, 2, 3, 2**31 - 1)),
                            pick.randbytes(pick.choice((0, 4, 5, 6, 8, 40))),
                        )
                    )
            except OSError:
                continue
    stage.still_serves("random frames")
    stage.gives_back("random frames", files)


def other_protocols(stage):
    """HTTP/1.1, a TLS hello, an SSH greeting."""
    for greeting in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v3/kv/range HTTP/1.1\r\nContent-Length: 5\r\n\r\n{",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\r\n" * 1000,
        bytes.fromhex("1603010200010001fc0303") + b"\0" * 500,
    ):
        with http2.connect(stage.server.port) as connection:
            try:
                connection.sendall(greeting)
            except OSError:
                pass
    stage.still_serves("other protocols")


def half_open_connections(stage):
    """Handshakes and requests that were begun and never finished, kept open meanwhile."""
    port = stage.server.port
    files = stage.server.open_files()
    held = []
    body = http2.grpc_message(rpc.PutRequest(key=b"gone", value=b"x" * 100).SerializeToString())
    whole = http2.grpc_message(
        rpc.PutRequest(key=b"m/whole").SerializeToString()
    )  # may be carried out: only its end lacks
    block = http2.header_block(http2.grpc_headers(KV + "Put"))
    unfinished = (
        b"",
        http2.PREFACE[:7],
        http2.PREFACE,
        http2.PREFACE + http2.frame(http2.SETTINGS)[:5],
        http2.PREFACE
        + http2.frame(http2.SETTINGS)
        + http2.frame(http2.HEADERS, 0, 1, block[:20]),  # CONTINUATION never comes
        http2.PREFACE + http2.frame(http2.SETTINGS) + http2.frame(http2.HEADERS, http2.END_HEADERS, 1, block),
        http2.PREFACE + http2.frame(http2.SETTINGS) + http2.request(1, KV + "Put", body[:30], end=False),
        http2.PREFACE + http2.frame(http2.SETTINGS) + http2.request(1, KV + "Put", whole, end=False),
    )
    for number in range(800):
        connection = http2.connect(port)
        connection.sendall(unfinished[number % len(unfinished)])
        held.append(connection)
    stage.still_serves("800 half-open connections")
    for number, connection in enumerate(held):
        if number % 2:  # half of them vanish with a reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    stage.gives_back("half-open connections", files)
    with stage.server.client() as client:
        stage.report.check(
            "a request that was never finished is not carried out", not client.range(b"gone").message.kvs
        )


def clients_that_disappear(stage):
    """Whole requests whose sender is gone before the answer, and calls that are cancelled."""
    port = stage.server.port
    files = stage.server.open_files()
    put = http2.grpc_message(rpc.PutRequest(key=b"m/vanish", value=b"x" * 1000).SerializeToString())
    for _ in range(300):
        connection = http2.open_connection(port)
        connection.sendall(b"".join(http2.request(stream, KV + "Put", put) for stream in (1, 3, 5)))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    with stage.server.client() as client:
        invoke = client.channel.unary_unary(KV + "Put")
        calls = [
            invoke.future(rpc.PutRequest(key=b"m/cancel", value=b"x" * 10_000).SerializeToString()) for _ in range(500)
        ]
        for call in calls:
            call.cancel()
    stage.still_serves("clients that disappear")
    stage.gives_back("clients that disappear", files)


def clients_that_never_read(stage):
    """Answers of 10 MB to clients whose window stays shut: the others are served, and memory comes back."""
    files = stage.server.open_files()
    with stage.server.client() as client:
        for number in range(10):
            assert client.put(b"big/%d" % number, b"x" * 1_000_000).ok
    get = http2.grpc_message(rpc.RangeRequest(key=b"big/", range_end=b"big0").SerializeToString())
    shut = struct.pack(">HI", 4, 0)  # SETTINGS_INITIAL_WINDOW_SIZE = 0
    held = []
    for _ in range(20):
        connection = http2.open_connection(stage.server.port, settings=shut)
        connection.sendall(http2.request(1, KV + "Range", get))
        held.append(connection)
    stage.still_serves("clients that never read")
    stage.report.note(f"20 answers of 10 MB that nobody reads: RSS {stage.server.memory_kib()['VmRSS']} KiB")
    for connection in held:
        connection.close()
    stage.gives_back("clients that never read", files)
    with stage.server.client() as client:
        client.delete(b"big/", range_end=b"big0")


def floods(stage):
    """Cheap frames in masses: resets, pings, settings, empty DATA, CONTINUATION, header lists without end."""
    port = stage.server.port
    files = stage.server.open_files()
    block = http2.header_block(http2.grpc_headers(KV + "Range"))
    opening = http2.frame(http2.HEADERS, http2.END_HEADERS, 1, block)
    large = http2.header_block([("x-large", "y" * 15_000)])

    def resets():
        for stream in range(1, 40_001, 2):
            yield http2.frame(http2.HEADERS, http2.END_HEADERS, stream, block) + http2.frame(
                http2.RST_STREAM, 0, stream, struct.pack(">I", 8)
            )

    kinds = {
        "rapid reset": resets(),
        "pings": (http2.frame(http2.PING, payload=b"12345678") for _ in range(100_000)),
        "settings": (http2.frame(http2.SETTINGS) for _ in range(100_000)),
        "empty data": [opening] + [http2.frame(http2.DATA, 0, 1)] * 100_000,
        "continuation": [http2.frame(http2.HEADERS, 0, 1, block)]
        + [http2.frame(http2.CONTINUATION, 0, 1, large)] * 3000,
        "window overflow": [http2.frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1))] * 3,
    }
    for name, frames in kinds.items():
        frames = list(frames)
        _flood(stage, name, frames)  # what gRPC and malloc keep from the first one is theirs to keep
        before = stage.server.memory_kib()["VmRSS"]
        sent = _flood(stage, name, frames)
        grown = stage.server.memory_kib()["VmRSS"] - before
        stage.report.check(
            f"flood of {name}: memory stays",
            grown < (RAPID_RESET_GROWTH_KIB if name == "rapid reset" else MEMORY_GROWTH_KIB),
            f"{sent} bytes sent, {grown} KiB more",
        )
    stage.gives_back("floods", files)


def _flood(stage, name, frames):
    """Sends the frames on a connection of their own; returns how many bytes got out."""
    with http2.open_connection(stage.server.port, timeout=5) as connection:
        sent = 0
        try:
            for data in _in_blocks(frames):
                connection.sendall(data)
                sent += len(data)
        except OSError:
            pass  # hung up, or it stopped reading: both are right
        stage.still_serves(f"flood of {name}")
    return sent


def _in_blocks(frames, size=65536):
    block = bytearray()
    for data in frames:
        block += data
        if len(block) >= size:
            yield bytes(block)
            block.clear()
    yield bytes(block)


STORIES = [
    idle_connections,
    random_bytes,
    random_frames,
    other_protocols,
    half_open_connections,
    clients_that_disappear,
    clients_that_never_read,
    floods,
]
