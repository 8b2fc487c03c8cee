"""Random operations on a small key space, sent to both servers; each reply must be equal.

The generator knows only what it sent and the revisions that came back, so a seed gives the same operations on any
pair of servers that behave alike. The first reply that differs ends the run: its number is the shortest prefix.
"""

import random
import tempfile
import time
import zlib
from pathlib import Path

from harness.messages import KV, MAINTENANCE, rpc
from harness.server import Server
from normal import normal, same_but_for_chance, scrub
from ops import Compare, Delete, Put, Range, Txn
from pair import difference

KEYS = [f"k{number}" for number in range(10)] + ["k", "k1\0"]  # 12: etcd's sort keeps the order of ties up to that
ENDS = ["", "k5", "k9", "l", "k1\0\0", "k0", "a", "k"]
SHRINK_SECONDS = 120


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.revision = 1
        self.compacted = 0
        self.serial = 0

    def next(self):
        """(method, request)"""
        make = self.random.choices(
            (self.put, self.delete, self.txn, self.range, self.stream, self.hash, self.compact),
            (28, 8, 26, 24, 4, 9, 1),
        )[0]
        return make()

    def saw(self, method, request, reply):
        header = getattr(reply.message, "header", None)
        if header is not None:
            self.revision = max(self.revision, header.revision)
        if method == KV + "Compact" and reply.ok:
            self.compacted = request.revision

    def put(self):
        return KV + "Put", self.put_request(self.random.choice(KEYS))

    def put_request(self, key, plain=False):
        self.serial += 1
        value = self.random.choice(("", f"v{self.serial}", f"v{self.serial % 4}", "x" * self.random.randrange(300)))
        more = {"prev_kv": self.random.random() < 0.3}
        if not plain and self.random.random() < 0.15:
            more["ignore_lease"] = True
        if not plain and self.random.random() < 0.15:
            more["ignore_value"] = True
            value = "" if self.random.random() < 0.9 else value
        if not plain and self.random.random() < 0.03:
            more["lease"] = self.random.randrange(1, 9)
        if self.random.random() < 0.01:
            key = ""
        return Put(key, value, **more)

    def delete(self):
        return KV + "DeleteRange", self.delete_request(anything=True)

    def delete_request(self, anything):
        """`anything` allows open and inverted ranges: in a txn with a put they can stop etcd."""
        key = self.random.choice(KEYS)
        end = self.random.choice(ENDS) if self.random.random() < 0.4 else ""
        if anything and self.random.random() < 0.05:
            end = "\0"
        if not anything and end and end <= key:
            end = ""
        return Delete(key, end, prev_kv=self.random.random() < 0.4)

    def range(self):
        return KV + "Range", self.range_request()

    def stream(self):
        request = self.range_request()
        for field in (
            "sort_order",
            "sort_target",
            "min_mod_revision",
            "max_mod_revision",
            "min_create_revision",
            "max_create_revision",
        ):
            request.ClearField(field)
        return KV + "RangeStream", request

    def any_revision(self):
        chosen = self.random.random()
        if chosen < 0.5:
            return 0
        if chosen < 0.55:
            return self.random.choice((-1, self.revision + 1, self.revision + 7, 1))
        low = max(1, self.compacted - 3)
        return self.random.randint(min(low, self.revision), self.revision)

    def range_request(self):
        pick = self.random
        request = Range(pick.choice(KEYS + ["\0", "a"]), pick.choice(ENDS + ["\0"] * 6), revision=self.any_revision())
        if pick.random() < 0.4:
            request.limit = pick.choice((1, 2, 3, 5, 8, 12, 13, -1))
        if pick.random() < 0.3:
            request.sort_order = pick.choice((0, 1, 2))
            request.sort_target = pick.choice((0, 1, 2, 3, 4))
        for name in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
            if pick.random() < 0.08:
                setattr(request, name, pick.randint(max(1, self.revision - 40), self.revision + 1))
        request.serializable = pick.random() < 0.3
        request.keys_only = pick.random() < 0.15
        request.count_only = pick.random() < 0.1
        return request

    def compare(self):
        pick = self.random
        target = pick.choice(("VERSION", "CREATE", "MOD", "VALUE", "LEASE"))
        near = pick.randint(max(0, self.revision - 30), self.revision)
        wanted = {
            "VERSION": pick.randrange(5),
            "CREATE": pick.choice((0, near)),
            "MOD": pick.choice((0, near)),
            "VALUE": f"v{pick.randrange(4)}",
            "LEASE": pick.choice((0, 0, 1)),
        }[target]
        end = pick.choice(ENDS + ["\0"]) if pick.random() < 0.2 else ""
        return Compare(
            pick.choice(KEYS + ["none"]),
            target,
            pick.choice(("EQUAL", "GREATER", "LESS", "NOT_EQUAL")),
            wanted if pick.random() < 0.95 else None,
            end=end,
        )

    def txn(self):
        with_puts = self.random.random() < 0.85
        return KV + "Txn", self.txn_request(0, with_puts, plain=self.random.random() < 0.8)

    def txn_request(self, depth, with_puts, plain):
        compares = [self.compare() for _ in range(self.random.choice((0, 1, 1, 1, 2, 3)))]
        return Txn(compares, self.branch(depth, with_puts, plain), self.branch(depth, with_puts, plain))

    def branch(self, depth, with_puts, plain):
        free = list(KEYS)
        self.random.shuffle(free)
        return [self.operation(depth, with_puts, plain, free) for _ in range(self.random.choice((0, 1, 2, 2, 3, 4)))]

    def operation(self, depth, with_puts, plain, free):
        """One op of a txn; puts of a branch mostly take keys of their own, so that few txns are refused."""
        chosen = self.random.random()
        if chosen < 0.5 and with_puts:
            own = free.pop() if free and self.random.random() < 0.95 else self.random.choice(KEYS)
            return self.put_request(own, plain)
        if chosen < 0.65:
            request = self.delete_request(anything=not with_puts)
            if with_puts and not plain:
                request.range_end = b""
            return request
        if chosen < 0.8 and depth < 3:
            return self.txn_request(depth + 1, with_puts, plain)
        if chosen < 0.99 or not with_puts:
            return self.range_request()
        return None

    def hash(self):
        return MAINTENANCE + "HashKV", rpc.HashKVRequest(revision=self.any_revision())

    def compact(self):
        low = max(1, self.compacted - 1)
        near = self.random.randint(low, self.random.randint(low, self.revision + 1))
        return KV + "Compact", rpc.CompactionRequest(revision=near, physical=self.random.random() < 0.7)


class Sides:
    """Fresh servers, compared op by op; fast: texts are made only for replies that differ."""

    def __init__(self, folder, subject, peer, storage):
        self.servers = {}
        self.clients = {}
        if subject:
            self.servers["tenon"] = Server(subject, folder / "tenon", storage=storage)
        if peer:
            self.servers["etcd"] = Server(peer, folder / "etcd")

    def __enter__(self):
        self._start()
        return self

    def _start(self):
        for server in self.servers.values():
            server.launch()
        self.clients = {label: server.await_ready().client() for label, server in self.servers.items()}
        self.members = {label: client.status().message.header.member_id for label, client in self.clients.items()}

    def __exit__(self, *unused):
        self._kill()

    def _kill(self):
        for client in self.clients.values():
            client.close()
        for server in self.servers.values():
            server.kill()

    def kill_and_restart(self):
        self._kill()
        self._start()

    def send(self, method, request):
        return {label: client.call(method, request) for label, client in self.clients.items()}

    def key(self, label, reply):
        """Bytes that are equal for equal replies."""
        message = reply.message
        parts = message if isinstance(message, list) else [message] if message is not None else []
        if isinstance(message, list):
            whole = rpc.RangeResponse()
            for part in parts:
                whole.MergeFrom(part.range_response)
            parts = [whole]
        for part in parts:
            scrub(part, self.members[label])
        return b"|".join(
            [reply.code.encode(), reply.text.encode(), *[part.SerializeToString(deterministic=True) for part in parts]]
        )


def run(report, tenon, peer, record, storage, seed, count, shrink=False, kill_every=0):
    """`count` operations of a seed; one check per operation that was equal, one failure at the first that is not.

    With kill_every both servers are killed and restarted after so many operations.
    """
    sums = None if peer else (record or {}).get("random", {}).get(str(seed))
    if peer is None and sums is None:
        report.skip(f"random seed {seed}", "without etcd only the recorded seed can be compared")
        return
    if sums is not None:
        count = min(count, len(sums))
    began = time.monotonic()
    generator = Generator(seed)
    sent = []
    with tempfile.TemporaryDirectory(prefix="tenon-random-") as folder, Sides(
        Path(folder), tenon, peer, storage
    ) as sides:
        for number in range(count):
            if kill_every and number % kill_every == kill_every - 1:
                sides.kill_and_restart()
            method, request = generator.next()
            sent.append((method, request))
            replies = sides.send(method, request)
            texts = {label: reply_copy(reply) for label, reply in replies.items()}
            keys = {label: sides.key(label, reply) for label, reply in replies.items()}
            reference = keys["etcd"] if peer else None
            equal = keys["tenon"] == reference or same_but_for_chance(
                method, normal(replies["tenon"], sides.members["tenon"]), normal(replies["etcd"], sides.members["etcd"])
            ) if peer else zlib.crc32(keys["tenon"]) == sums[number]
            name = f"random seed {seed} operation {number}"
            if not report.check(name, equal, lambda: _explain(method, request, texts, sides, seed, number, peer)):
                break
            generator.saw(method, request, replies.get("etcd") or replies["tenon"])
        else:
            killed = f", killed after each {kill_every}" if kill_every else ""
            report.note(
                f"random: seed {seed}, {count} operations equal in {time.monotonic() - began:.1f} s{killed}, "
                f"revision {generator.revision}, compacted {generator.compacted}"
            )
            return
    if shrink and peer:
        _shrink(report, tenon, peer, storage, sent)


def reply_copy(reply):
    """Keeps a reply's message as it came: key() scrubs it in place."""
    if reply.message is None or isinstance(reply.message, list):
        return reply
    kept = type(reply.message)()
    kept.CopyFrom(reply.message)
    return type(reply)(reply.code, reply.text, kept)


def record(report, peer, seed, count):
    """The sums of the peer's replies."""
    generator = Generator(seed)
    sums = []
    with tempfile.TemporaryDirectory(prefix="tenon-random-") as folder, Sides(Path(folder), None, peer, None) as sides:
        for _ in range(count):
            method, request = generator.next()
            reply = sides.send(method, request)["etcd"]
            generator.saw(method, request, reply)
            sums.append(zlib.crc32(sides.key("etcd", reply)))
    report.check("random operations recorded", len(sums) == count)
    return sums


def _explain(method, request, texts, sides, seed, number, peer):
    head = f"run.py --only random --seed {seed} --operations {number + 1}\n{method}\n{request}"
    ours = normal(texts["tenon"], sides.members["tenon"])
    if not peer:
        return f"{head}not the recorded reply (its sum differs); Tenon said\n" + "\n".join(ours)
    return head + difference("etcd", normal(texts["etcd"], sides.members["etcd"]), "tenon", ours)


def _shrink(report, tenon, peer, storage, sent):
    """Takes operations away, half of them, then quarters, ..., as long as some reply still differs."""
    end = time.monotonic() + SHRINK_SECONDS
    size = len(sent) // 2
    while size >= 1 and time.monotonic() < end:
        start = 0
        while start < len(sent) and time.monotonic() < end:
            trial = sent[:start] + sent[start + size :]
            prefix = _first_difference(tenon, peer, storage, trial)
            if prefix:
                sent = trial[:prefix]
            else:
                start += size
        size //= 2
    report.note(f"{len(sent)} operations are enough:")
    for method, request in sent:
        report.note(f"{method} {str(request).strip()!r}")


def _first_difference(tenon, peer, storage, operations):
    """How many operations it takes until a reply differs, or None."""
    with tempfile.TemporaryDirectory(prefix="tenon-random-") as folder, Sides(
        Path(folder), tenon, peer, storage
    ) as sides:
        for number, (method, request) in enumerate(operations, 1):
            replies = sides.send(method, request)
            if sides.key("tenon", replies["tenon"]) != sides.key("etcd", replies["etcd"]):
                return number
    return None
