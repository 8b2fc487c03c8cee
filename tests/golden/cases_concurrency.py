"""v3lock and v3election, as far as nobody has to wait: what is answered, what is refused, what lies in the store."""

from cases_lease import grant, revoke
from harness.messages import ELECTION, LOCK, election, lock
from ops import Delete, Range
from registry import case

EVERYTHING = ("\0", "\0")


def take(t, name, lease):
    return t.send(LOCK + "Lock", lock.LockRequest(name=name, lease=lease))


def release(t, key):
    return t.send(LOCK + "Unlock", lock.UnlockRequest(key=key))


def campaign(t, name, lease, value):
    return t.send(ELECTION + "Campaign", election.CampaignRequest(name=name, lease=lease, value=value))


def proclaim(t, value, **leader):
    request = election.ProclaimRequest(value=value)
    if leader:
        request.leader.CopyFrom(election.LeaderKey(**leader))
    return t.send(ELECTION + "Proclaim", request)


def resign(t, **leader):
    request = election.ResignRequest()
    if leader:
        request.leader.CopyFrom(election.LeaderKey(**leader))
    return t.send(ELECTION + "Resign", request)


def leader(t, name):
    return t.send(ELECTION + "Leader", election.LeaderRequest(name=name))


@case
def locks(t):
    grant(t, 77)
    grant(t, 78)
    take(t, b"n", 77)
    take(t, b"n", 77)
    take(t, b"other", 78)
    take(t, b"", 78)
    take(t, b"n\xff", 78)
    t(Range(*EVERYTHING))
    release(t, b"n/4d")
    release(t, b"n/4d")
    release(t, b"")
    release(t, b"nothing")
    take(t, b"n", 78)
    t(Range(*EVERYTHING))
    revoke(t, 78)
    t(Range(*EVERYTHING))
    take(t, b"n", 77)
    revoke(t, 77)


@case
def locks_refused(t):
    take(t, b"n", 12345)
    take(t, b"n", -1)
    t.send(LOCK + "Lock", b"\xff\xff")
    t.send(LOCK + "Unlock", b"\xff\xff")


@case
def elections(t):
    grant(t, 77)
    grant(t, 78)
    leader(t, b"e")
    leader(t, b"")
    first = campaign(t, b"e", 77, b"one").message.leader
    campaign(t, b"e", 77, b"one")
    leader(t, b"e")
    campaign(t, b"e", 77, b"other")
    leader(t, b"e")
    known = {"name": first.name, "key": first.key, "rev": first.rev, "lease": first.lease}
    proclaim(t, b"again", **known)
    leader(t, b"e")
    proclaim(t, b"no", **{**known, "rev": first.rev + 1})
    proclaim(t, b"no", **{**known, "key": b"e/none"})
    proclaim(t, b"no", **{**known, "key": b""})
    proclaim(t, b"no", **{**known, "lease": 12345})
    proclaim(t, b"with another lease", **{**known, "lease": 78})
    t(Range(*EVERYTHING))
    resign(t, **{**known, "rev": first.rev + 1})
    leader(t, b"e")
    resign(t, **known)
    leader(t, b"e")
    resign(t, **known)
    campaign(t, b"e", 78, b"two")
    leader(t, b"e")
    t(Delete(*EVERYTHING))
    revoke(t, 77)
    revoke(t, 78)


@case
def elections_refused(t):
    campaign(t, b"e", 12345, b"v")
    proclaim(t, b"v")
    resign(t)
    resign(t, name=b"e")
    for method in ("Campaign", "Proclaim", "Leader", "Resign"):
        t.send(ELECTION + method, b"\xff\xff")
