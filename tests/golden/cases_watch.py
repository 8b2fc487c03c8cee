"""Watch: what a watcher is told, from which revision on, and how it ends."""

from harness.messages import rpc
from ops import ALL, Delete, Put, Txn
from registry import case
from watching import Watching

NOPUT, NODELETE = 0, 1


@case
def now_past_and_future(t):
    t(Put("a", "1"))
    t(Put("a", "2"))
    now = t.revision()
    with Watching(t) as w:
        w.create("a", id=1)
        w.create("a", start=now - 1, id=2)
        w.create("a", start=now, id=3)
        w.create("a", start=now + 1, id=4)
        w.create("a", start=now + 3, id=5)
        w.expect(8)
        for value in "345":
            t(Put("a", value))
        t(Put("b", "not watched"))
        w.expect(13)


@case
def ranges(t):
    with Watching(t) as w:
        w.create("a", "b", id=1)
        w.create("b", "\0", id=2)
        w.create("", id=3)
        w.create("", "\0", id=4)
        w.create("a", id=5)
        w.create("ab", "a", id=6)
        w.create("a", "a", id=7)
        w.expect(7)
        for key in ("a", "ab", "b", "c", "\0"):
            t(Put(key, "v"))
        t(Delete(**ALL))
        w.expect(22)


@case
def a_transaction_is_one_revision(t):
    t(Put("k0", "old"))
    with Watching(t) as w:
        w.create("k", "l", prev_kv=True)
        w.expect(1)
        t(Txn(then=[Put("k1", "1"), Put("k2", "2"), Delete("k0"), Put("x", "no")]))
        t(Txn(then=[Delete("k", "l")]))
        w.expect(3 + 2)


@case
def former_values(t):
    t(Put("a", "1"))
    first = t.revision()
    t(Put("a", "2", lease=0))
    t(Delete("a"))
    t(Put("a", "3"))
    with Watching(t) as w:
        w.create("a", start=first, prev_kv=True, id=1)
        w.create("a", start=first + 1, prev_kv=True, id=2)
        w.create("a", prev_kv=True, id=3)
        w.expect(3 + 4 + 3)
        t(Put("a", "4"))
        t(Delete("a"))
        t(Delete("a"))
        t(Put("a", "5"))
        w.expect(9)


@case
def filters(t):
    t(Put("a", "0"))
    start = t.revision()
    with Watching(t) as w:
        w.create("a", id=1, filters=[NOPUT])
        w.create("a", id=2, filters=[NODELETE], start=start)
        w.create("a", id=3, filters=[NOPUT, NODELETE], start=start)
        w.create("a", id=4, filters=[7])
        w.expect(4 + 1)
        t(Put("a", "1"))
        t(Delete("a"))
        t(Put("a", "2"))
        w.expect(1 + 2 + 0 + 3)


@case
def ids(t):
    with Watching(t) as w:
        for id in (0, 1, 0, 0, 1, 5, -3):
            w.create("a", id=id)
        w.expect(7)
        w.cancel(5)
        w.cancel(99)
        w.create("a", id=5)
        w.cancel(5)
        w.cancel(5)
        w.expect(3)
        t(Put("a", "1"))
        w.expect(5)


@case
def compacted_start(t):
    for value in "12345":
        t(Put("a", value))
    t(Delete("a"))
    now = t.revision()
    t.compact(now - 2)
    with Watching(t) as w:
        w.create("a", start=now - 3, id=1)
        w.create("a", start=1, id=2, prev_kv=True)
        w.expect(4)
        w.create("a", start=now - 2, id=3, prev_kv=True)
        w.create("a", start=now - 1, id=4, prev_kv=True)
        w.expect(2 + 3 + 2)
        w.cancel(1)
        w.expect(1)


@case
def a_delete_at_the_compact_revision_is_told(t):
    t(Put("a", "1"))
    t(Delete("a"))
    deleted = t.revision()
    t(Put("b", "1"))
    t.compact(deleted)
    with Watching(t) as w:
        w.create("a", "c", start=deleted)
        w.expect(3)


@case
def progress_on_request(t):
    t(Put("a", "1"))
    now = t.revision()
    with Watching(t) as w:
        w.progress()  # no watcher: nothing
        w.create("a", id=1)
        w.expect(1)
        w.progress()
        w.expect(1)
        t(Put("a", "2"))
        t(Put("b", "2"))
        w.expect(1)
        w.progress()
        w.expect(1)
        w.create("a", start=now + 100, id=2)
        w.expect(1)
        w.progress()  # one begins in the future (etcd#20221)
        w.expect(0)
        w.cancel(2)
        w.expect(1)
        w.progress()
        w.expect(1)


@case
def requests_that_say_nothing(t):
    with Watching(t) as w:
        w.send(rpc.WatchRequest())
        w.create("a")
        w.expect(1)
        t(Put("a", "1"))
        w.expect(1)


@case
def fragments(t):
    big = "v" * 450_000
    t(Txn(then=[Put(f"f{n}", big) for n in range(3)]))
    start = t.revision()
    with Watching(t) as w:
        w.create("f", "g", id=1, fragment=True, prev_kv=True)
        w.create("f", "g", id=2, prev_kv=True)
        w.expect(2)
        t(Txn(then=[Put(f"f{n}", big + "2") for n in range(3)]))
        w.expect(3 + 1 + 3)
        w.create("f", "g", id=3, start=start + 1, fragment=True, prev_kv=True)
        w.expect(1 + 3 + 1)


@case
def many_in_the_past(t):
    for block in range(12):
        t(Txn(then=[Put(f"m{number:03d}", f"{block}") for number in range(100)]))
        t(Txn(then=[Delete(f"m{block:03d}")]))
    start = t.revision() - 23
    with Watching(t) as w:
        w.create("m", "n", start=start, id=1)
        w.create("m", "n", start=start + 5, id=2, prev_kv=True)
        w.create("m050", start=start, id=3, prev_kv=True)
        w.expect(3 + 1212 + (1212 - 302) + 12)
        t(Put("m050", "x"))
        w.expect(3)


@case
def after_a_restart(t):
    for value in "123":
        t(Put("a", value))
    start = t.revision() - 2
    t.restart(hard=True)
    t(Put("a", "4"))
    with Watching(t) as w:
        w.create("a", start=start, id=1, prev_kv=True)
        w.expect(5)
