"""Sends each request to Tenon and to the peer, or to Tenon and the record of the peer, and compares the replies."""

import difflib
import gzip
import json
from pathlib import Path

import differences
from harness.messages import CLUSTER, KV, LEASE, MAINTENANCE, rpc
from harness.server import Server
from normal import normal, same_but_for_chance

RECORD = Path(__file__).with_name("recorded.json.gz")
_PATHS = {
    rpc.RangeRequest: KV + "Range",
    rpc.PutRequest: KV + "Put",
    rpc.DeleteRangeRequest: KV + "DeleteRange",
    rpc.TxnRequest: KV + "Txn",
    rpc.CompactionRequest: KV + "Compact",
}


def load_record():
    """{"peer", "date", "replies": {id: [code, text, body]}, "random": {seed: [crc, ...]}} or None."""
    return json.loads(gzip.decompress(RECORD.read_bytes())) if RECORD.exists() else None


def difference(left_name, left, right_name, right):
    """A diff of two replies as text."""
    lines = [[f"code {reply[0]}", f"text {reply[1]}", *reply[2].splitlines()] for reply in (left, right)]
    return "\n".join(list(difflib.unified_diff(*lines, left_name, right_name, lineterm="", n=4))[:80])


class Pair:
    """The servers of one group of cases. `subject` is Tenon (None while recording), `peer` is etcd or None."""

    def __init__(self, report, folder, subject, peer, record, storage=None, flags=None, modules=None):
        self.report = report
        self.record = record
        self.made = {}
        self.servers = {}
        if subject:
            self.servers["tenon"] = Server(subject, folder / "tenon", flags=flags, storage=storage, modules=modules)
        if peer:
            self.servers["etcd"] = Server(peer, folder / "etcd", flags=flags)
        self.clients = {}
        self.member = {}
        self.case = ""
        self.reported = lambda case: True
        self._number = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self._close_clients()
        for server in self.servers.values():
            server.kill()

    def start(self):
        for server in self.servers.values():
            server.launch()
        for label, server in self.servers.items():
            server.await_ready()
            self.clients[label] = server.client()
            self.member[label] = self.clients[label].status().message.header.member_id

    def restart(self, hard=False):
        """Stops and starts both servers; hard is kill -9."""
        self._close_clients()
        for server in self.servers.values():
            server.kill() if hard else server.stop()
        self.start()

    def _close_clients(self):
        for client in self.clients.values():
            client.close()
        self.clients = {}

    def begin(self, case):
        self.case = case
        self._number = 0

    # What cases call.

    def send(self, method, request, difference=None, metadata=None, timeout=None):
        """Sends to both and compares; returns the answer of etcd where it runs, else Tenon's (a Reply).

        `request` may be a function that makes it of the member's id, which differs.
        """
        name = f"{self.case}#{self._number}"
        self._number += 1
        make = request if callable(request) else lambda member: request
        replies = {
            label: client.call(method, make(self.member[label]), timeout, metadata)
            for label, client in self.clients.items()
        }
        request = make(1)
        normals = {label: normal(reply, self.member[label]) for label, reply in replies.items()}
        self._compare(name, method, request, normals, difference)
        return replies.get("etcd") or replies["tenon"]

    def __call__(self, request, **more):
        """Sends a KV request to its method."""
        return self.send(_PATHS[type(request)], request, **more)

    def stream(self, request, **more):
        return self.send(KV + "RangeStream", request, **more)

    def maintenance(self, name, request, **more):
        return self.send(MAINTENANCE + name, request, **more)

    def cluster(self, name, request, **more):
        return self.send(CLUSTER + name, request, **more)

    def lease(self, name, request, **more):
        return self.send(LEASE + name, request, **more)

    def hash(self, revision=0):
        return self.maintenance("HashKV", rpc.HashKVRequest(revision=revision))

    def compact(self, revision, physical=True):
        return self(rpc.CompactionRequest(revision=revision, physical=physical))

    def revision(self):
        """The current revision; not a comparison."""
        client = self.clients.get("etcd") or self.clients["tenon"]
        return client.range(b"\0").message.header.revision

    def only_tenon(self, method, request, code, text=None):
        """For what must never reach etcd, because it stops it; `text` None is any."""
        name = f"{self.case}#{self._number}"
        self._number += 1  # also where it is not sent: the numbers name the recorded replies
        server = self.servers.get("tenon")
        if server is None or server.is_etcd:
            return
        reply = self.clients["tenon"].call(method, request)
        self._check(
            name,
            reply.code == code and text in (None, reply.text),
            f"got    {reply.code} {reply.text!r}\nwanted {code} {text!r}",
        )

    def compare(self, what, normals):
        """Compares (code, text, body) triples that a case made itself, one a server."""
        name = f"{self.case}#{self._number}"
        self._number += 1
        self._compare(name, what, b"", normals, None)

    def _compare(self, name, method, request, normals, wanted):
        said = normals.get("etcd")
        if said:
            self.made[name] = list(said)
        recorded = self.record and self.record["replies"].get(name)
        shown = lambda: f"{method}\n{_show(request)}"
        if said and self.record is not None:
            if recorded is None or tuple(recorded) != said:
                self._check(
                    name + " (record)",
                    False,
                    lambda: "the record is out of date: run record.py\n"
                    + shown()
                    + difference("record", recorded or ("", "", ""), "etcd", said),
                )
        if said is None:
            if recorded is None:
                self._check(name, False, "no recorded reply: run record.py where etcd 3.7.3 is")
                return
            said = tuple(recorded)
        if "tenon" not in normals:
            self._check(name, True)
            return
        got = normals["tenon"]
        if wanted and not self.servers["tenon"].is_etcd:
            problem = differences.judge(wanted, got, said)
            self._check(name, problem is None, lambda: f"{problem}\n{shown()}{difference('etcd', said, 'tenon', got)}")
        else:
            same = got == said or same_but_for_chance(method, got, said)
            self._check(name, same, lambda: shown() + difference("etcd", said, "tenon", got))

    def _check(self, name, holds, detail=""):
        if self.reported(name):
            self.report.check(name, holds, detail)


def _show(request):
    if isinstance(request, bytes):
        return f"{request[:200]!r} ({len(request)} bytes)\n"
    text = str(request)
    return text if len(text) < 3000 else text[:3000] + f"... ({len(text)} characters)\n"
