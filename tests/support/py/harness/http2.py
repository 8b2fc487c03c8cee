"""HTTP/2 by hand: the frames of a client that does not play by the rules, or only opens the connection."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS = 4


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header_block(headers):
    """Each header as an HPACK literal without indexing: needs no table."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def _text(text):
    data = text if isinstance(text, bytes) else text.encode()
    return _integer(len(data)) + data


def _integer(value):
    """HPACK's integer behind a 7 bit prefix."""
    if value < 127:
        return bytes([value])
    out, value = b"\x7f", value - 127
    while value >= 128:
        out, value = out + bytes([value % 128 + 128]), value // 128
    return out + bytes([value])


def grpc_headers(path, more=()):
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    ]


def grpc_message(data, size=None, compressed=0):
    """A message with its five bytes before it; `size` may lie."""
    return struct.pack(">BI", compressed, len(data) if size is None else size) + data


def connect(port, timeout=10.0):
    return socket.create_connection(("127.0.0.1", port), timeout)


def open_connection(port, settings=b"", timeout=10.0):
    """A TCP connection with the preface and the first SETTINGS sent."""
    connection = connect(port, timeout)
    connection.sendall(PREFACE + frame(SETTINGS, payload=settings))
    return connection


def request(stream, path, body, end=True, headers=None):
    """HEADERS and one DATA frame."""
    block = header_block(headers or grpc_headers(path))
    return frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM if end else 0, stream, body)


def read_until_closed(connection, limit=1 << 20):
    """What the server sends until it closes, the socket's timeout passes or `limit` bytes came: (bytes, closed)."""
    received = b""
    try:
        while len(received) < limit:
            part = connection.recv(65536)
            if not part:
                return received, True
            received += part
    except TimeoutError:
        return received, False
    except OSError:
        return received, True
    return received, False
