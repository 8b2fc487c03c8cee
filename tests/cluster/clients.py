"""What clients do through each of three members; nobody fails."""

import json
import os
import re
import subprocess
import urllib.request

from harness.client import every_key, send
from harness.cluster import Cluster, clients_of, cluster_id, member_id
from harness.messages import ELECTION, KV, LEASE, LOCK, election, lock, rpc
from harness.wait import until
from streams import Watch, first_done


def members_know_each_other(world, cluster, name="bootstrap"):
    """Names, addresses, and the ids that etcd computes from addresses and token."""
    report, token = world.report, cluster.flags["initial-cluster-token"]
    wanted = {member_id([s.peer_url], token): (s.name, [s.peer_url], [f"http://{s.address}"]) for s in cluster}
    for server in cluster:
        got = {m.ID: (m.name, list(m.peerURLs), list(m.clientURLs)) for m in cluster.list(server)}
        report.equal(f"{name}: {server.name} lists all members", got, wanted)
    header = cluster.status(next(iter(cluster))).header
    report.equal(f"{name}: the cluster's id", header.cluster_id, cluster_id(wanted))
    cluster.leader()


def reads_see_writes_made_elsewhere(world, cluster):
    servers = list(cluster)
    with clients_of(servers) as clients:
        wrong = []
        for number in range(60):
            writer, reader = clients[number % 3], clients[(number // 3) % 3]
            value = str(number).encode()
            put = writer.put(b"rw", value)
            read = reader.range(b"rw")
            if not (put.ok and read.ok and [kv.value for kv in read.message.kvs] == [value]
                    and read.message.kvs[0].mod_revision == put.message.header.revision):
                wrong.append(f"{number}: {put} {read}")
        world.report.check("a linearizable read through any member sees what any other one acknowledged", not wrong,
                           "\n".join(wrong[:3]))


def all_writes_through_all_members(world, cluster):
    """Txn, delete and compaction too; then every member holds the same."""
    report = world.report
    with clients_of(cluster) as clients:
        for number, client in enumerate(clients):
            compare = rpc.Compare(key=b"t", target=rpc.Compare.VERSION, result=rpc.Compare.EQUAL, version=number)
            txn = client.call(KV + "Txn", rpc.TxnRequest(compare=[compare], success=[
                rpc.RequestOp(request_put=rpc.PutRequest(key=b"t", value=str(number).encode()))]))
            report.check(f"a txn through member {number + 1}", txn.ok and txn.message.succeeded, str(txn))
            client.put(b"gone%d" % number)
            deleted = clients[number - 1].delete(b"gone%d" % number)
            report.check(f"a delete through member {number}", deleted.ok and deleted.message.deleted == 1, str(deleted))
            revision = deleted.message.header.revision
            compacted = client.compact(revision - 1)
            report.check(f"a compaction through member {number + 1}", compacted.ok, str(compacted))
            old = clients[number - 1].range(b"t", revision=1)
            report.equal(f"it is known through another member {number + 1}", old.text,
                         "etcdserver: mvcc: required revision has been compacted")
    revision = cluster.level()
    hashes = cluster.hashes(revision)
    report.check("all members have one hash", len(set(hashes.values())) == 1, str(hashes))


def watches_through_followers(world, cluster):
    leader = cluster.leader()
    for server in cluster:
        with leader.client() as writer, server.client() as client, Watch(client, key=b"w", range_end=b"x") as watch:
            writer.put(b"w1", b"a")
            client.put(b"w2", b"b")
            writer.delete(b"w1")
            world.report.equal(f"events at {'the leader' if server is leader else 'a follower'} ({server.name})",
                               watch.events(3), [(b"w1", b"a"), (b"w2", b"b"), (b"w1", None)])


def leases_through_followers(world, cluster):
    report = world.report
    one, other = cluster.followers()
    with clients_of([one, other, cluster.leader()]) as (a, b, leader):
        ending = a.call(LEASE + "LeaseGrant", rpc.LeaseGrantRequest(TTL=2)).message
        a.put(b"ending", lease=ending.ID)
        grant = a.call(LEASE + "LeaseGrant", rpc.LeaseGrantRequest(TTL=600))
        report.check("a grant through a follower", grant.ok and grant.message.TTL == 600, str(grant))
        lease = grant.message.ID
        report.check("a key with it, through another", b.put(b"leased", lease=lease).ok)
        alive = b.call(LEASE + "LeaseKeepAlive", rpc.LeaseKeepAliveRequest(ID=lease))
        report.check("a renewal through a follower", alive.ok and [m.TTL for m in alive.message] == [600], str(alive))
        none = b.call(LEASE + "LeaseKeepAlive", rpc.LeaseKeepAliveRequest(ID=12345))
        report.check("a renewal of no lease", none.ok and [m.TTL for m in none.message] == [0], str(none))
        for name, client in (("a follower", a), ("another", b), ("the leader", leader)):
            left = client.call(LEASE + "LeaseTimeToLive", rpc.LeaseTimeToLiveRequest(ID=lease, keys=True))
            report.check(f"time to live through {name}", left.ok and 500 < left.message.TTL <= 600
                         and left.message.grantedTTL == 600 and list(left.message.keys) == [b"leased"], str(left))
        absent = a.call(LEASE + "LeaseTimeToLive", rpc.LeaseTimeToLiveRequest(ID=12345))
        report.check("time to live of no lease", absent.ok and absent.message.TTL == -1, str(absent))
        leases = b.call(LEASE + "LeaseLeases", rpc.LeaseLeasesRequest())
        report.check("leases through a follower", leases.ok and lease in [m.ID for m in leases.message.leases])
        revoked = b.call(LEASE + "LeaseRevoke", rpc.LeaseRevokeRequest(ID=lease))
        report.check("a revocation through a follower", revoked.ok, str(revoked))
        report.equal("takes its key with it", a.range(b"leased").message.count, 0)
        until(lambda: a.range(b"ending").message.count == 0, 30, "a lease of 2 s ends")
        report.check("a lease ends", True)


def locks_and_elections_through_members(world, cluster):
    report = world.report
    with clients_of(cluster, timeout=60) as (a, b, c):
        held = a.call(LOCK + "Lock", lock.LockRequest(name=b"lk"))
        report.check("a lock", held.ok, str(held))
        waiting = send(b, LOCK + "Lock", lock.LockRequest(name=b"lk"), 60)
        prefix = {"key": b"lk/", "range_end": b"lk0"}
        until(lambda: c.range(**prefix).message.count == 2, 20, "the second one waits")
        report.check("a second one through another member waits", not waiting.done())
        report.check("unlocked through the third", c.call(LOCK + "Unlock", lock.UnlockRequest(key=held.message.key)).ok)
        got = lock.LockResponse.FromString(waiting.result())
        report.check("the second one has it", got.key.startswith(b"lk/"), str(got))

        lease = a.call(LEASE + "LeaseGrant", rpc.LeaseGrantRequest(TTL=60)).message.ID
        won = a.call(ELECTION + "Campaign", election.CampaignRequest(name=b"el", lease=lease, value=b"a"))
        report.check("an election is won", won.ok, str(won))
        seen = c.call(ELECTION + "Leader", election.LeaderRequest(name=b"el"))
        report.check("who leads, through another member", seen.ok and seen.message.kv.value == b"a", str(seen))
        second = b.call(LEASE + "LeaseGrant", rpc.LeaseGrantRequest(TTL=60)).message.ID
        next_one = send(b, ELECTION + "Campaign", election.CampaignRequest(name=b"el", lease=second, value=b"b"), 60)
        report.check("it resigns through the third",
                     c.call(ELECTION + "Resign", election.ResignRequest(leader=won.message.leader)).ok)
        first_done([next_one], 30, "the next one wins")
        report.equal("the next one leads", a.call(ELECTION + "Leader", election.LeaderRequest(name=b"el"))
                     .message.kv.value, b"b")
        for client in (a, b, c):
            report.check("no member keeps locks of its own", client.range(**every_key(), count_only=True).ok)


def metrics_tell_who_leads(world, cluster):
    report, leader = world.report, cluster.leader()
    ids = {server.name: f"{cluster.id_of(server):x}" for server in cluster}
    for server in cluster:
        text = urllib.request.urlopen(f"http://{server.address}/metrics", timeout=20).read().decode()

        def value(name):
            found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
            return float(found[1]) if found else None

        report.equal(f"metrics of {server.name}: has_leader", value("etcd_server_has_leader"), 1)
        report.equal(f"metrics of {server.name}: is_leader", value("etcd_server_is_leader"), int(server is leader))
        report.check(f"metrics of {server.name}: leader_changes_seen_total",
                     (value("etcd_server_leader_changes_seen_total") or 0) >= 1)
        own = f'etcd_server_id{{server_id="{ids[server.name]}"}}'
        report.equal(f"metrics of {server.name}: server_id", value(own), 1)
        for other in cluster:
            if other is server or leader not in (server, other):
                continue  # followers have nothing to say to each other
            sent = value(f'etcd_network_peer_sent_bytes_total{{To="{ids[other.name]}"}}')
            received = value(f'etcd_network_peer_received_bytes_total{{From="{ids[other.name]}"}}')
            report.check(f"metrics of {server.name}: bytes to {other.name}", (sent or 0) > 0, str(sent))
            report.check(f"metrics of {server.name}: bytes from {other.name}", (received or 0) > 0, str(received))


# ---- etcdctl ----


class Etcdctl:
    def __init__(self, binary, endpoints):
        self.binary, self.endpoints = binary, endpoints

    def __call__(self, *arguments):
        """(exit code, stdout, stderr)"""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ETCDCTL_")}
        result = subprocess.run(
            [self.binary, f"--endpoints={self.endpoints}", "--dial-timeout=20s", "--command-timeout=30s", *arguments],
            text=True, capture_output=True, timeout=90, env=environment)
        return result.returncode, result.stdout, result.stderr

    def json(self, *arguments):
        code, out, error = self(*arguments, "-w", "json")
        assert code == 0, f"{arguments}: {out}{error}"
        return json.loads(out)


def etcdctl_commands(world, cluster, binary, release):
    report = world.report
    ctl = Etcdctl(binary, cluster.endpoints())
    one = Etcdctl(binary, next(iter(cluster)).address)

    def shows(name, wanted, *arguments, through=one):
        code, out, error = through(*arguments)
        text = out + error  # 3.4 tells of health on stderr
        report.check(f"etcdctl {release}: {name}", re.search(wanted, text) is not None,
                     f"{' '.join(arguments)}: exit {code}\ngot {out!r} {error!r}\nwanted {wanted!r}")
        return out

    listed = shows("member list", "", "member", "list")
    lines = sorted(f"{cluster.id_of(s):x}, started, {s.name}, {s.peer_url}, http://{s.address}, false" for s in cluster)
    report.equal(f"etcdctl {release}: member list's lines", sorted(listed.splitlines()), lines)
    for number, server in enumerate(cluster):
        member = Etcdctl(binary, server.address)
        shows(f"put through {server.name}", "^OK\n$", "put", "ctl", str(number), through=member)
        shows(f"get through another", f"^ctl\n{number}\n$", "get", "ctl")
    shows("endpoint health --cluster", r"(?s)^(?!.*unhealthy)(.*is healthy){3}", "endpoint", "health", "--cluster")
    # 3.4 sends a whole URL as :authority in these.
    status = one.json("endpoint", "status", "--cluster")
    report.equal(f"etcdctl {release}: endpoint status --cluster",
                 (len(status), len({s["Status"]["leader"] for s in status})), (3, 1))
    cluster.level()
    hashes = one.json("endpoint", "hashkv", "--cluster")
    report.equal(f"etcdctl {release}: endpoint hashkv --cluster",
                 (len(hashes), len({h["HashKV"]["hash"] for h in hashes})), (3, 1))

    target = next(s for s in cluster if s is not cluster.leader())
    old, new = cluster.id_of(cluster.leader()), cluster.id_of(target)
    shows("move-leader", f"^Leadership transferred from {old:x} to {new:x}\n$", "move-leader", f"{new:x}", through=ctl)
    report.check(f"etcdctl {release}: who leads now", cluster.leader() is target)

    # A member that never starts: added, changed, removed.
    url, other = world.unused_url(), world.unused_url()
    added = until(lambda: (lambda r: r if r[0] == 0 else None)(one("member", "add", "x", f"--peer-urls={url}")), 60,
                  lambda: f"member add: {one('member', 'add', 'x', f'--peer-urls={url}')}")[1]
    report.check(f"etcdctl {release}: member add", f'x={url}"' in added or f"x={url}," in added, added)
    added_id = re.search(r"Member\s+(\w+) added (?:as learner )?to cluster", added)[1]
    shows("member list with one not started", f"{added_id}, unstarted, , {url}, , false", "member", "list")
    shows("member update", rf"Member\s+{added_id} updated in cluster", "member", "update", added_id,
          f"--peer-urls={other}")
    shows("member list after it", f"{added_id}, unstarted, , {other}, , false", "member", "list")
    shows("member promote of a voter", "can only promote a learner member", "member", "promote", added_id)
    shows("member add of an address twice", "Peer URLs already exists", "member", "add", "y", f"--peer-urls={other}")
    shows("member remove", rf"Member\s+{added_id} removed from cluster", "member", "remove", added_id)
    shows("member remove again", "member not found", "member", "remove", added_id)

    added = until(lambda: (lambda r: r if r[0] == 0 else None)(
        one("member", "add", "x", "--learner", f"--peer-urls={url}")), 60, "member add --learner")[1]
    added_id = re.search(r"Member\s+(\w+) added (?:as learner )?to cluster", added)[1]
    shows("member list with a learner", f"{added_id}, unstarted, , {url}, , true", "member", "list")
    shows("member promote before it is ready", "can only promote a learner member which is in sync with leader",
          "member", "promote", added_id)
    shows("a second learner", "too many learner members in cluster", "member", "add", "y", "--learner",
          f"--peer-urls={other}")
    shows("member remove of a learner", rf"Member\s+{added_id} removed from cluster", "member", "remove", added_id)


ON_ONE = [members_know_each_other, reads_see_writes_made_elsewhere, all_writes_through_all_members,
          watches_through_followers, leases_through_followers, locks_and_elections_through_members,
          metrics_tell_who_leads]
STORIES = [*ON_ONE, etcdctl_commands]


def run(world):
    with Cluster(world.binary, world.folder("clients")) as cluster:
        cluster.start()
        for story in ON_ONE:
            world.story(story, cluster)
        for binary, release in world.etcdctls():
            world.story(etcdctl_commands, cluster, binary, release)
