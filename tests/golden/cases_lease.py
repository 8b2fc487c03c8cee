"""Leases: granted, refused, attached to keys, looked at, kept alive and revoked.

Ids are the case's own, except where the server's choice is the subject; each case leaves none behind.
"""

from harness.messages import LEASE, rpc
from ops import Compare, Delete, Put, Range, Txn
from registry import case

LONG = 3600


def grant(t, lease, ttl=LONG):
    return t.lease("LeaseGrant", rpc.LeaseGrantRequest(ID=lease, TTL=ttl))


def revoke(t, lease):
    return t.lease("LeaseRevoke", rpc.LeaseRevokeRequest(ID=lease))


def time_to_live(t, lease, keys=True):
    return t.lease("LeaseTimeToLive", rpc.LeaseTimeToLiveRequest(ID=lease, keys=keys))


def keep_alive(t, lease):
    return t.lease("LeaseKeepAlive", rpc.LeaseKeepAliveRequest(ID=lease))


def leases(t):
    return t.lease("LeaseLeases", rpc.LeaseLeasesRequest())


@case
def grants(t):
    leases(t)
    for lease, ttl in ((7, LONG), (8, 9_000_000_000), (9, 1), (10, 0), (11, -5), (12, -(2**63)), (-1, LONG)):
        grant(t, lease, ttl)
    for lease, ttl in ((7, LONG), (7, 5), (20, 9_000_000_001), (7, 9_000_000_001), (21, 2**63 - 1), (0, 2**63 - 1)):
        grant(t, lease, ttl)  # each refused
    grant(t, 2**63 - 1)
    grant(t, -(2**63))
    for lease in (7, 8, -1, 2**63 - 1, -(2**63), 20):
        time_to_live(t, lease)
    for lease in (7, 8, 9, 10, 11, 12, -1, 2**63 - 1, -(2**63), 20):
        revoke(t, lease)
    leases(t)


@case
def an_id_of_the_servers_choice(t):
    reply = {label: client.call(LEASE + "LeaseGrant", rpc.LeaseGrantRequest(TTL=LONG)) for label, client in t.clients.items()}
    for label, client in t.clients.items():
        answer = reply[label].message
        t._check(f"{t.case} {label}", answer.ID > 0 and answer.TTL == LONG, str(answer))
        client.call(LEASE + "LeaseRevoke", rpc.LeaseRevokeRequest(ID=answer.ID))
    leases(t)


@case
def unknown_leases(t):
    for lease in (0, 1, -1, 2**63 - 1):
        revoke(t, lease)
        time_to_live(t, lease, keys=False)
        time_to_live(t, lease)
        keep_alive(t, lease)
        t(Put("a", "1", lease=lease))
        t(Txn(then=[Put("a", "1", lease=lease)]))
    t(Delete("a"))


@case
def keys_go_with_their_lease(t):
    grant(t, 5)
    for key in ("c", "a", "b"):
        t(Put(key, "1", lease=5))
    t(Put("other", "1"))
    time_to_live(t, 5)
    time_to_live(t, 5, keys=False)
    t(Range("\0", "\0"))
    revoke(t, 5)
    t(Range("\0", "\0"))
    t.hash()
    revoke(t, 5)
    t(Put("a", "back"))
    t(Range("a"))
    grant(t, 5)
    time_to_live(t, 5)  # a new one of the same id has no keys
    revoke(t, 5)
    t(Range("a"))
    t(Delete("\0", "\0"))


@case
def a_revoke_without_keys_makes_no_revision(t):
    grant(t, 5)
    t(Put("a", "1"))
    revoke(t, 5)
    t(Put("a", "2"))
    t(Delete("a"))


@case
def moving(t):
    grant(t, 5)
    grant(t, 6)
    t(Put("a", "1", lease=5))
    t(Put("a", "2", lease=6))  # moves
    time_to_live(t, 5)
    time_to_live(t, 6)
    t(Put("a", "3", lease=6))  # again
    t(Put("b", "1", lease=5))
    t(Put("b", "2"))  # detaches
    t(Put("c", "1", lease=5))
    t(Put("c", "2", ignore_lease=True))  # stays
    t(Put("d", "1", lease=5))
    t(Put("d", "", lease=6, ignore_value=True))  # moves with its value
    t(Put("e", "1", lease=5))
    t(Delete("e"))
    t(Put("e", "2"))
    time_to_live(t, 5)
    time_to_live(t, 6)
    revoke(t, 5)
    t(Range("\0", "\0"))
    time_to_live(t, 6)
    revoke(t, 6)
    t(Range("\0", "\0"))
    t(Delete("\0", "\0"))


@case
def in_transactions(t):
    grant(t, 5)
    grant(t, 6)
    t(Txn(then=[Put("a", "1", lease=5), Put("b", "1", lease=6), Range("a")]))
    t(Txn([Compare("a", "LEASE", "EQUAL", 5)], [Put("a", "2", lease=6)], [Put("a", "no")]))
    t(Txn([Compare("a", "LEASE", "EQUAL", 5)], [Put("a", "no")], [Put("c", "1", lease=5)]))
    time_to_live(t, 5)
    time_to_live(t, 6)
    t(Txn(then=[Put("d", "1", lease=5), Put("e", "1", lease=99)]))  # refused as a whole
    t(Txn([Compare("a", "LEASE", "EQUAL", 5)], [Put("e", "1", lease=99)], [Put("f", "1", lease=5)]))
    t(Txn(then=[Txn(then=[Put("g", "1", lease=6)]), Delete("a")]))
    t(Txn(then=[Put("c", "2", ignore_lease=True), Put("f", "", lease=6, ignore_value=True)]))
    time_to_live(t, 5)
    time_to_live(t, 6)
    revoke(t, 6)
    t(Range("\0", "\0"))
    revoke(t, 5)
    t(Range("\0", "\0"))


@case
def deletes_of_ranges(t):
    grant(t, 5)
    for key in ("a", "b", "c", "d"):
        t(Put(key, "1", lease=5))
    t(Delete("b", "d"))
    time_to_live(t, 5)
    t(Delete("\0", "\0", prev_kv=True))
    time_to_live(t, 5)
    revoke(t, 5)


@case
def kept_alive(t):
    grant(t, 5, 100)
    grant(t, 6, 1)
    keep_alive(t, 5)
    keep_alive(t, 6)
    keep_alive(t, 99)
    time_to_live(t, 5)
    revoke(t, 5)
    keep_alive(t, 5)
    revoke(t, 6)


@case
def after_a_restart(t):
    grant(t, 5)
    grant(t, 6, 500)
    for number in range(20):
        t(Put(f"k{number:02d}", "1", lease=5 + number % 2))
    t(Put("k00", "2"))
    t(Put("k02", "2", lease=6))
    t(Delete("k04"))
    for hard in (False, True):
        t.restart(hard)
        time_to_live(t, 5)
        time_to_live(t, 6)
        leases(t)
        t(Put("k06", "3", lease=6))
    revoke(t, 6)
    t(Range("\0", "\0"))
    t.restart()
    revoke(t, 5)
    t(Range("\0", "\0"))
    time_to_live(t, 6)
    t(Delete("\0", "\0"))


@case
def an_empty_message(t):
    for method in ("LeaseGrant", "LeaseRevoke", "LeaseTimeToLive", "LeaseLeases", "LeaseKeepAlive"):
        if method != "LeaseGrant":  # it would make one with an id of the server's choice
            t.lease(method, b"")
        t.lease(method, b"\x08")
