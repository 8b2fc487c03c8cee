"""Txn: compares, nesting, what counts as a duplicate, limits, and what a range inside sees."""

from harness.messages import KV, rpc
from ops import Compare, Delete, Put, Range, Txn, op
from registry import case

RESULTS = ("EQUAL", "GREATER", "LESS", "NOT_EQUAL")
TARGETS = ("VERSION", "CREATE", "MOD", "VALUE", "LEASE")


def clear(t):
    t(Delete("\0", "\0"))


def tells(t, *compares):
    """Sends compares and shows by a read which branch was taken."""
    t(Txn(compares, then=[Range("yes")], otherwise=[Range("no")]))


@case
def empty(t):
    t(Txn())
    t(Txn([Compare("a", "VERSION", "EQUAL", 0)]))
    t(Txn([Compare("a", "VERSION", "EQUAL", 1)]))
    t(Txn(then=[Txn()]))
    t(Txn(then=[Txn()], otherwise=[Txn()]))
    t(Txn(then=[Txn(then=[Txn()])]))
    t(Txn([Compare("", "VERSION", "EQUAL", 0)]))
    t(Txn(then=[None]))
    t(Txn(otherwise=[None]))
    t(Txn(then=[Put("a", "1"), None]))
    t(Txn(then=[Txn(then=[None])]))


@case
def compares(t):
    t(Put("k", "b"))
    t(Put("k", "m"))
    created = t.revision() - 1
    wanted = {
        "VERSION": (0, 1, 2, 3),
        "CREATE": (created - 1, created, created + 1),
        "MOD": (created, created + 1, created + 2),
        "VALUE": ("", "a", "m", "mm", "z"),
        "LEASE": (-1, 0, 1),
    }
    for target in TARGETS:
        for result in RESULTS:
            for value in wanted[target]:
                tells(t, Compare("k", target, result, value))
            tells(t, Compare("k", target, result))
            tells(t, Compare("missing", target, result, "" if target == "VALUE" else 0))
            tells(t, Compare("missing", target, result))
    clear(t)


@case
def several_compares(t):
    t(Put("a", "1"))
    t(Put("b", "2"))
    good, bad = Compare("a", "VALUE", "EQUAL", "1"), Compare("b", "VALUE", "EQUAL", "1")
    for compares in ((good, good), (good, bad), (bad, good), (bad, bad), (good,) * 128):
        tells(t, *compares)
    clear(t)


@case
def range_compares(t):
    for number, key in enumerate(("r/1", "r/2", "r/3")):
        t(Put(key, "same"))
    t(Put("r/2", "same"))
    for end in ("r0", "r/3", "\0", "r/1\0", "q", "r/"):
        for target, result, value in (
            ("VALUE", "EQUAL", "same"),
            ("VERSION", "GREATER", 0),
            ("VERSION", "EQUAL", 1),
            ("MOD", "GREATER", 1),
            ("CREATE", "NOT_EQUAL", 0),
            ("LEASE", "EQUAL", 0),
            ("VALUE", "NOT_EQUAL", "x"),
        ):
            tells(t, Compare("r/", target, result, value, end=end))
    for end in ("x0", "\0", "a"):
        for target in TARGETS:
            for result in RESULTS:
                tells(t, Compare("x", target, result, "" if target == "VALUE" else 0, end=end))
    clear(t)


@case
def odd_compares(t):
    t(Put("k", "v"))
    for result in (4, 9, -1):
        for target in TARGETS:
            tells(t, Compare("k", target, result, "v" if target == "VALUE" else 1))
    for target in (5, 99, -1):
        for result in RESULTS:
            tells(t, rpc.Compare(key=b"k", target=target, result=result, version=1))
    # The union holds a field of another target.
    for target in TARGETS:
        tells(t, rpc.Compare(key=b"k", target=target, result="EQUAL", version=1))
        tells(t, rpc.Compare(key=b"k", target=target, result="EQUAL", value=b"v"))
    clear(t)


@case
def every_operation(t):
    t(Txn(then=[Put("a", "1"), Put("b", "2"), Range("a"), Range("\0", "\0"), Delete("z"), Put("c", "3", prev_kv=True)]))
    t(Txn(then=[Delete("a", prev_kv=True), Range("a"), Put("d", "4"), Range("a", "\0", count_only=True)]))
    t(Txn([Compare("a", "CREATE", "EQUAL", 0)], then=[Put("a", "again"), Range("a")], otherwise=[Put("a", "not")]))
    t(
        Txn(
            [Compare("a", "CREATE", "EQUAL", 0)],
            then=[Put("a", "again")],
            otherwise=[Range("a"), Delete("a", prev_kv=True), Range("a"), Put("e", "5", prev_kv=True)],
        )
    )
    t(Txn(then=[Range("\0", "\0", limit=2, sort_order="DESCEND"), Range("\0", "\0", keys_only=True)]))
    t(Txn(then=[Delete("\0", "\0", prev_kv=True), Range("\0", "\0")]))
    t(Txn(then=[Delete("\0", "\0", prev_kv=True)]))
    t(Range("\0", "\0"))
    t.hash()


@case
def revisions_move_only_with_a_change(t):
    t(Put("a", "1"))
    for then in (
        [Delete("missing")],
        [Range("a")],
        [Range("a"), Delete("missing", "missing0")],
        [Put("a", "1")],
        [Delete("a"), Delete("a")],
        [Txn(then=[Delete("missing")])],
        [Txn(then=[Put("b", "1")])],
    ):
        t(Txn(then=then))
        t(Range("\0", "\0"))
    clear(t)


@case
def nested(t):
    t(Put("a", "1"))
    one = Compare("a", "VALUE", "EQUAL", "1")
    two = Compare("a", "VALUE", "EQUAL", "2")
    t(Txn([one], then=[Put("a", "2"), Txn([two], then=[Put("b", "saw 2")], otherwise=[Put("b", "saw 1")]), Range("b")]))
    t(
        Txn(
            [one],
            then=[Put("c", "x")],
            otherwise=[
                Txn(
                    [two], then=[Txn([two], then=[Put("c", "deep"), Range("c")]), Range("c"), Delete("b", prev_kv=True)]
                )
            ],
        )
    )
    t(Txn(then=[Txn(then=[Put("n1", "1")]), Txn(then=[Put("n2", "2")]), Txn(then=[Range("n1"), Range("n2")])]))
    t(Txn(then=[Txn(then=[Range("n1")])]))
    t(
        Txn(
            then=[
                Txn([Compare("n1", "VERSION", "EQUAL", 1, end="n3")], then=[Delete("n1", "n3", prev_kv=True)]),
                Range("n", "o"),
            ]
        )
    )
    deep = Txn([Compare("a", "VERSION", "GREATER", 0)], then=[Put("deep", "bottom"), Range("deep")])
    for level in range(20):
        deep = Txn([Compare("a", "VERSION", "GREATER", 0)], then=[Put(f"deep/{level}", str(level)), deep])
    t(deep)
    t(Range("\0", "\0"))
    t.hash()
    clear(t)


@case
def duplicates(t):
    a, b = Put("a", "1"), Put("a", "2")
    for then in (
        [a, b],
        [a, Delete("a")],
        [Delete("a"), a],
        [a, Delete("a", "b")],
        [Delete("A", "z"), a],
        [a, Delete("b")],
        [a, Delete("b", "c")],
        [Delete("a", "c"), Delete("b", "d")],
        [Delete("a"), Delete("a")],
        [a, Txn(then=[b])],
        [Txn(then=[a]), b],
        [Txn(then=[a]), Txn(then=[b])],
        [Txn(then=[a], otherwise=[b])],
        [Txn(then=[a], otherwise=[b]), Put("a", "3")],
        [Txn(otherwise=[a]), Txn(otherwise=[b])],
        [Txn(then=[a]), Delete("a")],
        [Delete("a", "b"), Txn(otherwise=[a])],
        [Txn(then=[Delete("a", "b")]), a],
        [a, Txn(then=[Delete("a", "b")])],
        [Txn(then=[Delete("a", "b")]), Txn(then=[a])],
        [Txn(then=[a]), Txn(then=[Delete("a", "b")])],
        [Txn(then=[Delete("a", "b")], otherwise=[a])],
        [Txn(then=[Txn(then=[a])]), Txn(otherwise=[Txn(otherwise=[b])])],
        [Txn(then=[Txn(then=[a])]), b],
        [a, Range("a"), Range("a")],
        [a, Delete("c", "b")],
        [Delete("c", "a"), Put("b", "1")],
        [Delete("a", "a"), a],
        [a, Put("a\0", "1")],
        [Delete("a", "a\0"), Put("a\0", "1")],
    ):
        t(Txn(then=then))
        t(Txn([Compare("never", "VERSION", "EQUAL", 5)], then=[Put("fine", "1")], otherwise=then))
    t(Txn(then=[a], otherwise=[b]))
    t(Range("\0", "\0"))
    clear(t)


@case
def from_key_deletes(t):
    for key in "abc":
        t(Put(key, key))
    t(Txn(then=[Delete("b", "\0", prev_kv=True), Range("\0", "\0")]))
    t(Put("b", "again"))
    t(Txn(then=[Put("c", "after"), Delete("b", "\0", prev_kv=True)]), difference="from-key-overlap")
    t.only_tenon(KV + "DeleteRange", Delete("b", "\0"), "OK")  # what etcd's txn left: the same keys, one revision
    clear(t)


@case
def what_stops_etcd_is_refused(t):
    t(Put("b", "1"))
    duplicate = ("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request")
    for put in (Put("b", ignore_value=True), Put("b", "2", ignore_lease=True)):
        t.only_tenon(KV + "Txn", Txn(then=[Delete("a", "\0"), put]), *duplicate)
        t.only_tenon(KV + "Txn", Txn(then=[Txn(then=[Delete("\0", "\0")]), put]), *duplicate)
        t.only_tenon(KV + "Txn", Txn(then=[Delete("a", "\0"), Txn(otherwise=[put])]), *duplicate)
    t(Range("b"))
    clear(t)


@case
def limits(t):
    def puts(count, mark="k"):
        return [Put(f"{mark}{number:03d}", "v") for number in range(count)]

    for count in (127, 128, 129, 200):
        t(Txn(then=puts(count)))
        t(Txn(otherwise=puts(count)))
        t(Txn([Compare("k000", "VERSION", "GREATER", 0)] * count))
    t(Txn([Compare("k000", "VERSION", "GREATER", 0)] * 128, then=puts(128), otherwise=puts(128)))
    for outer, inner in (
        (1, 127),
        (1, 128),
        (2, 126),
        (2, 127),
        (64, 64),
        (64, 65),
        (127, 1),
        (127, 2),
        (128, 0),
        (128, 1),
    ):
        t(Txn(then=[*puts(outer - 1, "o"), Txn(then=puts(inner))]))
        t(Txn([Compare("k000", "VERSION", "GREATER", 0)] * outer, then=[Txn(otherwise=puts(inner))]))
    t(Txn(then=[Txn(then=puts(100, "x")), Txn(then=puts(100, "y"))]))
    deep = Txn(then=[Put("x", "1")])
    for _ in range(126):
        deep = Txn(then=[deep])
    t(deep)
    t(Txn(then=[deep]))
    t(Txn(then=[Txn(then=[deep])]))
    t(Txn([Compare("", "VERSION", "EQUAL", 1)] * 129))
    t(Txn(then=[*puts(128), Put("", "x")]))
    clear(t)


@case
def refused_operations(t):
    t(Put("a", "1"))
    for bad in (
        Put("", "x"),
        Put("a", "x", ignore_value=True),
        Put("a", lease=3, ignore_lease=True),
        Delete(""),
        Range(""),
        Put("missing", ignore_value=True),
        Put("missing", ignore_lease=True),
        Put("b", "x", lease=99),
        Put("a", lease=99, ignore_value=True),
        Range("a", revision=10**6),
        Txn([Compare("", "MOD", "EQUAL", 1)]),
    ):
        t(Txn(then=[Put("c", "1"), bad]))
        t(Txn(then=[bad, Put("c", "1")]))
        t(Txn(otherwise=[bad]))
        t(Txn([Compare("a", "VERSION", "EQUAL", 7)], then=[bad], otherwise=[Put("d", "taken")]))
        t(Txn(then=[Txn([Compare("a", "VERSION", "EQUAL", 7)], then=[Put("e", "1")], otherwise=[Put("c", "1"), bad])]))
        t(Range("\0", "\0"))
    clear(t)


@case
def ignoring_sees_the_state_before(t):
    t(Txn(then=[Put("a", "1"), Txn(then=[Put("b", ignore_value=True)])]))
    t(Put("b", "2"))
    t(Txn(then=[Put("a", "1"), Txn(then=[Put("b", ignore_value=True, prev_kv=True)]), Range("b")]))
    t(Txn(then=[Put("b", "3", ignore_lease=True, prev_kv=True), Range("b")]))
    clear(t)


@case
def ranges_inside(t):
    t(Put("a", "1"))
    t(Put("a", "2"))
    now = t.revision()
    for revision in (-5, -1, 0, 1, now - 1, now, now + 1, now + 2):
        t(Txn(then=[Range("a", revision=revision)]))
        t(Txn(then=[Put("b", "w"), Range("a", "c", revision=revision)]))
        t(Txn(then=[Txn(then=[Range("a", revision=revision)])]))
        t(Txn([Compare("a", "VERSION", "EQUAL", 99)], then=[Range("a", revision=revision)], otherwise=[Range("a")]))
    t(Txn(then=[Range("a", serializable=True), Range("a")]))
    t(Txn(then=[Range("a", serializable=True)]))
    t(
        Txn(
            then=[
                Put("s", "1"),
                Range("\0", "\0", sort_target="MOD", sort_order="DESCEND", limit=2),
                Range("\0", "\0", min_mod_revision=t.revision() + 1),
            ]
        )
    )
    t(Txn(then=[Delete("a"), Range("a"), Range("a", revision=t.revision()), Put("z", "1")]))
    clear(t)


@case
def an_op_with_two_fields(t):
    both = op(Put("a", "1")).SerializeToString() + op(Range("a")).SerializeToString()
    request = b"\x12" + bytes([len(both)]) + both
    t.send(KV + "Txn", request)
    t(Range("\0", "\0"))
    clear(t)
