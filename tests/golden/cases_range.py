"""Range: each option, and how they combine."""

from ops import Compare, Delete, Put, Range, Txn, data
from registry import case

KEYS = ("a", "a/1", "a/2", "a/3", "b", "b/1", "c", "d\0", "d", "\xff")


def fill(pair):
    """Ten keys with different versions, create and mod revisions, and values whose order is not the keys'."""
    for number, key in enumerate(KEYS):
        pair(Put(key, f"value {9 - number}"))
    for key in ("a/2", "c", "a/2", "b"):
        pair(Put(key, f"again {key}"))
    pair(Delete("b/1"))
    pair(Put("b/1", "value 5"))


def clear(pair):
    pair(Delete("\0", "\0"))


@case
def empty_store(t):
    for request in (
        Range("a"),
        Range("a", "b"),
        Range("\0", "\0"),
        Range("a", "\0", limit=3),
        Range("a", count_only=True),
        Range("a", revision=1),
        Range("a", revision=2),
        Range("a", revision=-1),
    ):
        t(request)


@case
def bounds(t):
    fill(t)
    ends = ("", "\0", "a", "a/2", "a0", "b", "d", "d\0", "d\0\0", "\xff", b"\xff", b"\xff\xff", "zzz")
    for key in ("a", "a/2", "d", "\0", "x", b"\xff"):
        for end in ends:
            t(Range(key, end))
    t(Range("", ""))
    t(Range("", "z"))
    t(Range("", "\0"))
    clear(t)


@case
def limits(t):
    fill(t)
    for limit in (-1, 0, 1, 2, 3, 9, 10, 11, 1000, 2**31, 2**63 - 1, -(2**63)):
        t(Range("\0", "\0", limit=limit))
        t(Range("a", "b", limit=limit, keys_only=True))
        t(Range("\0", "\0", limit=limit, count_only=True))
    clear(t)


@case
def revisions(t):
    fill(t)
    now = t.revision()
    for revision in (-(2**63), -1, 0, 1, 2, 5, now - 16, now - 8, now - 3, now - 2, now - 1, now, now + 1, 2**63 - 1):
        t(Range("\0", "\0", revision=revision))
        t(Range("b/1", revision=revision, limit=1))
        t(Range("\0", "\0", revision=revision, count_only=True))
    clear(t)
    t(Range("\0", "\0", revision=now, keys_only=True))
    t(Range("\0", "\0", revision=now + 1))


@case
def sorts(t):
    fill(t)
    for target in range(5):
        for order in range(3):
            for limit in (0, 1, 4, 10):
                t(Range("\0", "\0", sort_target=target, sort_order=order, limit=limit))
            t(Range("a", "c", sort_target=target, sort_order=order, keys_only=True, limit=3))
            t(Range("a", sort_target=target, sort_order=order))
            t(Range("\0", "\0", sort_target=target, sort_order=order, count_only=True, limit=2))
            t(Range("\0", "\0", sort_target=target, sort_order=order, revision=t.revision() - 5))
    clear(t)


@case
def ties_keep_key_order(t):
    for key in "fedcba":
        t(Put(key, "same"))
    t(Txn(then=[Put(key, "same") for key in "cabd"]))
    for target in range(5):
        for order in range(3):
            t(Range("\0", "\0", sort_target=target, sort_order=order))
            t(Range("\0", "\0", sort_target=target, sort_order=order, limit=3))
    clear(t)


@case
def filters(t):
    first = t.revision()
    fill(t)
    last = t.revision()
    middle = (first + last) // 2
    for name in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
        for value in (-5, 0, 1, first + 1, middle, last, last + 1, 2**63 - 1):
            t(Range("\0", "\0", **{name: value}))
            t(Range("\0", "\0", limit=2, **{name: value}))
        t(Range("\0", "\0", count_only=True, **{name: middle}))
        t(Range("\0", "\0", keys_only=True, limit=3, **{name: middle}))
        t(Range("\0", "\0", revision=middle, **{name: middle - 2}))
        t(Range("\0", "\0", sort_target="VALUE", sort_order="DESCEND", limit=3, **{name: middle}))
    t(
        Range(
            "\0",
            "\0",
            min_mod_revision=middle,
            max_mod_revision=last - 1,
            min_create_revision=first + 2,
            max_create_revision=last - 2,
        )
    )
    t(Range("\0", "\0", min_mod_revision=last, max_mod_revision=first))
    clear(t)


@case
def serializable_and_flags(t):
    fill(t)
    for serializable in (False, True):
        for keys_only in (False, True):
            for count_only in (False, True):
                t(Range("a", "c", serializable=serializable, keys_only=keys_only, count_only=count_only))
                t(Range("a", serializable=serializable, keys_only=keys_only, count_only=count_only))
                t(Range("missing", serializable=serializable, keys_only=keys_only, count_only=count_only))
    t(Range("\0", "\0", serializable=True, revision=t.revision() + 1))
    t(Range("", serializable=True))
    clear(t)


@case
def unknown_enums(t):
    t(Put("a", "1"))
    for order, target in ((3, 0), (-1, 0), (0, 5), (0, -1), (99, 99), (2, 5), (3, 4)):
        t(Range("a", sort_order=order, sort_target=target))
    t(Range("", sort_order=99))
    t(Txn(then=[Range("a", sort_order=99)]))
    t(Txn([Compare("a", "VERSION", "EQUAL", 1)], then=[Put("a", "2")], otherwise=[Range("a", sort_target=99)]))
    clear(t)


@case
def odd_keys(t):
    keys = [b"\0", b"\0\0", b"\x00a", b"\xff", b"\xff\xff", "ключ", "a b", "a\nb", b"\x80\x81", "k" * 4000]
    for number, key in enumerate(keys):
        t(Put(key, str(number)))
        t(Range(key))
    t(Range("\0", "\0"))
    t(Range(b"\0\0", "\0", keys_only=True))
    t(Range(b"\xff", "\0"))
    t(Range("k" * 4000, data("k" * 4000) + b"\0"))
    clear(t)


@case
def many_keys(t):
    for block in range(10):
        t(Txn(then=[Put(f"many/{block}/{number:02d}", f"{number % 7}") for number in range(60)]))
    t(Range("many/", "many0"))
    t(Range("many/", "many0", limit=100))
    t(Range("many/", "many0", count_only=True))
    t(Range("many/", "many0", keys_only=True, sort_order="DESCEND", limit=7))
    t(Range("many/3/", "many/30", sort_target="KEY", sort_order="DESCEND"))
    t(Range("many/5/59", "\0"))
    clear(t)
