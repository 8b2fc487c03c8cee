"""A watch stream and an answer on its way: calls that are open while a test does something else."""

import queue

from harness.messages import WATCH, rpc
from harness.wait import until


class Watch:
    """Events of a range through one member. Use with `with`."""

    def __init__(self, client, metadata=(), **create):
        self.requests = queue.SimpleQueue()
        self.requests.put(rpc.WatchRequest(create_request=rpc.WatchCreateRequest(**create)))
        invoke = client.channel.stream_stream(
            WATCH + "Watch",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=rpc.WatchResponse.FromString,
        )
        self.stream = invoke(iter(self.requests.get, None), metadata=tuple(metadata) or None, timeout=120)
        assert next(self.stream).created

    def __iter__(self):
        """Event after event."""
        for response in self.stream:
            yield from response.events

    def events(self, count):
        """The next `count` as [(key, value)]; a deletion's value is None."""
        found = []
        while len(found) < count:
            for event in next(self.stream).events:
                found.append((event.kv.key, event.kv.value if event.type == 0 else None))
        return found

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.requests.put(None)
        self.stream.cancel()


def first_done(futures, seconds, what):
    """The first future that ended well."""
    return until(lambda: next((f for f in futures if f.done() and f.code().name == "OK"), None), seconds, what, 0.002)
