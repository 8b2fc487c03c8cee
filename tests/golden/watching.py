"""A Watch stream to each server, and what came of it as text.

How events are spread over responses is the server's affair (but a revision is never in two, unless in fragments), so
per watcher the text lists its events and its control messages in order.
"""

import queue
import threading
import time

from harness.messages import WATCH, rpc
from ops import data

_LONGEST_WAIT = 30  # seconds, until what is expected must have come


class Watching:
    """with Watching(t) as w: w.create("a"); ...; w.expect(n)"""

    def __init__(self, t, metadata=None):
        self._t = t
        self._streams = {label: _Stream(client, metadata) for label, client in t.clients.items()}

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for stream in self._streams.values():
            stream.close()

    def create(self, key="", end="", start=0, id=0, **more):
        create = rpc.WatchCreateRequest(
            key=data(key), range_end=data(end), start_revision=start, watch_id=id, **more
        )
        self.send(rpc.WatchRequest(create_request=create))

    def cancel(self, id):
        self.send(rpc.WatchRequest(cancel_request=rpc.WatchCancelRequest(watch_id=id)))

    def progress(self):
        self.send(rpc.WatchRequest(progress_request=rpc.WatchProgressRequest()))

    def send(self, request):
        for stream in self._streams.values():
            stream.requests.put(request.SerializeToString())

    def expect(self, items, note=""):
        """Waits for so many events and control messages, then that no other came before one more answer."""
        found = {label: stream.take(items) for label, stream in self._streams.items()}
        self._t.compare(f"watch {note}", {label: ("OK", "", text) for label, text in found.items()})
        for label, stream in self._streams.items():
            for problem in stream.problems:
                self._t._check(f"{self._t.case} {label} {note}", False, problem)
            stream.problems.clear()

    def ends(self, note=""):
        """The status with which the stream ended."""
        found = {label: stream.end() for label, stream in self._streams.items()}
        self._t.compare(f"watch end {note}", {label: (*status, "") for label, status in found.items()})


class _Stream:
    def __init__(self, client, metadata):
        self.requests = queue.Queue()
        self.problems = []
        self._items = []
        self._changed = threading.Condition()
        self._whole = {}  # watcher -> revisions that were sent completely
        self._status = None
        stream = client.channel.stream_stream(WATCH + "Watch", response_deserializer=rpc.WatchResponse.FromString)
        self._call = stream(iter(self.requests.get, None), metadata=metadata)
        threading.Thread(target=self._read, daemon=True).start()

    def close(self):
        self._call.cancel()
        self.requests.put(None)

    def end(self):
        with self._changed:
            self._changed.wait_for(lambda: self._status, _LONGEST_WAIT)
            return self._status or ("no end", "")

    def take(self, items):
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) >= items or self._status, _LONGEST_WAIT)
        # The answer to a request that cannot be granted comes behind what is on its way.
        refused = rpc.WatchCreateRequest(key=b"barrier", start_revision=-1)
        self.requests.put(rpc.WatchRequest(create_request=refused).SerializeToString())
        with self._changed:
            barrier = lambda: self._items and self._items[-1][1] == "barrier"
            self._changed.wait_for(lambda: barrier() or self._status, _LONGEST_WAIT)
            taken, self._items = self._items, []
            taken = [item for item in taken if item[1] != "barrier"]
        if len(taken) != items:
            self.problems.append(f"{len(taken)} events and control messages, not {items}")
        by_watcher = {}
        for watcher, text in taken:
            by_watcher.setdefault(watcher, []).append(text)
        if self._status:
            self.problems.append(f"the stream ended: {self._status}")
        return "".join(f"watcher {id}\n" + "".join(f"  {t}\n" for t in by_watcher[id]) for id in sorted(by_watcher))

    def _read(self):
        try:
            for response in self._call:
                texts = self._texts(response)
                with self._changed:
                    self._items += [(response.watch_id, text) for text in texts]
                    self._changed.notify_all()
            status = ("OK", "")
        except Exception as error:  # grpc's own class has no public name
            status = (error.code().name, error.details() or "")
        with self._changed:
            self._status = status
            self._changed.notify_all()

    def _texts(self, r):
        if r.created and r.canceled and r.watch_id == -1 and "compacted" in r.cancel_reason:
            return ["barrier"]
        if r.created or r.canceled:
            words = [word for word, holds in (("created", r.created), ("canceled", r.canceled)) if holds]
            return [f"{' '.join(words)} at {r.header.revision} compacted {r.compact_revision} {r.cancel_reason!r}"]
        if not r.events:
            return [f"progress {r.header.revision}"]
        sent = self._whole.setdefault(r.watch_id, set())
        for event in r.events:
            if event.kv.mod_revision in sent:
                self.problems.append(f"revision {event.kv.mod_revision} is in two responses of watcher {r.watch_id}")
        if not r.fragment:
            sent.update(event.kv.mod_revision for event in r.events)
        if r.header.revision < r.events[-1].kv.mod_revision:
            self.problems.append(f"a header of {r.header.revision} for {r.events[-1].kv.mod_revision}")
        return [_event(event) for event in r.events] + (["fragment"] if r.fragment else [])


def _event(event):
    kind = "put" if event.type == 0 else "delete"
    former = _row(event.prev_kv) if event.HasField("prev_kv") else "none"
    return f"{kind} {_row(event.kv)} former {former}"


def _row(kv):
    value = kv.value if len(kv.value) < 100 else f"{len(kv.value)} bytes"
    return f"{kv.key} = {value} create {kv.create_revision} mod {kv.mod_revision} version {kv.version} lease {kv.lease}"
