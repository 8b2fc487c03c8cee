"""One server's way through the suite: what it answers, and how its counters move under the same operations."""

from pathlib import Path

import exposition
from cases import ALARM_CASES, CASES, comparable, send
from harness.messages import rpc
from harness.server import Server, free_port
from harness.wait import until


class Story:
    """A running server with all kinds of listeners."""

    def __init__(self, binary, folder, split=False):
        metrics = f"127.0.0.1:{free_port()}"
        flags = {"listen-metrics-urls": f"http://{metrics}", "metrics": "extensive"}
        http = f"127.0.0.1:{free_port()}" if split else None
        if split:
            flags["listen-client-http-urls"] = f"http://{http}"
        self.server = Server(binary, Path(folder), flags=flags)
        if self.server.is_etcd:
            self.server.flags["enable-grpc-gateway"] = "false"  # the gateway comes with a later issue
        else:
            self.server.storage = "memory"
            self.server.transport = "h2"
        self.addresses = {"client": http or self.server.address, "metrics": metrics, "grpc": self.server.address}

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *unused):
        self.server.kill()

    def ask(self, case):
        _, listener, method, target, headers = case
        return comparable(target, send(self.addresses[listener], method, target, headers))

    def scrape(self):
        status, _, body = send(self.addresses["metrics"], "GET", "/metrics")
        assert status == 200
        return exposition.parse(body)

    def replies(self):
        """{case: what is compared of the reply}, with no alarm, with NOSPACE, with CORRUPT, and after them."""
        made = {f"quiet.{case[0]}": self.ask(case) for case in CASES}
        with self.server.client() as client:
            member = client.members().message.members[0].ID
            for alarm in ("NOSPACE", "CORRUPT"):
                assert client.alarm("ACTIVATE", alarm, member).ok
                made.update({f"{alarm.lower()}.{case[0]}": self.ask(case) for case in ALARM_CASES})
                made[f"{alarm.lower()}.series"] = self._series_of(alarm, member)
                # Not both at once: etcd names whichever its map gives first.
                assert client.alarm("DEACTIVATE", alarm, member).ok
            made.update({f"disarmed.{case[0]}": self.ask(case) for case in ALARM_CASES})
            made["disarmed.series"] = self._series_of("NOSPACE", member)
        return made

    def _series_of(self, alarm, member):
        """1 while it is raised. Afterwards etcd has 0, Tenon no series: the same to whoever asks for 1."""
        labels = {"alarm_type": alarm, "server_id": f"{member:x}"}
        return exposition.value(self.scrape(), "etcd_debugging_server_alarms", **labels)

    def counted(self):
        """Runs a few operations; returns how the counters moved."""
        before = self.scrape()
        with self.server.client() as client:
            for i in range(3):
                assert client.put(b"k%d" % i, b"value").ok
            assert client.put(b"k0", b"again", prev_kv=True).ok
            assert client.range(b"k0").ok
            assert client.range(b"k", range_end=b"l").ok
            assert client.range(b"nothing", serializable=True).ok
            assert not client.put(b"").ok
            assert not client.range(b"k0", revision=1000).ok
            assert client.delete(b"k1").ok
            txn = rpc.TxnRequest()
            txn.success.add().request_put.key = b"t"
            txn.success.add().request_range.key = b"t"
            txn.success.add().request_delete_range.key = b"k2"
            assert client.call("/etcdserverpb.KV/Txn", txn).ok
            single = rpc.TxnRequest()
            single.success.add().request_put.key = b"u"
            assert client.call("/etcdserverpb.KV/Txn", single).ok
            assert client.compact(client.range(b"k0").message.header.revision, physical=True).ok
        # Counters of a call may move just after its answer.
        after = {}

        def settled():
            after["scrape"] = self.scrape()
            return moved(before, after["scrape"])["grpc_server_handled_total{Compact,OK}"] == 1

        until(settled, 60, lambda: "the last call is counted")
        return moved(before, after["scrape"])


def moved(before, after):
    """{what: by how much}."""

    def delta(name, **labels):
        return exposition.value(after, name, **labels) - exposition.value(before, name, **labels)

    made = {}
    for method in ("Put", "Range", "DeleteRange", "Txn", "Compact"):
        of = {"grpc_service": "etcdserverpb.KV", "grpc_method": method, "grpc_type": "unary"}
        for name in ("started", "msg_received", "msg_sent"):
            made[f"grpc_server_{name}_total{{{method}}}"] = delta(f"grpc_server_{name}_total", **of)
        for code in ("OK", "InvalidArgument", "OutOfRange", "Unknown"):
            made[f"grpc_server_handled_total{{{method},{code}}}"] = delta(
                "grpc_server_handled_total", grpc_code=code, **of
            )
        made[f"grpc_server_handling_seconds_count{{{method}}}"] = _histogram_count(
            after, "grpc_server_handling_seconds", of
        ) - _histogram_count(before, "grpc_server_handling_seconds", of)
    for name in (
        "etcd_mvcc_put_total",
        "etcd_mvcc_delete_total",
        "etcd_mvcc_txn_total",
        "etcd_mvcc_range_total",
        "etcd_debugging_mvcc_total_put_size_in_bytes",
        "etcd_debugging_mvcc_keys_total",
        "etcd_debugging_mvcc_current_revision",
        "etcd_debugging_mvcc_compact_revision",
        "etcd_debugging_mvcc_db_compaction_keys_total",
        "etcd_server_proposals_applied_total",
        "etcd_server_proposals_committed_total",
        "etcd_server_proposals_failed_total",
        "etcd_server_leader_changes_seen_total",
        "etcd_network_client_grpc_received_bytes_total",
    ):
        made[name] = delta(name)
    made["etcd_server_client_requests_total"] = delta(
        "etcd_server_client_requests_total", client_api_version="unknown", type="unary"
    )
    return made


def _histogram_count(families, name, labels):
    family = families.get(name)
    return family["samples"].get((f"{name}_count", tuple(sorted(labels.items()))), 0.0) if family else 0.0
