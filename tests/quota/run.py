#!/usr/bin/python3
"""The store's size is kept: the quota with its alarm NOSPACE, and automatic compaction, on a server.

    run.py [--tenon PATH] [--storage wiredtiger|memory] [--only WORD]

With --tenon set to etcd the stories that it knows are run on it. Ends with `quota: N passed, N failed, N skipped`.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "support/py")]

from harness.client import every_key
from harness.messages import KV, rpc
from harness.report import Report, main
from harness.server import Server, add_transport_option, find_peer, find_tenon
from harness.wait import Deadline, until

QUOTA = 8 << 20
NO_SPACE = ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded")
COMPACTED = ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
MANUAL = {"quota": "{ use: quota, config: { clear: manual } }"}
PATIENCE = 90  # seconds; bounds, not expectations


class Stage:
    def __init__(self, report, binary, folder, storage):
        self.report = report
        self.binary = binary
        self.folder = folder
        self.storage = storage

    def server(self, flags=None, modules=None):
        return Server(self.binary, self.folder, flags=flags, storage=self.storage, modules=modules)

    def expect(self, name, condition, server, seconds=PATIENCE):
        try:
            until(condition, seconds, name, interval=0.05)
            return self.report.check(name, True)
        except Deadline as error:
            return self.report.check(name, False, f"{error}\n{server.log_tail()}")


def outcome(reply):
    return reply.code, reply.text


def alarms(client):
    return [(alarm.memberID, alarm.alarm) for alarm in client.alarm("GET", "NONE").message.alarms]


def fill(client, size=64 << 10):
    """Puts until one is refused: (keys that were taken, the refusal)."""
    values = random.Random(1)
    keys = []
    for number in range(20 * QUOTA // size):
        key = b"fill/%05d" % number
        reply = client.put(key, values.randbytes(size))
        if not reply.ok:
            return keys, reply
        keys.append(key)
    raise RuntimeError("nothing was refused")


def empty(client):
    """Deletes all and forgets the history."""
    reply = client.call(KV + "DeleteRange", rpc.DeleteRangeRequest(**every_key()))
    return reply.ok and client.compact(reply.message.header.revision, physical=True).ok


def fills_up_and_heals(stage):
    report = stage.report
    with stage.server({"quota-backend-bytes": QUOTA}) as server:
        server.start()
        with server.client() as client:
            status = client.status().message
            member = status.header.member_id
            report.equal("Status shows the quota", status.dbSizeQuota, QUOTA)
            keys, refusal = fill(client)
            report.equal("a put that does not fit is refused", outcome(refusal), NO_SPACE)
            report.check("about as much as the quota went in before", QUOTA // 4 < 65536 * len(keys) < 2 * QUOTA, len(keys))
            report.equal("whoever is refused sees the alarm", alarms(client), [(member, 1)])
            report.equal("so is a small one now", outcome(client.put(b"small", b"1")), NO_SPACE)
            report.equal("what went in is there", client.range(**every_key(), count_only=True).message.count, len(keys))
        server.kill()
        server.start()
        with server.client() as client:
            report.equal("the alarm survives kill -9", alarms(client), [(member, 1)])
            report.equal("and refuses", outcome(client.put(b"small", b"1")), NO_SPACE)
            report.check("deletes and compaction work", empty(client))
            if server.is_etcd:
                report.skip("it heals by itself", "etcd's does not")
                return
            stage.expect("the alarm goes by itself, without a defragmentation", lambda: not alarms(client), server)
            report.equal("puts work again", outcome(client.put(b"small", b"1")), ("OK", ""))
            again, refusal = fill(client)
            report.equal("it can be filled again", outcome(refusal), NO_SPACE)
            report.check("as much goes in as before", len(again) * 2 > len(keys), f"{len(keys)} and then {len(again)}")
        server.stop()


def cleared_by_hand(stage):
    report = stage.report
    with stage.server({"quota-backend-bytes": QUOTA}, MANUAL) as server:
        server.start()
        with server.client() as client:
            member = client.status().message.header.member_id
            fill(client)
            report.check("deletes and compaction work", empty(client))
            if not server.is_etcd:
                room = lambda: client.status().message.dbSizeInUse < QUOTA * 3 // 4
                stage.expect("there is room again", room, server)
            # Longer than the server needs to look.
            began = time.monotonic()
            until(lambda: time.monotonic() - began > 2, 10, "two seconds pass")
            report.equal("the alarm stays", alarms(client), [(member, 1)])
            report.equal("and refuses", outcome(client.put(b"small", b"1")), NO_SPACE)
            if server.is_etcd:
                client.call("/etcdserverpb.Maintenance/Defragment", rpc.DefragmentRequest())
            client.alarm("DEACTIVATE", "NOSPACE", member)
            report.equal("until it is disarmed", alarms(client), [])
            report.equal("puts work again", outcome(client.put(b"small", b"1")), ("OK", ""))
        server.stop()


def without_a_quota(stage):
    report = stage.report
    with stage.server({"quota-backend-bytes": -1}) as server:
        server.start()
        with server.client() as client:
            report.equal("Status shows none", client.status().message.dbSizeQuota, -1)
            good = all(client.put(b"k%d" % number, os.urandom(1 << 20)).ok for number in range(12))
            report.check("a negative quota is none", good and not alarms(client))
        server.stop()
    with stage.server() as server:
        server.start()
        with server.client() as client:
            report.equal("the default is etcd's", client.status().message.dbSizeQuota, 2 << 30)
        server.stop()


def many_at_once(stage):
    """What was on its way when the quota was reached: each put is answered, and what is answered OK is there."""
    report = stage.report
    with stage.server({"quota-backend-bytes": QUOTA}, MANUAL) as server:
        server.start()
        with server.client(timeout=60) as client:
            invoke = client.channel.unary_unary(KV + "Put", response_deserializer=rpc.PutResponse.FromString)
            value = random.Random(2).randbytes(32 << 10)
            calls = []
            for number in range(3 * QUOTA // len(value)):
                request = rpc.PutRequest(key=b"many/%05d" % number, value=value[number:] + value[:number])
                calls.append((request.key, invoke.future(request.SerializeToString(), timeout=60)))
            taken, refused = set(), set()
            for key, call in calls:
                (taken if call.exception() is None else refused).add(key)
                if call.exception() is not None and (call.code().name, call.details()) != NO_SPACE:
                    report.check("refused with etcd's words", False, call.details())
            held = {item.key for item in client.range(**every_key(), keys_only=True).message.kvs}
            report.check("some are taken, some refused", taken and refused, f"{len(taken)} and {len(refused)}")
            report.check("what was taken is there", taken <= held, lambda: f"missing {sorted(taken - held)[:5]}")
            report.check("and the alarm is up", len(alarms(client)) == 1)
        server.stop()


def etcdctl(stage):
    report = stage.report
    binary = find_peer("etcdctl") or shutil.which("etcdctl")
    if binary is None:
        report.skip("etcdctl alarm", "no etcdctl in $TENON_PEER or on PATH")
        return
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ETCDCTL_")}

    with stage.server({"quota-backend-bytes": QUOTA}, MANUAL) as server:
        server.start()

        def ctl(*arguments):  # Go's protobuf chooses one space or two at link time
            result = subprocess.run(
                [binary, f"--endpoints={server.address}", *arguments],
                capture_output=True,
                text=True,
                timeout=60,
                env={**environment, "ETCDCTL_API": "3"},
            )
            return result.returncode, " ".join(result.stdout.split()), result.stderr

        with server.client() as client:
            member = client.status().message.header.member_id
            line = f"memberID:{member} alarm:NOSPACE"
            report.equal("etcdctl alarm list without one", ctl("alarm", "list")[:2], (0, ""))
            fill(client)
            report.equal("etcdctl alarm list", ctl("alarm", "list")[:2], (0, line))
            code, _, error = ctl("put", "a", "1")
            report.check("etcdctl put is refused", code != 0 and NO_SPACE[1] in error, f"{code} {error}")
            report.equal("etcdctl del", ctl("del", "fill/", "--prefix")[0], 0)
            report.equal("etcdctl alarm disarm", ctl("alarm", "disarm")[:2], (0, line))
            report.equal("etcdctl alarm list after it", ctl("alarm", "list")[:2], (0, ""))
        server.stop()


def compacts_by_itself(stage):
    """Periodic with a second: what is older goes, the newest stays, and an idle server is left alone."""
    report = stage.report
    with stage.server({"auto-compaction-retention": "1s"}) as server:
        server.start()
        with server.client() as client:
            for number in range(10):
                revision = client.put(b"k", b"%d" % number).message.header.revision
            # In the end to the newest revision, as nothing is written any more.
            compacted = lambda: client.hash_kv().message.compact_revision == revision
            if not stage.expect("history is compacted up to the newest revision", compacted, server):
                return
            report.equal("an old revision is gone", outcome(client.range(b"k", revision=revision - 1)), COMPACTED)
            reply = client.range(b"k")
            report.check("the newest is there", reply.ok and reply.message.kvs[0].value == b"9", str(reply))
        server.stop()
    with stage.server({"auto-compaction-mode": "revision", "auto-compaction-retention": "5"}) as server:
        server.start()
        with server.client() as client:
            report.check("revision mode serves", client.put(b"k", b"1").ok)
        server.stop()


STORIES = [fills_up_and_heals, cleared_by_hand, without_a_quota, many_at_once, etcdctl, compacts_by_itself]


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", help="the server (default: build/release/bin/tenond)")
    parser.add_argument("--storage", choices=("wiredtiger", "memory"))
    parser.add_argument("--only", default="")
    add_transport_option(parser)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    report = Report("quota", arguments.verbose)
    binary = find_tenon(arguments.tenon)
    if binary is None:
        print("no tenond: build it or give --tenon", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="tenon-quota-") as folder:
        for story in STORIES:
            if arguments.only in story.__name__:
                stage = Stage(report, binary, Path(folder) / story.__name__, arguments.storage)
                report.story(story.__name__, story, stage)
    return report.close()


if __name__ == "__main__":
    main(run)
