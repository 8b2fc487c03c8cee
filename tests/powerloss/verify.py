"""Starts a server on what a power loss left, and compares with what the marks say was acknowledged."""

import random

import recording as log
from crash import check_history, read_everything
from harness.server import Server
from load import ballast_value
from model import Model


class Expected:
    """What must and what may be there when the power goes at one position of the recording."""

    def __init__(self, recording, at):
        self.model = Model()
        self.compacted = self.may_be_compacted = 0
        self.ballast = {}  # key -> (sequence, revision) acknowledged
        self.ballast_asked = {}  # key -> sequence on its way
        busy = set()  # slots whose next answer after the power loss was read
        for position, record in enumerate(recording.records):
            if record.op != log.MARK:
                continue
            line = record.path
            if line[0] in "AU":
                self._writer(line, position < at, busy)
            elif position < at:
                self._own(line.split())

    def _writer(self, line, before, busy):
        if before:
            self.model.read(line)
            return
        fields = line.split(" ")
        if fields[2] not in busy:  # this one may have been on its way
            busy.add(fields[2])
            self.model.read(" ".join(["U", *fields[1:5], "14", "power loss"]))

    def _own(self, fields):
        if fields[:2] == ["C", "ask"]:
            self.may_be_compacted = max(self.may_be_compacted, int(fields[2]))
        elif fields[:2] == ["C", "done"]:
            self.compacted = max(self.compacted, int(fields[2]))
        elif fields[:2] == ["B", "ask"]:
            self.ballast_asked[fields[2]] = int(fields[3])
        elif fields[:2] == ["B", "done"]:
            self.ballast[fields[2]] = (int(fields[3]), int(fields[4]))
            del self.ballast_asked[fields[2]]
            self.model.revision = max(self.model.revision, int(fields[4]))

    def compare(self, client, seed):
        """Texts of what is wrong."""
        found, revision = read_everything(client)
        wrong = self.model.settle(found)
        if revision < self.model.revision:
            wrong.append(f"the revision went back from {self.model.revision}, acknowledged, to {revision}")
        late = [key for key, (_, at) in found.items() if at > revision]
        if late:
            wrong.append(f"keys newer than the revision {revision}: {late[:5]}")
        wrong += check_history(client, self.model.recent, self.may_be_compacted, random.Random(seed))
        if self.compacted > 1 and client.range(b"c/", revision=self.compacted - 1).code != "OUT_OF_RANGE":
            wrong.append(f"revision {self.compacted - 1} can be read although {self.compacted} was compacted")
        return wrong + self._compare_ballast(client)

    def _compare_ballast(self, client):
        wrong = []
        for key in set(self.ballast) | set(self.ballast_asked):
            reply = client.range(key.encode())
            item = reply.message.kvs[0] if reply.ok and reply.message.kvs else None
            known = self.ballast.get(key)
            may = [sequence for sequence in (known and known[0], self.ballast_asked.get(key)) if sequence]
            if item is None:
                if known:
                    wrong.append(f"{key} is gone, acknowledged {known}: {reply.text}")
            elif item.value not in [ballast_value(sequence) for sequence in may]:
                wrong.append(f"{key} holds {len(item.value)} bytes that are neither of {may}")
            elif known and item.value == ballast_value(known[0]) and item.mod_revision != known[1]:
                wrong.append(f"{key} is at {item.mod_revision}, acknowledged at {known[1]}")
        return wrong


def _hash(client):
    reply = client.hash_kv()
    assert reply.ok, reply
    return reply.message


def verify(binary, folder, storage, config, expected, seed):
    """Two starts on folder/disk/data; texts of what is wrong."""
    server = Server(binary, folder, storage=storage, config=config)
    server.data_dir = folder / "disk/data"
    with server:
        server.start()
        with server.client() as client:
            wrong = expected.compare(client, seed)
            before = _hash(client)
        server.kill()
        server.start()
        with server.client() as client:
            reply = client.hash_kv(before.hash_revision)
            after = reply.message
            if not reply.ok:
                wrong.append(f"HashKV({before.hash_revision}) after a second start: {reply}")
            elif after.compact_revision == before.compact_revision and after.hash != before.hash:
                wrong.append(f"HashKV({before.hash_revision}) was {before.hash}, is {after.hash} after a second start")
            elif after.compact_revision < before.compact_revision:
                wrong.append(f"compacted {before.compact_revision}, after a second start {after.compact_revision}")
            if not client.put(b"after", b"power loss").ok:
                wrong.append("no put after the restart")
        server.stop()
    return wrong
