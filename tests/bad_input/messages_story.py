"""Messages that do not parse, parse to nonsense, are too large or are framed wrongly."""

import random
import struct

from harness import http2, messages
from harness.messages import CLUSTER, KV, MAINTENANCE, rpc

MUTATIONS = 3000
# Codes that say the server did not answer.
NO_ANSWER = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
# etcd 3.7.3 dies of some requests of these methods that parse.
ETCD_DIES = (KV + "Txn", MAINTENANCE + "Alarm")
# Wrong bytes may become a right request: nothing here may change the cluster or switch authentication on.
SKIPPED = ("/etcdserverpb.Auth/AuthEnable", "/etcdserverpb.Auth/Authenticate", MAINTENANCE + "Snapshot")


def samples():
    """{method: a request that parses and does no lasting harm}"""
    txn = rpc.TxnRequest(
        compare=[rpc.Compare(key=b"a", target="VALUE", result="LESS", value=b"x", range_end=b"c")],
        success=[
            {"request_put": {"key": b"m/t", "value": b"1"}},
            {"request_txn": {"success": [{"request_range": {"key": b"a", "range_end": b"z", "limit": 3}}]}},
        ],
        failure=[{"request_delete_range": {"key": b"m/x", "range_end": b"m/y", "prev_kv": True}}],
    )
    known = {
        KV
        + "Range": rpc.RangeRequest(
            key=b"a",
            range_end=b"z",
            limit=5,
            revision=1,
            sort_order=2,
            sort_target=3,
            keys_only=True,
            min_mod_revision=1,
            max_create_revision=9,
        ),
        KV + "RangeStream": rpc.RangeRequest(key=b"a", range_end=b"z", limit=5),
        KV + "Put": rpc.PutRequest(key=b"m/p", value=b"value", lease=3, prev_kv=True),
        KV + "DeleteRange": rpc.DeleteRangeRequest(key=b"m/d", range_end=b"m/e", prev_kv=True),
        KV + "Txn": txn,
        KV + "Compact": rpc.CompactionRequest(revision=1, physical=True),
        CLUSTER + "MemberAdd": rpc.MemberAddRequest(peerURLs=["not a url"]),
        CLUSTER + "MemberUpdate": rpc.MemberUpdateRequest(ID=1, peerURLs=["not a url"]),
        MAINTENANCE + "Alarm": rpc.AlarmRequest(action=2, memberID=5, alarm=1),
        MAINTENANCE + "Downgrade": rpc.DowngradeRequest(action=0, version="x.y"),
        MAINTENANCE + "HashKV": rpc.HashKVRequest(revision=3),
    }
    return known


def mutate(data, pick):
    """Cuts, flips, repeats or replaces bytes."""
    out = bytearray(data)
    for _ in range(pick.choice((1, 1, 2, 4))):
        kind = pick.randrange(5)
        at = pick.randrange(len(out)) if out else 0
        if kind == 0:
            del out[at:]
        elif kind == 1 and out:
            out[at] ^= 1 << pick.randrange(8)
        elif kind == 2 and out:
            out[at] = pick.randrange(256)
        elif kind == 3:
            out[at:at] = bytes(pick.randrange(256) for _ in range(pick.randrange(1, 12)))
        elif out:
            out += out[at : at + pick.randrange(1, 40)]
    return bytes(out)


# Whoever holds the lock or the office may keep it: these answer when they can, or not at all.
WAIT_FOR_OTHERS = ("/v3lockpb.Lock/Lock", "/v3electionpb.Election/Campaign", "/v3electionpb.Election/Observe")


def mutated_messages(stage):
    """Random changes of requests of each type: each gets an answer, and the server lives."""
    pick = random.Random(stage.seed)
    known = samples()
    methods = [
        method
        for method in messages.METHODS
        if method not in SKIPPED and "Reflection" not in method and "/Watch" not in method and "KeepAlive" not in method
    ]
    if stage.server.is_etcd:
        methods = [method for method in methods if method not in ETCD_DIES]
    unanswered, codes = [], {}
    with stage.server.client(timeout=20) as client:
        for number in range(MUTATIONS * (10 if stage.long else 1)):
            method = pick.choice(list(known) if number % 2 else methods)
            if stage.server.is_etcd and method in ETCD_DIES:
                continue
            data = mutate(known[method].SerializeToString() if method in known else b"\x0a\x01a\x10\x01", pick)
            if method.startswith("/etcdserverpb.Cluster/MemberAdd") and b"://" in data:
                continue
            waits = method in WAIT_FOR_OTHERS
            reply = client.call(method, data, timeout=0.2 if waits else None)
            codes[reply.code] = codes.get(reply.code, 0) + 1
            if reply.code in NO_ANSWER and not (waits and reply.code == "DEADLINE_EXCEEDED"):
                unanswered.append(f"{method} {data!r}: {reply.code} {reply.text}")
                if stage.server.process.poll() is not None:
                    break
        for alarm in ("NOSPACE", "CORRUPT"):  # a mutated Alarm may have raised one
            reply = client.alarm("GET", alarm)
            for raised in reply.message.alarms if reply.ok else ():
                client.alarm("DEACTIVATE", alarm, raised.memberID)
    stage.report.check(
        f"mutated messages, seed {stage.seed}: each is answered", not unanswered, lambda: "\n".join(unanswered[:5])
    )
    stage.report.check("mutated messages: some parse and some do not", {"OK", "INTERNAL"} <= set(codes), str(codes))
    stage.still_serves("mutated messages")


def bytes_that_never_parse(stage):
    """For every method, streams too."""
    with stage.server.client(timeout=20) as client:
        for method in messages.METHODS:
            if "Reflection" in method and stage.server.is_etcd:
                continue
            reply = client.call(method, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
            stage.report.check(
                f"garbage for {method}",
                reply.code in ("INTERNAL", "UNIMPLEMENTED", "INVALID_ARGUMENT"),
                f"{reply.code} {reply.text}",
            )
    stage.still_serves("garbage for each method")


def unknown_enums(stage):
    """Values outside the enums in each field that has one."""
    requests = [
        (KV + "Range", rpc.RangeRequest(key=b"a", sort_order=77)),
        (KV + "Range", rpc.RangeRequest(key=b"a", sort_target=-3)),
        (KV + "Txn", rpc.TxnRequest(compare=[rpc.Compare(key=b"a", result=9, target=77)])),
        (KV + "Txn", rpc.TxnRequest(compare=[rpc.Compare(key=b"a", result=-1, target=-1)])),
        (MAINTENANCE + "Downgrade", rpc.DowngradeRequest(action=44, version="3.6.0")),
    ]
    if not stage.server.is_etcd:
        requests += [
            (MAINTENANCE + "Alarm", rpc.AlarmRequest(action=44, alarm=1)),
            (MAINTENANCE + "Alarm", rpc.AlarmRequest(action=-1, alarm=-1)),
            (MAINTENANCE + "Alarm", rpc.AlarmRequest(action=1, alarm=44)),
        ]
    with stage.server.client() as client:
        for method, request in requests:
            reply = client.call(method, request)
            stage.report.check(
                f"unknown enum: {method} {str(request).strip()!r}", reply.code not in NO_ANSWER, str(reply)
            )
    stage.still_serves("unknown enums")


def deep_nesting(stage):
    """A txn in a txn, thousands deep: more than a parser's stack or a recursion may take."""
    data = rpc.TxnRequest().SerializeToString()
    with stage.server.client() as client:
        for depth in range(1, 6001):
            inner = b"\x22" + _varint(len(data)) + data  # RequestOp.request_txn
            data = b"\x12" + _varint(len(inner)) + inner  # TxnRequest.success
            if depth in (50, 99, 127, 500, 6000):
                reply = client.call(KV + "Txn", data)
                stage.report.check(
                    f"a txn nested {depth} deep is answered", reply.code not in NO_ANSWER, str(reply)[:300]
                )
    stage.still_serves("deep nesting")


def oversize_messages(stage):
    with stage.server.client(timeout=30) as client:
        for mebibytes in (2, 3, 16, 64):
            reply = client.put(b"large", b"x" * (mebibytes << 20))
            stage.report.check(
                f"a put of {mebibytes} MiB is refused",
                reply.code == "RESOURCE_EXHAUSTED" and "message larger than max" in reply.text.lower(),
                f"{reply.code} {reply.text}",
            )
        stage.report.check("nothing of it was stored", not client.range(b"large").message.kvs)
    stage.still_serves("oversize messages")


def wrong_framing(stage):
    """Lengths that lie, flags that are not agreed on, headers that are not gRPC's: each is answered or closed."""
    port = stage.server.port
    path = KV + "Range"
    good = rpc.RangeRequest(key=b"steady").SerializeToString()
    bodies = {
        "a length of 4 GiB": http2.grpc_message(good, size=0xFFFFFFFF),
        "a length longer than the body": http2.grpc_message(good, size=len(good) + 10),
        "a length shorter than the body": http2.grpc_message(good, size=2),
        "no body": b"",
        "three bytes of the length": b"\0\0\0",
        "a compressed message": http2.grpc_message(good, compressed=1),
        "flag 77": http2.grpc_message(good, compressed=77),
        "two messages": http2.grpc_message(good) * 2,
    }
    for name, body in bodies.items():
        _expect_end(stage, name, http2.open_connection(port), http2.request(1, path, body))
    heads = {
        "GET": [(":method", "GET"), *http2.grpc_headers(path)[1:]],
        "no content type": http2.grpc_headers(path)[:4],
        "text/html": [*http2.grpc_headers(path)[:4], ("content-type", "text/html"), ("te", "trailers")],
        "gzip": http2.grpc_headers(path, [("grpc-encoding", "gzip")]),
        "a timeout that is none": http2.grpc_headers(path, [("grpc-timeout", "soon")]),
        "a timeout of nothing": http2.grpc_headers(path, [("grpc-timeout", "0n")]),
        "no path": [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "x"),
            ("content-type", "application/grpc"),
        ],
        "upper case": http2.grpc_headers(path, [("X-Upper", "1")]),
        "a connection header": http2.grpc_headers(path, [("connection", "close")]),
        "a binary header that is not base64": http2.grpc_headers(path, [("x-bin", "!!!")]),
    }
    for name, headers in heads.items():
        _expect_end(
            stage, name, http2.open_connection(port), http2.request(1, path, http2.grpc_message(good), headers=headers)
        )
    stage.still_serves("wrong framing")


def _expect_end(stage, name, connection, data):
    """The server answers or closes within twenty seconds; silence would be a call that waits for ever."""
    with connection:
        connection.settimeout(20)
        connection.sendall(data)
        received = b""
        ended = False
        while not ended:
            try:
                part = connection.recv(65536)
            except TimeoutError:
                break
            except OSError:
                ended = True
                break
            received += part
            ended = not part or _has_end(received)
    stage.report.check(f"{name}: answered or closed", ended, f"received {received[:200]!r}")


def _has_end(received):
    """Is there a frame that ends stream 1 (END_STREAM, RST_STREAM) or the connection (GOAWAY)?"""
    while len(received) >= 9:
        size = struct.unpack(">I", b"\0" + received[:3])[0]
        kind, flags = received[3], received[4]
        if kind in (http2.RST_STREAM, http2.GOAWAY) or (
            kind in (http2.DATA, http2.HEADERS) and flags & http2.END_STREAM
        ):
            return True
        received = received[9 + size :]
    return False


def _varint(value):
    out = b""
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


STORIES = [mutated_messages, bytes_that_never_parse, unknown_enums, deep_nesting, oversize_messages, wrong_framing]
