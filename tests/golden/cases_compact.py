"""Compact and HashKV at revisions before, at and after it, with tombstones, and after restarts."""

from ops import Compare, Delete, Put, Range, Txn
from registry import case


def history(t, prefix="h", count=30):
    """Puts, overwrites, deletes and recreations."""
    for number in range(count):
        key = f"{prefix}{number % 7}"
        t(Delete(key) if number % 5 == 4 else Put(key, f"{prefix} {number}"))
    t(Txn(then=[Put(f"{prefix}x", "1"), Put(f"{prefix}y", "2"), Delete(f"{prefix}1")]))


def look(t, compacted, now):
    """Reads and hashes around a compaction."""
    for revision in (compacted - 2, compacted - 1, compacted, compacted + 1, now - 1, now, now + 1):
        t(Range("\0", "\0", revision=revision))
        t(Range("h1", revision=revision))
        t(Range("\0", "\0", revision=revision, count_only=True))
        t(Range("\0", "\0", revision=revision, limit=1, keys_only=True))
        t.hash(revision)
    t.hash()
    t(Range("\0", "\0"))


@case
def refusals(t):
    for revision in (-5, -1, 0, 1, 2, 10, 2**63 - 1):
        t.compact(revision)
        t.compact(revision, physical=False)
    t.hash()
    t.hash(-1)
    t.hash(1)
    t.hash(2)


@case
def step_by_step(t):
    history(t)
    now = t.revision()
    for revision in range(2, now + 1):
        t.hash(revision)
    for compacted in (3, 4, 9, 15, 16, 17, 28, now - 1, now):
        t.compact(compacted)
        look(t, compacted, now)
        t.compact(compacted)
        t.compact(compacted - 1)
        t.compact(now + 1)


@case
def after_a_restart(t):
    t.restart()
    now = t.revision()
    t(Range("\0", "\0"))
    t.hash()
    t.hash(now)
    t.hash(now - 1)
    t(Range("\0", "\0", revision=now - 1))
    t.compact(now)
    t(Put("after", "restart"))
    t.hash()


@case
def after_a_kill(t):
    history(t, "k")
    now = t.revision()
    t.compact(now - 6)
    t.compact(now - 3, physical=True)
    t.hash()
    t.restart(hard=True)
    look(t, now - 3, now)
    t(Put("after", "kill"))
    t.hash()


@case
def at_a_tombstone(t):
    t(Put("t", "1"))
    t(Delete("t"))
    at = t.revision()
    t(Put("u", "1"))
    t.compact(at)
    look(t, at, at + 1)
    t(Range("t", revision=at))
    t(Range("t", revision=at + 1))
    t.restart(hard=True)
    look(t, at, at + 1)
    t.compact(at + 1)
    look(t, at + 1, at + 1)


@case
def of_everything(t):
    """The revision must not go back although no key is left (etcd#17780)."""
    t(Delete("\0", "\0"))
    t.compact(t.revision())
    t.hash()
    t.restart(hard=True)
    t(Range("\0", "\0"))
    t.hash()
    t.restart()
    t(Range("\0", "\0"))
    t(Put("first", "again"))
    t.hash()


@case
def txns_at_a_compacted_revision(t):
    for number in range(6):
        t(Put("a", str(number)))
    now = t.revision()
    t.compact(now - 2)
    for revision in (-1, 0, 1, now - 4, now - 3, now - 2, now - 1, now, now + 1):
        t(Txn(then=[Range("a", revision=revision)]))
        t(Txn(then=[Put("b", "w"), Range("a", revision=revision)]))
        t(Txn([Compare("a", "VERSION", "EQUAL", 0)], then=[Range("a", revision=revision)], otherwise=[Put("c", "1")]))
        t(Txn(then=[Txn(otherwise=[Range("a", revision=revision)])]))
        t(
            Txn(
                then=[
                    Txn([Compare("a", "VERSION", "EQUAL", 0)], otherwise=[Put("d", "1"), Range("a", revision=revision)])
                ]
            )
        )
    t(Range("\0", "\0"))
    t.hash()


@case
def without_waiting(t):
    """A logical compaction refuses reads at once; the hash is the same before, while and after it works."""
    for block in range(30):
        t(Txn(then=[Put(f"w{number:03d}", f"{block}") for number in range(100)]))
    now = t.revision()
    t.hash(now)
    t.compact(now - 4, physical=False)
    t.hash(now)
    t(Range("w000", revision=now - 5))
    t(Range("w000", revision=now - 4))
    t.hash(now - 4)
    t.hash(now - 5)
    t.compact(now - 2)
    t.hash(now)
    t.restart(hard=True)
    t.hash(now)
    t.hash()
