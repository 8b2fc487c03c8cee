"""Several members as processes: Tenon's, etcd's, with one engine or several, started with one initial-cluster."""

import contextlib
import hashlib
import struct
import time
from pathlib import Path

from harness.client import Client, send
from harness.messages import CLUSTER, KV, MAINTENANCE, rpc
from harness.server import START_SECONDS, Server
from harness.wait import until

TOKEN = "tests"


class Cluster:
    """Owns its members, `members`: name -> Server, in the order they came. Use with `with`.

    storages: an engine for each member in turn (None: the default). options_as, flags: see Server, for every member.
    """

    def __init__(self, binary, folder, size=3, storages=(None,), flags=None, options_as="flags", wrapper=None, **more):
        self.binary, self.folder = binary, Path(folder)
        self.flags = {"initial-cluster-token": TOKEN, **(flags or {})}
        self.more = {"options_as": options_as, **more}
        self.wrapper = wrapper or (lambda name: ())
        self.members = {}
        self.named = 0  # names are never used twice
        for number in range(size):
            self.make(storages[number % len(storages)])
        self.tell_all()

    def tell_all(self):
        """Each of all, for a first start together."""
        self._tell({name: server.peer_url for name, server in self.members.items()}, "new", self.members.values())

    def make(self, storage=None):
        """A member more, of which nobody was told yet."""
        name = "abcdefghijklmnopqrstuvwxyz"[self.named % 26] + (str(self.named // 26) if self.named >= 26 else "")
        self.named += 1
        server = Server(self.binary, self.folder / name, name=name, flags=self.flags, storage=storage,
                        wrapper=self.wrapper(name), **self.more)
        self.members[name] = server
        return server

    @staticmethod
    def _tell(urls, state, servers):
        for server in servers:
            server.flags["initial-cluster"] = ",".join(f"{name}={url}" for name, url in urls.items())
            server.flags["initial-cluster-state"] = state

    # ---- life ----

    def start(self, seconds=START_SECONDS):
        """All of them together; returns when each answers a linearizable read."""
        for server in self.members.values():
            if server.process is None:
                server.launch()
        for server in self.members.values():
            server.await_ready(seconds)
        return self

    def kill(self):
        """SIGKILL for all, none of which sees another one go first."""
        for server in self.alive():
            server.process.kill()
        for server in self.alive():
            server.kill()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.kill()

    def alive(self):
        return [server for server in self.members.values() if server.process is not None]

    def endpoints(self):
        return ",".join(server.address for server in self.alive())

    def __iter__(self):
        return iter(list(self.members.values()))

    # ---- who leads ----

    def status(self, server, seconds=5.0):
        """StatusResponse of a member, None if it does not answer."""
        with server.client(timeout=seconds) as client:
            reply = client.status()
        return reply.message if reply.ok else None

    def leader(self, seconds=30, among=None):
        """The member that all of `among` (those alive) call their leader in one term."""
        return until(lambda: self._agreed_leader(among or self.alive()), seconds,
                     lambda: f"one leader\n{self.log_tails()}")

    def _agreed_leader(self, servers):
        answers = [self.status(server) for server in servers]
        if any(answer is None for answer in answers) or len({(a.leader, a.raftTerm) for a in answers}) != 1:
            return None
        return next((s for s, a in zip(servers, answers) if a.leader and a.header.member_id == a.leader), None)

    def followers(self, seconds=30):
        leader = self.leader(seconds)
        return [server for server in self.alive() if server is not leader]

    def id_of(self, server):
        answer = until(lambda: self.status(server), 20, lambda: f"{server.name} answers\n{server.log_tail()}")
        return answer.header.member_id

    # ---- what they hold ----

    def revision(self, server):
        """Of what the member itself has applied."""
        with server.client(timeout=10) as client:
            reply = client.range(b"\0", serializable=True)
        return reply.message.header.revision if reply.ok else None

    def level(self, seconds=60):
        """Waits until all who are alive are at one revision, and returns it."""

        def one():
            revisions = {self.revision(server) for server in self.alive()}
            return revisions.pop() if len(revisions) == 1 else None

        return until(one, seconds, lambda: "one revision: " + ", ".join(
            f"{s.name} {self.revision(s)}" for s in self.alive()) + f"\n{self.log_tails()}")

    def hashes(self, revision):
        """{name: hash of everything up to `revision`}"""
        found = {}
        for server in self.alive():
            with server.client(timeout=60) as client:
                reply = client.hash_kv(revision)
            found[server.name] = reply.message.hash if reply.ok else reply.text
        return found

    # ---- membership ----

    def ask(self, message_name, through=None, timeout=20, **fields):
        """A call of Cluster or Maintenance by its request: ask("MemberRemove", ID=...)."""
        service = CLUSTER if message_name.startswith("Member") else MAINTENANCE
        server = through or self.leader()
        with server.client(timeout=timeout) as client:
            return client.call(service + message_name, getattr(rpc, message_name + "Request")(**fields))

    def ask_until(self, message_name, accepted, seconds=60, **fields):
        """Again while the cluster does not count as healthy yet, or elects."""

        def reply():
            answer = self.ask(message_name, **fields)
            return answer if accepted(answer) or answer.code not in ("UNAVAILABLE", "FAILED_PRECONDITION") else None

        return until(reply, seconds, lambda: f"{message_name} {fields}: {self.ask(message_name, **fields)}")

    def list(self, through=None):
        reply = self.ask("MemberList", through, linearizable=True)
        assert reply.ok, reply
        return list(reply.message.members)

    def join(self, storage=None, learner=False, seconds=60):
        """A new member with an empty disk: added, launched, and awaited until it has what the cluster has."""
        server = self.make(storage)
        try:
            reply = self.ask_until("MemberAdd", lambda r: r.ok, seconds, peerURLs=[server.peer_url], isLearner=learner,
                                   through=next(s for s in self.alive() if s is not server))
            assert reply.ok, reply
        except BaseException:
            del self.members[server.name]
            raise
        self.launch_joining(server, reply.message.members, seconds)
        if not learner:
            server.await_ready(seconds)
        return server

    def launch_joining(self, server, members, seconds=60):
        """A first start into a cluster that exists, whose `members` MemberAdd answered."""
        urls = {member.name: member.peerURLs[0] for member in members if member.name}
        self._tell({**urls, server.name: server.peer_url}, "existing", [server])
        server.launch()
        until(lambda: server._alive() and self.revision(server), seconds, lambda: f"it serves\n{server.log_tail(4000)}")

    def remove(self, server, seconds=60):
        """Removed, ended (a removed member ends by itself), and forgotten."""
        through = next(s for s in self.alive() if s is not server)
        reply = self.ask_until("MemberRemove", lambda r: r.ok or "not found" in r.text, seconds,
                               ID=self.id_of(server), through=through)
        assert reply.ok or "not found" in reply.text, reply
        code = server.wait_exit(seconds)
        del self.members[server.name]
        return code

    def log_tails(self):
        return "\n".join(f"--- {server.name}\n{server.log_tail()}" for server in self)


def member_id(urls, token):
    """As etcd computes those of a first start."""
    return struct.unpack(">Q", hashlib.sha1(("".join(sorted(urls)) + token).encode()).digest()[:8])[0]


def cluster_id(member_ids):
    packed = b"".join(struct.pack(">Q", one) for one in sorted(member_ids))
    return struct.unpack(">Q", hashlib.sha1(packed).digest()[:8])[0]


@contextlib.contextmanager
def clients_of(servers, **options):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(server.client(**options)) for server in servers]


def first_write_after(survivors, key=b"probe"):
    """Seconds from now to the first answer of a put that begins now or later: one each 20 ms at each survivor."""
    began = time.monotonic()
    answered = []
    with clients_of(survivors) as clients:
        def probe():
            for client in clients:
                future = send(client, KV + "Put", rpc.PutRequest(key=key), 30)
                future.add_done_callback(
                    lambda f: answered.append(time.monotonic()) if f.code() and f.code().name == "OK" else None)
            return answered
        until(probe, 60, "a put is acknowledged", interval=0.02)
        return answered[0] - began


class Anywhere:
    """A client that goes on at the next member when one fails, as applications' clients do."""

    RETRIED = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")

    def __init__(self, servers, timeout=2.0, first=0):
        self.clients = [Client(server.address, timeout=timeout) for server in servers]
        self.at = first % len(self.clients)
        self.retries = 0

    def __call__(self, ask, stop=lambda: False):
        """The first reply that is none of RETRIED; the last one when `stop()`."""
        while True:
            reply = ask(self.clients[self.at])
            if reply.code not in self.RETRIED or stop():
                return reply
            self.retries += 1
            self.at = (self.at + 1) % len(self.clients)

    def close(self):
        for client in self.clients:
            client.close()
