"""The quota: what is refused, what is still allowed, and the alarm, by one request that is larger than all of it.

Tenon with `clear: manual`, which is etcd's way; that it clears itself is told in tests/quota.
"""

from cases_maintenance import alarm, status
from harness.messages import MAINTENANCE, rpc
from ops import Compare, Delete, Put, Range, Txn
from registry import case

FLAGS = {"quota-backend-bytes": 1 << 20}
MODULES = {"quota": "{ use: quota, config: { clear: manual } }"}
LARGE = "x" * (1100 << 10)
HALF = "x" * (550 << 10)


def disarm(t):
    t.send(
        MAINTENANCE + "Alarm",
        lambda member: rpc.AlarmRequest(action="DEACTIVATE", alarm="NOSPACE", memberID=member),
    )


@case
def larger_than_the_quota(t):
    status(t)
    t(Put("a", "1"))
    t(Range("a", serializable=True))
    # Before everything else is checked.
    t(Put("", LARGE))
    alarm(t, "GET", "NONE")
    status(t)
    t(Put("a", LARGE))
    t(Range("\0", "\0"))


@case
def under_the_alarm(t):
    one = Compare("a", "VALUE", "EQUAL", "1")
    for request in (
        Put("a", "2"),
        Put("", "x"),
        Put("a", ignore_value=True),
        Txn(then=[Put("b", "1")]),
        Txn([one], then=[Range("a")], otherwise=[Put("b", "1")]),
        Txn(then=[Txn(then=[Put("b", "1")])]),
        Txn(then=[Range("a")]),
        Txn(),
        Txn(then=[Delete("b"), Range("a")]),
        Range("a"),
        Delete("a", prev_kv=True),
    ):
        t(request)
    t.compact(t.revision())
    t.hash()
    t.maintenance("Defragment", rpc.DefragmentRequest())
    alarm(t, "GET", "NONE")
    status(t)


@case
def over_a_restart(t):
    t.restart(hard=True)
    alarm(t, "GET", "NONE")
    status(t)
    t(Put("a", "2"))
    t(Delete("a"))
    t.restart()
    alarm(t, "GET", "NONE")
    t(Put("a", "2"))


@case
def disarmed(t):
    disarm(t)
    alarm(t, "GET", "NONE")
    status(t)
    t(Put("a", "3"))
    t(Txn(then=[Put("b", "1")]))
    disarm(t)
    t(Range("\0", "\0"))


@case
def transactions_cost_their_dearer_branch(t):
    one = Compare("a", "VALUE", "EQUAL", "3")
    for request in (
        Txn([one], then=[Put("c", "1")], otherwise=[Put("d", HALF), Put("e", HALF)]),
        Txn([one], then=[Put("c", "1"), Txn(then=[Put("d", HALF)], otherwise=[Put("e", HALF), Put("f", HALF)])]),
        Txn(then=[Put("d", HALF), Put("d", HALF)]),
        Txn(then=[Put("", HALF), Put("e", HALF)]),
    ):
        t(request)
        alarm(t, "GET", "NONE")
        disarm(t)
    # Each branch fits, and so does the half of the other that is not taken.
    t(Txn([one], then=[Put("c", "1")], otherwise=[Put("d", HALF)]))
    alarm(t, "GET", "NONE")
    t(Range("\0", "\0", keys_only=True))


@case
def what_only_reads_or_deletes_costs_nothing(t):
    t(Range("a", LARGE))
    t(Delete("a", LARGE))
    t(Txn([Compare("a", "VALUE", "EQUAL", LARGE)], then=[Range("a")], otherwise=[Delete("z")]))
    alarm(t, "GET", "NONE")
