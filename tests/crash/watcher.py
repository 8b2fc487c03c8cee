"""A watcher beside crash-writer: it outlives the server, and no change may be lost or told twice on the way."""

import queue
import threading
import time

from harness.messages import WATCH, rpc

# Of the writer's slots a few: Python reads slowly, and history must not be compacted before it was read.
LOW, HIGH = "c/000", "c/010"
_LONGEST_WAIT = 60


class Changes:
    """What a watch of [LOW, HIGH) that begins with the first revision was told, in the order of its responses."""

    def __init__(self):
        self.next = 1  # the revision to ask for
        self.wrong = []
        self.told = 0
        self.jumps = 0  # compactions that were faster
        self._gap_end = 0  # nothing is known of what was compacted below
        self._newest = {}  # key -> (sequence, revision); sequence None: deleted
        self._turn = {}  # (key, revision) -> sequence, of puts since begin_turn

    def begin_turn(self):
        self._turn = {}

    def events(self, events):
        """One response's [(key, sequence or None, revision)]."""
        last = 0
        for key, sequence, revision in events:
            if revision < self.next:
                self.wrong.append(f"{key}@{revision} was told after all below {self.next}")
            if revision < last:
                self.wrong.append(f"{key}@{revision} behind a change of {last}")
            if not LOW <= key < HIGH:
                self.wrong.append(f"{key}@{revision} was not asked for")
            last = revision
            self.told += 1
            self._newest[key] = (sequence, revision)
            if sequence is not None:
                self._turn[(key, revision)] = sequence
        self._whole_pairs(events)
        self.next = max(self.next, last + 1)

    def _whole_pairs(self, events):
        puts = {(key, revision) for key, sequence, revision in events if sequence is not None}
        for key, revision in puts:
            other = {"/a": key[:-1] + "b", "/b": key[:-1] + "a"}.get(key[-2:])
            if other and (other, revision) not in puts:
                self.wrong.append(f"half a txn: {key}@{revision} without {other}")

    def progress(self, revision):
        if revision < self.next - 1:
            self.wrong.append(f"progress of {revision} after all below {self.next} was told")
        self.next = max(self.next, revision + 1)

    def compacted(self, revision):
        if revision <= self.next:
            self.wrong.append(f"canceled for the compaction at {revision}, but {self.next} is asked for")
        self.jumps += 1
        self.next = self._gap_end = max(self.next, revision)

    def settle(self, found, recent):
        """After all was told: compares with {key: (sequence, mod revision)} and with [(key, sequence, revision)] of
        acknowledged puts of this turn. Returns texts of what is wrong."""
        wrong, self.wrong = self.wrong, []
        for key, sequence, revision in recent:
            if LOW <= key < HIGH and revision >= self._gap_end and self._turn.get((key, revision)) != sequence:
                wrong.append(f"{key}={sequence}@{revision} was acknowledged, and the watcher was not told of it")
        there = {key: value for key, value in found.items() if LOW <= key < HIGH}
        for key in sorted(set(there) | set(self._newest)):
            sequence, revision = self._newest.get(key, (None, 0))
            is_sequence, is_revision = there.get(key, (None, None))
            if revision < self._gap_end and (is_revision is None or is_revision < self._gap_end):
                continue  # it was changed behind the watcher's back
            if sequence != is_sequence or (is_revision is not None and revision != is_revision):
                wrong.append(f"{key} holds {is_sequence}@{is_revision}, the watcher was told {sequence}@{revision}")
        return wrong


class Watcher:
    """Changes, from one stream after the other."""

    def __init__(self):
        self.changes = Changes()
        self._changed = threading.Condition()
        self._client = None

    def connect(self, server):
        """Goes on where the last stream ended."""
        self._client = server.client()
        self._requests = queue.Queue()
        self._failed = None
        self._create()
        stream = self._client.channel.stream_stream(WATCH + "Watch", response_deserializer=rpc.WatchResponse.FromString)
        self._call = stream(iter(self._requests.get, None))
        self._thread = threading.Thread(target=self._read, args=(self._call,), daemon=True)
        self._thread.start()

    def disconnect(self):
        self._call.cancel()
        self._requests.put(None)
        self._thread.join()
        self._client.close()

    def catch_up(self, revision):
        """Until everything up to `revision` was told; a text if that does not come."""
        deadline = time.monotonic() + _LONGEST_WAIT
        with self._changed:
            while self.changes.next <= revision:
                if self._failed or time.monotonic() > deadline:
                    return f"told up to {self.changes.next - 1} of {revision}: {self._failed or 'nothing came any more'}"
                # etcd drops a request while a watcher is behind: it is asked again.
                request = rpc.WatchRequest(progress_request=rpc.WatchProgressRequest())
                self._requests.put(request.SerializeToString())
                self._changed.wait(0.2)
        return None

    def _create(self):
        create = rpc.WatchCreateRequest(
            key=LOW.encode(), range_end=HIGH.encode(), start_revision=self.changes.next
        )
        self._requests.put(rpc.WatchRequest(create_request=create).SerializeToString())

    def _read(self, call):
        try:
            for response in call:
                with self._changed:
                    self._take(response)
                    self._changed.notify_all()
        except Exception as error:  # grpc's own class has no public name
            with self._changed:
                self._failed = f"{error.code().name} {error.details()}" if hasattr(error, "code") else repr(error)
                self._changed.notify_all()

    def _take(self, response):
        if response.canceled:
            if response.compact_revision == 0:
                self.changes.wrong.append(f"canceled: {response.cancel_reason}")
            self.changes.compacted(response.compact_revision)
            self._create()
        elif response.events:
            self.changes.events([_change(event) for event in response.events])
        elif not response.created:
            self.changes.progress(response.header.revision)


def _change(event):
    key = event.kv.key.decode()
    sequence = int(event.kv.value.decode().rstrip(".")) if event.type == 0 else None
    return key, sequence, event.kv.mod_revision
