"""Prometheus' text: reading it, and which of etcd's names Tenon leaves out and why."""

import re

SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)')

# Families of etcd 3.7.3 that Tenon does not have; docs/metrics.md gives the same reasons at more length.
ABSENT = {
    r"go_.*": "Go's runtime",
    r"promhttp_.*": "Go's library",
    r"process_network_.*": "of the network namespace, not of the process",
    r"etcd_server_go_version": "there is no Go",
    r"etcd_grpc_proxy_.*": "there is no gRPC proxy",
    r"etcd_debugging_store_.*": "the v2 store",
    r"etcd_snap_.*|etcd_debugging_snap_.*": "etcd's snapshot files; Tenon's engine persists instead",
    r"etcd_debugging_disk_backend_commit_.*": "phases of bbolt's commit",
    r"etcd_disk_backend_snapshot_duration_seconds": "Maintenance.Snapshot comes later",
    r"etcd_debugging_mvcc_index_compaction_pause_.*": "index and rows are compacted in the same slices",
    r"etcd_debugging_server_watch_.*": "durations of etcd's send loop, which Tenon has not",
    r"etcd_debugging_auth_revision": "the auth module comes later",
    r"etcd_network_(known_peers|peer_.*|active_peers|disconnected_peers_.*)": "one member",
    r"etcd_server_(heartbeat_send_failures_total|learner_promote_.*|snapshot_apply_in_progress_total)": "one member",
    r"etcd_server_feature_enabled": "no feature gate has an effect yet",
    r"etcd_server_(request|range)_duration_seconds": "grpc_server_handling_seconds (--metrics extensive) says it",
}

# Counters that move otherwise under the story's operations: by how much less, and why.
FEWER = {"etcd_mvcc_range_total": (1, "etcd's compaction reads a key to learn the revision")}

# What contrib/mixin's dashboard and alert rules read, but for the names of several members.
MIXIN = """
etcd_disk_backend_commit_duration_seconds etcd_disk_wal_fsync_duration_seconds
etcd_mvcc_db_total_size_in_bytes etcd_mvcc_db_total_size_in_use_in_bytes
etcd_network_client_grpc_received_bytes_total etcd_network_client_grpc_sent_bytes_total
etcd_server_has_leader etcd_server_leader_changes_seen_total etcd_server_proposals_applied_total
etcd_server_proposals_committed_total etcd_server_proposals_failed_total etcd_server_proposals_pending
etcd_server_quota_backend_bytes grpc_server_handled_total grpc_server_handling_seconds grpc_server_started_total
process_resident_memory_bytes
""".split()


def absent_reason(name):
    return next((reason for pattern, reason in ABSENT.items() if re.fullmatch(pattern, name)), None)


def parse(text):
    """{family: {"type", "labels": names of labels, "bounds": of a histogram, "samples": {(name, labels): value}}}."""
    families, kinds = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split(" ")[2:]
            assert name not in families, f"two families {name}"
            kinds[name] = kind
            families[name] = {"type": kind, "labels": set(), "bounds": set(), "samples": {}}
        elif not line.startswith("#"):
            match = SAMPLE.match(line)
            assert match, f"not a sample: {line!r}"
            name, labels, value = match[1], dict(LABEL.findall(match[2] or "")), float(match[3])
            family = families.get(name) or families[re.sub(r"_(bucket|sum|count)$", "", name)]
            if "le" in labels and family["type"] == "histogram":
                family["bounds"].add(labels["le"])
            family["labels"] |= set(labels) - {"le"}
            key = (name, tuple(sorted(labels.items())))
            assert key not in family["samples"], f"twice: {line}"
            family["samples"][key] = value
    return families


def shape(families):
    """What is recorded of an exposition: {name: {type, labels, bounds}}."""
    return {
        name: {"type": f["type"], "labels": sorted(f["labels"]), "bounds": sorted(f["bounds"], key=float)}
        for name, f in families.items()
        if f["samples"]
    }


def value(families, name, **labels):
    """The value of a sample; 0 if it has not been born yet."""
    family = families.get(name)
    return family["samples"].get((name, tuple(sorted(labels.items()))), 0.0) if family else 0.0
