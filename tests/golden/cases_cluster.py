"""Cluster calls on a cluster of one member, and health."""

from harness.messages import rpc, health
from ops import Put, Range
from registry import case


@case
def list_members(t):
    t.cluster("MemberList", rpc.MemberListRequest())
    t.cluster("MemberList", rpc.MemberListRequest(linearizable=True))
    t(Put("a", "1"))
    t.cluster("MemberList", rpc.MemberListRequest())


@case
def refusals(t):
    for member in (0, 1, 12345, 2**64 - 1):
        t.cluster("MemberRemove", rpc.MemberRemoveRequest(ID=member))
        t.cluster("MemberPromote", rpc.MemberPromoteRequest(ID=member))
        t.cluster("MemberUpdate", rpc.MemberUpdateRequest(ID=member, peerURLs=["http://127.0.0.1:1"]))
    for urls in (
        [],
        [""],
        ["x"],
        ["127.0.0.1:1"],
        ["ftp://127.0.0.1:1"],
        ["http://127.0.0.1"],
        ["http://"],
        ["http://127.0.0.1:1/path"],
        ["http://127.0.0.1:1", "bad"],
        ["http://[::1"],
    ):
        t.cluster("MemberAdd", rpc.MemberAddRequest(peerURLs=urls))
        t.cluster("MemberUpdate", rpc.MemberUpdateRequest(ID=7, peerURLs=urls))
    t.cluster("MemberList", rpc.MemberListRequest(linearizable=True))


@case
def own_member(t):
    for label, client in t.clients.items():
        own = t.member[label]
        reply = client.call("/etcdserverpb.Cluster/MemberPromote", rpc.MemberPromoteRequest(ID=own))
        t._check(
            f"{t.case} {label} refuses to promote a voter",
            (reply.code, reply.text) == ("FAILED_PRECONDITION", "etcdserver: can only promote a learner member"),
            str(reply),
        )
    t(Range("a"))


@case
def health_service(t):
    path = "/grpc.health.v1.Health/"
    t.send(path + "Check", health.HealthCheckRequest())
    for service in ("etcdserverpb.KV", "x", " "):
        t.send(path + "Check", health.HealthCheckRequest(service=service))
    t.send(path + "List", health.HealthListRequest())
    t.send(path + "Watch", health.HealthCheckRequest(), timeout=2)  # the state now; the stream stays open
    t.send(path + "Watch", health.HealthCheckRequest(service="x"), timeout=2)
