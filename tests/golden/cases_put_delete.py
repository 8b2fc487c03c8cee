"""Put and DeleteRange: each option and each refusal."""

from ops import Delete, Put, Range
from registry import case


@case
def puts(t):
    t(Put("a", "1"))
    t(Put("a", "2"))
    t(Put("a", "3", prev_kv=True))
    t(Put("new", "1", prev_kv=True))
    t(Put("a", ""))
    t(Put("a", "", prev_kv=True))
    t(Range("a"))
    t(Put(b"\0", b"\0\xff"))
    t(Range("\0", "\0"))
    t(Delete("\0", "\0"))


@case
def refused_puts(t):
    t(Put("", "1"))
    t(Put("", ""))
    t(Put("", "", ignore_value=True))
    t(Put("missing", ignore_value=True))
    t(Put("missing", ignore_lease=True))
    t(Put("missing", ignore_value=True, ignore_lease=True))
    t(Put("a", "1", ignore_value=True))
    t(Put("a", "1", ignore_lease=True, lease=5))
    t(Put("a", "1", ignore_value=True, ignore_lease=True, lease=5))
    t(Put("", "1", ignore_value=True, lease=5, ignore_lease=True))
    for lease in (1, 5, -1, 2**63 - 1, -(2**63)):
        t(Put("a", "1", lease=lease))
        t(Put("a", "", lease=lease, ignore_value=True))
    t(Range("\0", "\0"))


@case
def ignoring(t):
    t(Put("a", "1"))
    for value_kept in (False, True):
        for lease_kept in (False, True):
            for previous in (False, True):
                t(
                    Put(
                        "a",
                        "" if value_kept else "new",
                        ignore_value=value_kept,
                        ignore_lease=lease_kept,
                        prev_kv=previous,
                    )
                )
                t(Range("a"))
    t(Put("a", "1", lease=7))
    t(Put("a", lease=7, ignore_value=True))
    t(Delete("a"))
    t(Put("a", ignore_value=True))
    t(Put("a", "back", ignore_lease=True))
    t(Put("a", "back"))
    t(Range("a"))
    t(Delete("a"))


@case
def versions(t):
    for turn in range(3):
        for value in range(3):
            t(Put("v", f"{turn}.{value}", prev_kv=True))
        t(Range("v"))
        t(Delete("v", prev_kv=True))
        t(Range("v"))
    now = t.revision()
    for revision in range(now - 12, now + 1):
        t(Range("v", revision=revision))


@case
def deletes(t):
    def fill():
        for key in ("a", "a/1", "a/2", "b", "c", "d"):
            t(Put(key, "of " + key))

    for request in (
        Delete("a"),
        Delete("a", prev_kv=True),
        Delete("a", "b"),
        Delete("a", "b", prev_kv=True),
        Delete("\0", "\0"),
        Delete("\0", "\0", prev_kv=True),
        Delete("b", "\0", prev_kv=True),
        Delete("c", "a"),
        Delete("c", "c"),
        Delete("missing"),
        Delete("missing", "missing0", prev_kv=True),
        Delete("x", "\0"),
        Delete("", ""),
        Delete("", "z"),
        Delete("", "\0"),
        Delete("b", "b\0"),
        Delete("d", b"\xff", prev_kv=True),
    ):
        fill()
        t(request)
        t(Range("\0", "\0"))
    t(Delete("\0", "\0"))
    t(Delete("\0", "\0"))
    t(Delete("\0", "\0", prev_kv=True))
    t.hash()


@case
def sizes(t):
    t(Put("big", "x" * 1000_000))
    t(Range("big", keys_only=True))
    t(Put("big", "y" * 10, prev_kv=True))
    t(Put("k" * 100_000, "v"))
    t(Range("k", "\0", keys_only=True))
    for size in (1572864 - 40, 1572864 - 20, 1572864, 1572864 + 1, 2**21 - 20):
        t(Put("big", "x" * size))
    t(Delete("k", "\0"))
    t(Delete("big"))
