"""One gRPC connection on which any bytes can be sent to any method name."""

from dataclasses import dataclass

import grpc

from harness import messages
from harness.messages import CLUSTER, KV, MAINTENANCE, rpc

_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a channel of its own: no shared back-off between servers or tests
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 5000),  # also the time a connection gets to be set up
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.enable_http_proxy", 0),
]


@dataclass
class Reply:
    """What came back. `message` is None on an error; for a stream it lists the messages before the end."""

    code: str  # "OK", "INVALID_ARGUMENT", ...
    text: str
    message: object

    @property
    def ok(self):
        return self.code == "OK"


class Client:
    def __init__(self, address, metadata=(), timeout=20.0):
        self.address = address
        self.metadata = tuple(metadata)
        self.timeout = timeout
        self.channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._calls = {}

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def call(self, method, request, timeout=None, metadata=None):
        """Sends a message, or raw bytes, to a method path. An unknown method answers raw bytes."""
        streaming, invoke = self._invoker(method)
        data = request if isinstance(request, bytes) else request.SerializeToString()
        options = {"timeout": timeout or self.timeout, "metadata": metadata or self.metadata or None}
        received = []
        try:
            if not streaming:
                return Reply("OK", "", invoke(data, **options))
            for part in invoke(iter([data]) if streaming == "both" else data, **options):
                received.append(part)
            return Reply("OK", "", received)
        except grpc.RpcError as error:
            return Reply(error.code().name, error.details() or "", received if streaming else None)

    def _invoker(self, method):
        if method not in self._calls:
            descriptor = messages.METHODS.get(method)
            decode = messages.message_class(descriptor.output_type).FromString if descriptor else None
            if method not in messages.STREAMING:
                self._calls[method] = (None, self.channel.unary_unary(method, response_deserializer=decode))
            elif method.endswith(("ReflectionInfo", "Watch/Watch", "KeepAlive")):
                self._calls[method] = ("both", self.channel.stream_stream(method, response_deserializer=decode))
            else:
                self._calls[method] = ("answers", self.channel.unary_stream(method, response_deserializer=decode))
        return self._calls[method]

    # The calls that tests make all the time; each returns a Reply.

    def put(self, key, value=b"", **more):
        return self.call(KV + "Put", rpc.PutRequest(key=key, value=value, **more))

    def range(self, key, **more):
        return self.call(KV + "Range", rpc.RangeRequest(key=key, **more))

    def delete(self, key, **more):
        return self.call(KV + "DeleteRange", rpc.DeleteRangeRequest(key=key, **more))

    def compact(self, revision, physical=False):
        return self.call(KV + "Compact", rpc.CompactionRequest(revision=revision, physical=physical))

    def hash_kv(self, revision=0):
        return self.call(MAINTENANCE + "HashKV", rpc.HashKVRequest(revision=revision))

    def status(self, timeout=None):
        return self.call(MAINTENANCE + "Status", rpc.StatusRequest(), timeout=timeout)

    def alarm(self, action, alarm="NOSPACE", member=0):
        return self.call(MAINTENANCE + "Alarm", rpc.AlarmRequest(action=action, alarm=alarm, memberID=member))

    def members(self):
        return self.call(CLUSTER + "MemberList", rpc.MemberListRequest(linearizable=True))


def send(client, method, request, timeout):
    """The call's future: `result()`, `code()`."""
    return client.channel.unary_unary(method).future(request.SerializeToString(), timeout=timeout)


def every_key():
    """The range that covers all keys."""
    return {"key": b"\0", "range_end": b"\0"}


def prefix(key):
    """The range of all keys that begin with `key`."""
    trimmed = key.rstrip(b"\xff")
    return {"key": key, "range_end": trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else b"\0"}
