"""The differences from etcd 3.7.3 that Tenon wants, each with its reason. Nothing else may differ.

A case names the difference it meets. Then Tenon's reply must be the wanted one: were it to become equal to etcd's,
the entry is out of date and the case fails too.
"""

import re


def _succeeds_where_etcd_has_none(tenon, peer):
    return peer[0] == "UNIMPLEMENTED" and tenon[0] == "OK"


def _without_leases(body):
    return re.sub(r" *lease: \d+\n", "", body)


def _refused_as_duplicate(tenon, peer):
    return peer[0] == "OK" and tenon[:2] == ("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request")


WANTED = {
    "range-stream-sorts": (
        "RangeStream of etcd refuses sort orders and revision filters; Tenon streams them with Range's answer",
        _succeeds_where_etcd_has_none,
    ),
    "range-stream-target": (
        "with a sort target and no order etcd sorts each piece of a RangeStream by itself, so that the whole is in no "
        "order; Tenon streams in key order",
        lambda tenon, peer: tenon[0] == peer[0] == "OK" and tenon[2] != peer[2],
    ),
    "reflection": (
        "etcd's client port has no server reflection; Tenon serves v1 and v1alpha",
        _succeeds_where_etcd_has_none,
    ),
    "keys-only-lease": (
        "a keys_only range of etcd 3.7 loses the lease (etcd#22209); Tenon keeps it",
        lambda tenon, peer: tenon[:2] == peer[:2]
        and tenon != peer
        and _without_leases(tenon[2]) == _without_leases(peer[2]),
    ),
    "from-key-overlap": (
        'etcd takes the range end "\\0" of a delete in a txn for an inverted range and misses its overlap with a put, '
        "which stops the member when the put ignores value or lease; Tenon refuses the overlap",
        _refused_as_duplicate,
    ),
    "message-too-large": (
        "above max-request-bytes + 512 KiB gRPC itself refuses, in C++ with a text of its own, unless the limit is in "
        "the frame's length already",
        lambda tenon, peer: tenon[0] == peer[0] == "RESOURCE_EXHAUSTED" and "received message larger than max" in tenon[1].lower(),
    ),
    "downgrade": (
        "Tenon has no older format to go back to: a downgrade is refused with etcd's words",
        lambda tenon, peer: peer[0] == "OK"
        and tenon[:2] == ("INVALID_ARGUMENT", "etcdserver: invalid downgrade target version"),
    ),
}


def judge(name, tenon, peer):
    """None when Tenon's reply is the wanted one, else what is wrong."""
    reason, holds = WANTED[name]
    return None if holds(tenon, peer) else f"not the wanted difference '{name}' ({reason})"
