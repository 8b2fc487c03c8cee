"""RangeStream: the merged chunks are Range's answer, with sorts and filters too (there etcd has none)."""

from harness.messages import KV
from normal import body_text, merged
from ops import Delete, Put, Range, Txn
from registry import case

MAX_CHUNK = 4 << 20


def both(t, request, **more):
    """A stream and its range; the stream of each server is compared with that server's own range as well."""
    t.stream(request, **more)
    t(request)
    if request.sort_target and not request.sort_order:
        return  # a target without an order: Range sorts ascending, the stream keeps the order of keys
    for label, client in t.clients.items():
        if more and t.servers[label].is_etcd:
            continue
        plain, streamed = client.call(KV + "Range", request), client.call(KV + "RangeStream", request)
        if plain.ok and label == "tenon":
            ours = body_text(merged(streamed.message), t.member[label]) if streamed.ok else streamed.text
            t._check(f"{t.case} stream = range", ours == body_text(plain.message, t.member[label]), str(request))


def chunked(t, request):
    """Several chunks, of which only the last has header, count and more; none is much larger than a request may be."""
    for label, client in t.clients.items():
        reply = client.call(KV + "RangeStream", request)
        chunks = [part.range_response for part in reply.message]
        early = [
            chunk for chunk in chunks[:-1] if chunk.HasField("header") or chunk.count or chunk.more or not chunk.kvs
        ]
        t._check(
            f"{t.case} {label}: chunks",
            reply.ok and len(chunks) > 1 and not early and chunks[-1].HasField("header"),
            f"{len(chunks)} chunks, {len(early)} early ones with a header, count, more or without keys",
        )
        largest = max(chunk.ByteSize() for chunk in chunks)
        t._check(f"{t.case} {label}: chunk sizes", largest < MAX_CHUNK, f"the largest has {largest} bytes")


def fill(t):
    for block in range(5):
        t(Txn(then=[Put(f"s{block}{number:02d}", f"{(number * 7) % 100}") for number in range(50)]))


@case
def plain(t):
    both(t, Range("s"))
    both(t, Range("s", "t"))
    fill(t)
    now = t.revision()
    for limit in (-1, 0, 1, 9, 10, 11, 30, 249, 250, 251):
        both(t, Range("s", "t", limit=limit))
    for revision in (-1, now - 3, now, now + 1):
        both(t, Range("s", "t", revision=revision))
    both(t, Range("s", "t", count_only=True))
    both(t, Range("s", "t", keys_only=True))
    both(t, Range("s", "t", keys_only=True, limit=17))
    both(t, Range("s", "\0", serializable=True))
    both(t, Range("s100"))
    both(t, Range("missing"))
    both(t, Range("t", "s"))
    both(t, Range(""))
    both(t, Range("", "t"))
    both(t, Range("s", "t", sort_target="KEY", sort_order="ASCEND"))
    t.stream(Range("s", "t", sort_target="VALUE"), difference="range-stream-target")
    both(t, Range("s", "t", sort_target="MOD", limit=5))
    both(t, Range("s", "t", sort_order=7))
    both(t, Range("s", "t", sort_target=9))


@case
def sorted_and_filtered(t):
    now = t.revision()
    both(t, Range("s", "t", sort_target="KEY", sort_order="DESCEND"), difference="range-stream-sorts")
    both(t, Range("s1", "s109", sort_target="VALUE", sort_order="ASCEND"), difference="range-stream-sorts")
    both(t, Range("s1", "s112", sort_target="VALUE", sort_order="DESCEND", limit=3), difference="range-stream-sorts")
    both(t, Range("s", "t", min_mod_revision=now - 1), difference="range-stream-sorts")
    both(t, Range("s", "t", max_create_revision=now - 1, limit=60), difference="range-stream-sorts")


@case
def compacted(t):
    now = t.revision()
    t.compact(now - 1)
    for revision in (1, now - 2, now - 1, now):
        both(t, Range("s", "t", revision=revision))


@case
def large(t):
    for number in range(12):
        t(Put(f"L{number:02d}", chr(97 + number) * 400_000))
    for request in (Range("L", "M"), Range("L", "M", limit=5), Range("L", "M", keys_only=True)):
        t.stream(request)
    for block in range(4):
        t(Txn(then=[Put(f"M{block}{number:02d}", "m" * 10_000) for number in range(100)]))
    t.stream(Range("M", "N"))
    chunked(t, Range("M", "N"))
    chunked(t, Range("M", "N", limit=300))
    t(Delete("\0", "\0"))
