"""Clients that read, write and exchange a few keys through any member, and what each of them saw: porcupine, a checker
in Go, tells whether one copy of the data could have answered all that (linearizable/main.go)."""

import json
import random
import subprocess
import threading
import time
from pathlib import Path

from harness.client import Client, prefix
from harness.install import NotInstallable, build_go
from harness.messages import KV, build_folder, rpc
from streams import Watch

HERE = Path(__file__).resolve().parent
PAUSE_SECONDS = 0.005


def checker():
    """The program, built. Raises NotInstallable where Go or its packages are not."""
    return build_go(HERE / "linearizable", build_folder() / "cluster/linearizable")


class History:
    """`clients` threads over `keys` keys, until `end`. Use with `with`; then `verdict`."""

    def __init__(self, servers, name, clients=5, keys=3, timeout=2.0):
        self.servers, self.timeout = list(servers), timeout
        self.keys = [f"{name}/{number}".encode() for number in range(keys)]
        self.name = name
        self.seen = []  # operations, of all clients; list.append is atomic
        self.errors = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(number, clients), daemon=True)
                        for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self, number, clients):
        pick = random.Random(f"{self.name}/{number}")
        connections = [Client(server.address, timeout=self.timeout) for server in self.servers]
        at, last, count = number, {}, 0
        while not self.over.wait(PAUSE_SECONDS):
            key = pick.choice(self.keys)
            kind = pick.choice(("get", "get", "put", "cas"))
            value = f"{number}.{count}"
            count += 1
            operation = {"client": number, "key": key.decode(), "op": kind, "call": time.monotonic_ns()}
            connection = connections[at % len(connections)]
            if kind == "get":
                reply = connection.range(key)
            elif kind == "put":
                operation["value"] = value
                reply = connection.put(key, value.encode())
            else:
                operation.update(value=value, expect=last.get(key, ""))
                reply = self._exchange(connection, key, operation["expect"], value)
            operation["return"] = time.monotonic_ns()
            if not reply.ok:
                if reply.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"):
                    self.errors.append(reply)
                at += 1
                if kind != "get":  # it may have happened, then or later; who failed is another client from now on
                    self.seen.append({**operation, "unknown": True, "return": 0})
                    number += clients
                continue
            operation["revision"] = reply.message.header.revision
            if kind == "get":
                operation["value"] = last[key] = reply.message.kvs[0].value.decode() if reply.message.kvs else ""
            elif kind == "cas":
                operation["swapped"] = reply.message.succeeded
            self.seen.append(operation)
        for connection in connections:
            connection.close()

    @staticmethod
    def _exchange(connection, key, expect, value):
        """`value` where `expect` stands ("": where nothing does)."""
        compare = (rpc.Compare(key=key, target=rpc.Compare.VALUE, result=rpc.Compare.EQUAL, value=expect.encode())
                   if expect else
                   rpc.Compare(key=key, target=rpc.Compare.VERSION, result=rpc.Compare.EQUAL, version=0))
        put = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value.encode()))
        return connection.call(KV + "Txn", rpc.TxnRequest(compare=[compare], success=[put]))

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.end()

    def settle(self, client, since):
        """What became of the unknown ones, by the events behind revision `since`: those that never happened go; the
        others happened before the first answer that tells of a revision at or behind theirs. Without this there are
        more possible orders than anyone can try."""
        client.put(self.keys[0], b"end")
        written = {}  # value -> revision; each is written once
        watched = {**prefix((self.name + "/").encode()), "start_revision": since + 1}
        with Watch(client, **watched) as watch:
            for event in watch:
                if event.kv.value == b"end":
                    break
                written[event.kv.value.decode()] = event.kv.mod_revision
        known = sorted((o["revision"], o["return"]) for o in self.seen if "revision" in o)
        settled = []
        for o in self.seen:
            if o.get("unknown"):
                if o["value"] not in written:
                    continue
                later = [when for revision, when in known if revision >= written[o["value"]] and when >= o["call"]]
                o = {**o, "swapped": True, "return": min(later, default=(1 << 63) - 1)}
            settled.append(o)
        self.seen = settled
        return self


def judge(program, operations):
    """(exit code, text) of the checker."""
    lines = "\n".join(json.dumps(o) for o in operations)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, timeout=1200)
    return done.returncode, done.stdout + done.stderr


def judged(report, name, history, client, since, spoil=False):
    """Reports whether the history of an ended History could be; spoil: and that the checker finds a wrong read."""
    try:
        program = checker()
    except NotInstallable as reason:
        return report.skip(f"{name}: what clients saw is linearizable", f"porcupine: {reason}")
    history.settle(client, since)
    report.check(f"{name}: no error at a client", not history.errors, str(history.errors[:3]))
    code, text = judge(program, history.seen)
    report.check(f"{name}: what clients saw is linearizable", code == 0, text)
    if spoil:
        code, text = judge(program, spoiled(history.seen))
        report.check(f"{name}: a read of something overwritten is found", code == 1, text)


def spoiled(operations):
    """The same, but that one read in the middle saw what had been there before the value it saw."""
    operations = [dict(o) for o in operations]
    order = sorted((o for o in operations if o["op"] == "put" and "revision" in o), key=lambda o: o["revision"])
    reads = [o for o in operations if o["op"] == "get"]
    for read in sorted(reads, key=lambda o: -o["call"]):
        before = [o for o in order if o["key"] == read["key"] and o["return"] < read["call"]]
        if len(before) >= 3 and before[0]["value"] != read["value"]:
            read["value"] = before[0]["value"]
            return operations
    raise AssertionError("no read has three writes before it")
