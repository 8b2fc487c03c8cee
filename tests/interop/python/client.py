"""The PyPI client etcd3 against one endpoint: a line per check, "ok NAME" or "FAIL NAME: why"."""

import queue
import sys

import etcd3

failed = False


def equal(name, got, wanted):
    global failed
    if got == wanted:
        print("ok", name)
    else:
        failed = True
        print(f"FAIL {name}: got {got!r}, wanted {wanted!r}")


def main(host, port):
    client = etcd3.client(host=host, port=int(port), timeout=20)
    client.delete_prefix("py/")

    client.put("py/a", "1")
    put = client.put("py/a", "2", prev_kv=True)
    equal("put with the previous value", put.prev_kv.value, b"1")
    value, meta = client.get("py/a")
    equal("get", (value, meta.key, meta.version), (b"2", b"py/a", 2))
    equal("get serializable", client.get("py/a", serializable=True)[0], b"2")
    equal("get of nothing", client.get("py/none"), (None, None))
    equal(
        "put if it is not there",
        (client.put_if_not_exists("py/new", "1"), client.put_if_not_exists("py/new", "2")),
        (True, False),
    )
    equal("replace", (client.replace("py/new", "1", "2"), client.replace("py/new", "1", "3")), (True, False))

    for key, text in (("py/r/1", "c"), ("py/r/2", "a"), ("py/r/3", "b")):
        client.put(key, text)
    equal("prefix", [meta.key for _, meta in client.get_prefix("py/r/")], [b"py/r/1", b"py/r/2", b"py/r/3"])
    equal(
        "prefix descending",
        [meta.key for _, meta in client.get_prefix("py/r/", sort_order="descend")],
        [b"py/r/3", b"py/r/2", b"py/r/1"],
    )
    equal(
        "sorted by value",
        [value for value, _ in client.get_prefix("py/r/", sort_order="ascend", sort_target="value")],
        [b"a", b"b", b"c"],
    )
    equal("keys only", [value for value, _ in client.get_prefix("py/r/", keys_only=True)], [b"", b"", b""])
    equal("range", [value for value, _ in client.get_range("py/r/1", "py/r/3")], [b"c", b"a"])
    equal("all", sum(1 for _, meta in client.get_all() if meta.key.startswith(b"py/r/")), 3)

    txns = client.transactions
    succeeded, answers = client.transaction(
        compare=[txns.value("py/a") == "2", txns.version("py/a") > 0, txns.create("py/none") == 0],
        success=[txns.put("py/a", "3"), txns.get("py/a")],
        failure=[txns.delete("py/a")],
    )
    equal("txn", (succeeded, answers[1][0][0]), (True, b"3"))
    succeeded, answers = client.transaction(compare=[txns.mod("py/a") == 1], success=[], failure=[txns.get("py/a")])
    equal("txn that fails", (succeeded, answers[0][0][0]), (False, b"3"))
    client.transaction(
        compare=[],
        success=[
            txns.txn(
                compare=[txns.value("py/a") == "3"],
                success=[txns.put("py/inner", "then")],
                failure=[txns.put("py/inner", "else")],
            )
        ],
        failure=[],
    )
    equal("nested txn", client.get("py/inner")[0], b"then")

    equal("delete", (client.delete("py/a"), client.delete("py/a")), (True, False))
    deleted = client.delete("py/inner", prev_kv=True, return_response=True)
    equal("delete with the previous value", deleted.prev_kvs[0].value, b"then")
    equal("delete of a prefix", client.delete_prefix("py/r/").deleted, 3)

    revision = client.put("py/c", "1").header.revision
    client.put("py/c", "2")
    client.compact(revision, physical=True)
    try:
        client.compact(revision)
        equal("compact twice", "no error", "an error")
    except Exception as error:  # the client has no class of its own for it
        equal("compact twice", "required revision has been compacted" in str(error), True)

    watches(client)
    leases(client)
    locks(client)
    status = client.status()
    members = list(client.members)
    equal("status", (status.version, status.leader.id == members[0].id, status.db_size > 0), ("3.7.3", True, True))
    equal("members", len(members), 1)
    equal("hash", client.hash() > 0, True)
    client.defragment()
    equal("alarms", list(client.list_alarms()), [])
    client.close()
    return 1 if failed else 0


def locks(client):
    """Without one that waits: the library's own waiting fails with the tenacity of today's Python."""
    first, second = client.lock("py", ttl=600), client.lock("py", ttl=600)
    equal("a lock", first.acquire(), True)
    equal("who has it", (first.is_acquired(), second.is_acquired()), (True, False))
    equal("a lock is refreshed", [answer.TTL for answer in first.refresh()], [600])
    equal("who has no lock releases none", (second.release(), first.is_acquired()), (False, True))
    equal("a lock is released", (first.release(), first.is_acquired()), (True, False))
    with second:
        equal("a lock for a block", second.is_acquired(), True)
        second.lease.revoke()
        equal("a lock goes with its lease", second.is_acquired(), False)
    first.lease.revoke()


def leases(client):
    lease = client.lease(600)
    client.put("py/l/a", "1", lease)
    client.put("py/l/b", "1", lease.id)
    equal("a lease's times", (lease.granted_ttl, 590 < lease.remaining_ttl <= 600), (600, True))
    equal("a lease's keys", sorted(lease.keys), [b"py/l/a", b"py/l/b"])
    equal("a lease is kept alive", [answer.TTL for answer in lease.refresh()], [600])
    lease.revoke()
    equal("keys go with their lease", list(client.get_prefix("py/l/")), [])
    short = client.lease(1)
    events, cancel = client.watch("py/l/c")
    client.put("py/l/c", "1", short)
    equal("keys go when their lease ends", told(events, 2), [("PutEvent", b"py/l/c", b"1"), ("DeleteEvent", b"py/l/c", b"")])
    cancel()


def told(events, count):
    out = []
    for event in events:
        out.append((type(event).__name__, event.key, event.value))
        if len(out) == count:
            return out
    return out


def watches(client):
    first = client.put("py/w/1", "a").header.revision
    events, cancel = client.watch_prefix("py/w/")
    client.put("py/w/1", "b")
    client.delete("py/w/1")
    wanted = [("PutEvent", b"py/w/1", b"b"), ("DeleteEvent", b"py/w/1", b"")]
    equal("watch of a prefix", told(events, 2), wanted)
    cancel()
    events, cancel = client.watch("py/w/1", start_revision=first + 1, prev_kv=True)
    taken = [next(events), next(events)]
    equal("watch from the past", [event.prev_value for event in taken], [b"a", b"b"])
    cancel()
    found = queue.Queue()
    watch = client.add_watch_callback("py/w/2", found.put)
    client.put("py/w/2", "c")
    equal("watch with a callback", [event.value for event in found.get(timeout=20).events], [b"c"])
    client.cancel_watch(watch)
    client.compact(client.put("py/w/3", "d").header.revision)
    try:
        events, cancel = client.watch("py/w/1", start_revision=first)
        next(events)
        equal("watch of what is compacted", "an event", "an error")
    except etcd3.exceptions.RevisionCompactedError as error:
        equal("watch of what is compacted", error.compacted_revision > first, True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1].rsplit(":", 1)))
