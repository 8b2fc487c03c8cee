"""What is not a proper request: unknown methods, bytes that do not parse, unknown fields, sizes."""

from harness.messages import CLUSTER, KV, MAINTENANCE, reflection, reflection_alpha
from ops import Put, Range, Txn
from registry import case

METHODS = (
    [KV + name for name in ("Range", "Put", "DeleteRange", "Txn", "Compact")]
    + [CLUSTER + name for name in ("MemberAdd", "MemberRemove", "MemberUpdate", "MemberList", "MemberPromote")]
    + [MAINTENANCE + name for name in ("Alarm", "Status", "HashKV", "MoveLeader", "Downgrade")]
    + ["/grpc.health.v1.Health/Check"]
)


@case
def unknown_methods(t):
    for path in (
        KV + "Nope",
        KV + "range",
        KV,
        "/etcdserverpb.KV/",
        "/Nope/Range",
        "/etcdserverpb.Kv/Range",
        "/nope",
        "/a/b/c",
        "/etcdserverpb/KV/Range",
        "/KV/Range",
        CLUSTER + "Nope",
        MAINTENANCE + "nope",
        "/grpc.health.v1.Health/Nope",
        "/etcdserverpb.KV/Range/",
        "/" + "x" * 500 + "/y",
    ):
        t.send(path, b"")


@case
def bytes_that_do_not_parse(t):
    for method in METHODS:
        for wrong in (
            b"\xff\xff",
            b"\x0a\x05a",
            b"\x0a",
            b"\x08",
            b"\x00\x01",
            b"\x0f\x00",
            b"\x07",
            b"\x08" + b"\xff" * 10 + b"\x01",
        ):
            t.send(method, wrong)


@case
def fields_of_the_wrong_type(t):
    """A known number with another wire type is an unknown field."""
    t(Put("a", "1"))
    for method, data in (
        (KV + "Range", b"\x08\x01"),
        (KV + "Range", b"\x0a\x01a\x1a\x01x"),
        (KV + "Put", b"\x08\x01"),
        (KV + "Put", b"\x0a\x01a\x1a\x00"),
        (KV + "Txn", b"\x08\x01"),
        (KV + "Compact", b"\x0a\x00"),
        (KV + "Range", b"\x0d\x00\x00\x00\x00"),
    ):
        t.send(method, data)


@case
def unknown_fields(t):
    """Are ignored, and must not reach what is stored."""
    t.send(KV + "Put", Put("a", "2").SerializeToString() + b"\xa2\x06\x03abc\xa8\x06\x01")
    t(Range("a"))
    t.send(KV + "Range", Range("a").SerializeToString() + b"\xf2\x3f\x02hi")
    t.send(KV + "Txn", Txn(then=[Put("a", "3"), Range("a")]).SerializeToString() + b"\xfa\x3f\x00")
    t.hash()


@case
def repeated_and_split_fields(t):
    """The last of a repeated scalar wins; an embedded message is merged."""
    t.send(KV + "Put", b"\x0a\x01x\x0a\x01a\x12\x011\x12\x012")
    t(Range("\0", "\0"))
    t.send(KV + "Range", b"\x0a\x01x\x0a\x01a\x18\x05\x18\x01")
    t.send(KV + "Put", b"\x12\x01v\x0a\x01b")
    t.send(KV + "Range", b"\x0a\x01b\x18\x81\x80\x80\x80\x00")
    t(Range("\0", "\0"))


@case
def text_that_is_not_utf8(t):
    t.send(MAINTENANCE + "Downgrade", b"\x12\x02\xff\xfe")
    t.send(CLUSTER + "MemberAdd", b"\x0a\x02\xff\xfe")
    t.send("/grpc.health.v1.Health/Check", b"\x0a\x02\xff\xfe")


@case
def sizes(t):
    for size in (2**21 - 9, 2**21 - 8, 2**21 - 7, 2**21, 2**21 + 1, 3 * 2**20):
        refused = "message-too-large" if size > 2**21 - 7 else None
        t.send(KV + "Put", Put("s", "x" * size), difference=refused)
        t.send(KV + "Range", Range("s", "x" * size), difference=refused)
    t(Txn(then=[Put(f"s{number}", "x" * 20_000) for number in range(60)]))
    t(Txn(then=[Put(f"s{number}", "x" * 20_000) for number in range(90)]))
    t(Txn(then=[Put(f"s{number}", "x" * 20_000) for number in range(110)]), difference="message-too-large")
    t(Range("s", "t", keys_only=True))


@case
def metadata(t):
    for value in ("", "3.7", "x" * 100):
        t(Range("a"), metadata=(("client-api-version", value),))
    t(Range("a"), metadata=(("hasleader", "true"),))
    t(Put("a", "1"), metadata=(("hasleader", "true"), ("client-api-version", "3.7")))
    t(Range("a"), metadata=(("token", "nonsense"),))
    t(Range("a"), metadata=(("authorization", "Bearer nonsense"),))


@case
def server_reflection(t):
    for module, version in ((reflection, "v1"), (reflection_alpha, "v1alpha")):
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        for request in (
            module.ServerReflectionRequest(list_services="*"),
            module.ServerReflectionRequest(file_containing_symbol="etcdserverpb.KV"),
            module.ServerReflectionRequest(file_containing_symbol="nope"),
        ):
            t.send(path, request, difference="reflection")
