"""Maintenance, with the NOSPACE alarm and what it refuses."""

from harness.messages import MAINTENANCE, rpc
from ops import Compare, Delete, Put, Range, Txn
from registry import case


def alarm(t, action, kind="NOSPACE", member=0, **more):
    return t.maintenance("Alarm", rpc.AlarmRequest(action=action, alarm=kind, memberID=member), **more)


def status(t):
    t.maintenance("Status", rpc.StatusRequest())


@case
def plain(t):
    status(t)
    t.maintenance("Hash", rpc.HashRequest())
    t.hash()
    t.maintenance("Defragment", rpc.DefragmentRequest())
    t(Put("a", "1"))
    status(t)
    t.maintenance("Defragment", rpc.DefragmentRequest())
    t(Range("a"))
    t.hash()


@case
def move_leader(t):
    for target in (0, 1, 5, 2**64 - 1):
        t.maintenance("MoveLeader", rpc.MoveLeaderRequest(targetID=target))


@case
def downgrade(t):
    for action in ("VALIDATE", "ENABLE"):
        for version in ("", "x", "3", "3.7", "3.7.0", "3.8.0", "3.5.0", "4.0.0", "2.3.0", "3.6.0.0", "-1.2.3"):
            t.maintenance("Downgrade", rpc.DowngradeRequest(action=action, version=version))
    for version in ("3.6", "3.6.0"):
        t.maintenance("Downgrade", rpc.DowngradeRequest(action="VALIDATE", version=version), difference="downgrade")
    t.maintenance("Downgrade", rpc.DowngradeRequest(action="CANCEL"))
    for action in (3, 99, -1):
        t.maintenance("Downgrade", rpc.DowngradeRequest(action=action, version="3.6.0"))
    status(t)


@case
def hash_refusals(t):
    now = t.revision()
    for revision in (-(2**63), -1, 0, 1, now - 1, now, now + 1, 2**63 - 1):
        t.hash(revision)


@case
def alarms(t):
    alarm(t, "GET")
    alarm(t, "GET", "NONE")
    alarm(t, "GET", "CORRUPT")
    alarm(t, "DEACTIVATE")
    alarm(t, "DEACTIVATE", "NONE")
    alarm(t, "ACTIVATE", "NONE")
    alarm(t, "GET", "NONE")
    alarm(t, "ACTIVATE", member=77)
    alarm(t, "ACTIVATE", member=77)
    alarm(t, "ACTIVATE", member=78)
    alarm(t, "GET", "NONE")
    alarm(t, "GET", "NOSPACE")
    alarm(t, "GET", "CORRUPT")
    alarm(t, "GET", "NONE", member=78)
    alarm(t, "GET", "NOSPACE", member=79)
    status(t)
    alarm(t, "DEACTIVATE", member=79)
    alarm(t, "DEACTIVATE", "NONE", member=77)
    alarm(t, "DEACTIVATE", member=77)
    alarm(t, "DEACTIVATE", member=78)
    alarm(t, "GET", "NONE")
    status(t)


@case
def no_space(t):
    t(Put("a", "1"))
    alarm(t, "ACTIVATE", member=77)
    one = Compare("a", "VALUE", "EQUAL", "1")
    for request in (
        Put("a", "2"),
        Put("b", "1"),
        Put("", "x"),
        Put("missing", ignore_value=True),
        Put("b", "1", lease=9),
        Range("a"),
        Range("\0", "\0"),
        Range("a", serializable=True),
        Txn(),
        Txn([one]),
        Txn(then=[Range("a")]),
        Txn(then=[Put("b", "1")]),
        Txn([one], otherwise=[Put("b", "1")]),
        Txn([one], then=[Range("a")]),
        Txn(then=[Txn(then=[Put("b", "1")])]),
        Txn(then=[Txn(otherwise=[Put("b", "1")])]),
        Txn(then=[Delete("b")]),
        Txn(then=[Delete("a", prev_kv=True)]),
        Txn(then=[Txn(then=[Range("a")])]),
        Delete("a", prev_kv=True),
        Delete("a"),
        Txn(then=[Put("a", "1"), Put("a", "2")]),
    ):
        t(request)
    t(Range("\0", "\0"))
    t.hash()
    t.compact(t.revision())
    t.maintenance("Defragment", rpc.DefragmentRequest())
    status(t)
    t.restart(hard=True)
    alarm(t, "GET", "NONE")
    status(t)
    t(Put("a", "after a restart"))
    alarm(t, "DEACTIVATE", member=77)
    t(Put("a", "3"))
    t(Txn(then=[Put("b", "1")]))
    t(Range("\0", "\0"))


@case
def corrupt(t):
    alarm(t, "ACTIVATE", "CORRUPT", member=77)
    alarm(t, "GET", "NONE")
    one = Compare("a", "VALUE", "EQUAL", "3")
    for request in (
        Put("a", "4"),
        Put("", "x"),
        Range("a"),
        Range("a", serializable=True),
        Range(""),
        Delete("a"),
        Txn(),
        Txn([one]),
        Txn(then=[Range("a")]),
        Txn(then=[Put("b", "1")]),
        Txn(then=[Range("a", serializable=True)]),
    ):
        t(request)
    t.stream(Range("\0", "\0"))
    t.compact(3)
    t.hash()
    status(t)
    alarm(t, "DEACTIVATE", "CORRUPT", member=77)
    t(Put("a", "4"))
    t(Range("\0", "\0"))


@case
def both_alarms(t):
    alarm(t, "ACTIVATE", "NOSPACE", member=77)
    alarm(t, "ACTIVATE", "CORRUPT", member=77)
    status(t)
    t(Put("a", "5"))
    t(Delete("a"))
    alarm(t, "DEACTIVATE", "CORRUPT", member=77)
    t(Put("a", "5"))
    t(Delete("a"))
    alarm(t, "DEACTIVATE", "NOSPACE", member=77)
    t(Put("a", "5"))
    status(t)


@case
def unknown_alarms(t):
    for action in (3, 9, -1):
        t.only_tenon(MAINTENANCE + "Alarm", rpc.AlarmRequest(action=action, alarm="NOSPACE"), "INVALID_ARGUMENT")
    t(Range("a"))
    alarm(t, "ACTIVATE", 9, member=77)
    alarm(t, "GET", "NONE")
    alarm(t, "GET", 9)
    status(t)
    t(Put("a", "6"))
    alarm(t, "DEACTIVATE", 9, member=77)
    alarm(t, "GET", "NONE")
