"""Members die, stop, stand still and come back, under load."""

import concurrent.futures
import statistics
import time

from harness.client import send
from harness.cluster import Cluster, clients_of, first_write_after
from harness.load import Load
from harness.messages import KV, rpc
from harness.wait import until
from history import History, judged
from streams import Watch

ELECTION_SECONDS = 1.0
# Bounds of the fast tier: what a loaded machine must keep. What was measured is noted beside.
MOST_SECONDS_TO_A_WRITE = 15
MOST_SECONDS_OF_A_HAND_OVER = 5
# The goal, which --long judges: what the machine does to the load by itself comes on top.
GOAL_SECONDS_OF_A_HAND_OVER = 0.2
# What etcd answers without a quorum, depending on where the request was when the leader went.
NO_QUORUM = [
    ("UNAVAILABLE", "etcdserver: request timed out"),
    ("UNAVAILABLE", "etcdserver: request timed out, possibly due to previous leader failure"),
    ("UNAVAILABLE", "etcdserver: request timed out, possibly due to connection lost"),
    ("UNAVAILABLE", "etcdserver: leader changed"),
    ("DEADLINE_EXCEEDED", "context deadline exceeded"),
]


def settle(world, cluster, load, name):
    """The load's end: nobody saw an error, everything acknowledged is there, all members hold the same."""
    load.end()
    report = world.report
    # A removed etcd answers what was under way with this, which no client repeats.
    errors = [e for e in load.errors if not (world.is_etcd and e.text == "raft: stopped")]
    report.check(f"{name}: no error at a retrying client", not errors, str(errors[:3]))
    with cluster.leader().client(timeout=60) as client:
        missing = load.missing(client)
    report.check(f"{name}: all of {load.count()} acknowledged puts are there", not missing, "\n".join(missing[:5]))
    hashes = cluster.hashes(cluster.level())
    report.check(f"{name}: all members have one hash", len(set(hashes.values())) == 1, str(hashes))


def a_follower_is_killed_and_catches_up(world, cluster):
    follower = cluster.followers()[0]
    with Load([s for s in cluster if s is not follower], name="follower") as load:
        load.await_more()
        follower.kill()
        load.await_more(200)
        follower.start()
        load.await_more()
        settle(world, cluster, load, "a follower killed")


def the_leader_is_killed(world, cluster):
    took = []
    for _ in range(10 if world.long else 2):
        leader = cluster.leader()
        leader.kill()
        took.append(first_write_after(cluster.alive()))
        leader.start()
    world.report.check("the leader killed: a write is acknowledged soon", max(took) < MOST_SECONDS_TO_A_WRITE,
                       str(took))
    world.report.note(f"leader killed -> first acknowledged write: median {statistics.median(took):.2f} s, "
                      f"worst {max(took):.2f} s of {len(took)} (goal 1.5 T and 2 T + 0.2 s, T = {ELECTION_SECONDS} s)")


def a_paused_leader_answers_nothing_stale(world, cluster):
    report, old = world.report, cluster.leader()
    others = [server for server in cluster if server is not old]
    with clients_of([old, *others]) as (at_old, *clients):
        clients[0].put(b"paused", b"old")
        assert at_old.range(b"paused").ok  # it is connected
        old.pause()
        try:
            new = cluster.leader(among=others)
            put = clients[others.index(new)].put(b"paused", b"new")
            # They lie in its socket until it goes on, and it thinks that it leads.
            reads = [send(at_old, KV + "Range", rpc.RangeRequest(key=b"paused"), 30) for _ in range(20)]
        finally:
            old.resume()
        report.check("the leader paused: another one takes over", put.ok, str(put))
        values = set()
        for read in reads:
            until(read.done, 40, "a read ends")
            if read.code().name == "OK":
                values.add(rpc.RangeResponse.FromString(read.result()).kvs[0].value)
        report.check("a paused leader that goes on answers no linearizable read from before", values <= {b"new"},
                     str(values))
        fresh = until(lambda: (lambda r: r if r.ok else None)(at_old.range(b"paused")), 30, "it reads again")
        report.equal("and serves", fresh.message.kvs[0].value, b"new")
    cluster.leader()


def judge_gaps(world, name, gaps, calm, more=""):
    """`gaps`, `calm`: longest times without an answer, while members stopped and while none did."""
    goal = world.long and not world.is_etcd
    most = calm + GOAL_SECONDS_OF_A_HAND_OVER if goal else MOST_SECONDS_OF_A_HAND_OVER
    world.report.check(f"{name}: no long gap", max(gaps) < most,
                       f"{[round(gap, 3) for gap in gaps]} s, {calm:.3f} s while all served, at most {most:.3f} s")
    world.report.note(f"{name}: longest time without an answer {max(gaps) * 1000:.0f} ms of {len(gaps)}, "
                      f"{calm * 1000:.0f} ms while all served (goal 200 ms){more}")


def a_stopping_leader_hands_over(world, cluster):
    gaps = []
    with Load(cluster, name="handover") as load:
        load.await_more(400)
        calm = load.longest_gap()
        for _ in range(10 if world.long else 1):
            old = cluster.leader()
            began = time.monotonic()
            old.stop()
            load.await_more(200)
            gaps.append(load.longest_gap(began))
            old.start()
        settle(world, cluster, load, "the leader ends on SIGTERM")
    judge_gaps(world, "SIGTERM of the leader", gaps, calm)


def rolling_restart(world, cluster):
    gaps = []
    with Load(cluster, name="rolling") as load:
        load.await_more(400)
        calm = load.longest_gap()
        for _ in range(3 if world.long else 1):
            for server in cluster:
                began = time.monotonic()
                server.stop()
                server.start()
                load.await_more(100)
                gaps.append(load.longest_gap(began))
        settle(world, cluster, load, "rolling restart")
    judge_gaps(world, "rolling restart", gaps, calm, f", {load.retries} retries")


def all_killed_at_once(world, cluster):
    with Load(cluster, name="all") as load:
        load.await_more(100)
        cluster.kill()
        cluster.start()
        load.await_more()
        settle(world, cluster, load, "all killed at once")


def what_clients_saw_is_linearizable(world, cluster):
    """While leaders die and stand still."""
    since = cluster.level()
    with Load(cluster, name="history") as load, History(cluster, "history") as history:
        for _ in range(2):
            load.await_more(300)
            leader = cluster.leader()
            leader.pause()
            load.await_more(100)
            leader.resume()
            load.await_more(100)
            leader = cluster.leader()
            leader.kill()
            load.await_more(100)
            leader.start()
        history.end()
        settle(world, cluster, load, "history")
    with cluster.leader().client(timeout=60) as client:
        judged(world.report, "failures", history, client, since, spoil=True)


def a_lost_quorum(world, cluster):
    report = world.report
    leader, gone = cluster.leader(), cluster.followers()
    with leader.client(timeout=30) as client, Watch(client, [("hasleader", "true")], key=b"q") as watch:
        before = client.put(b"quorum", b"1").message.header.revision
        for server in gone:
            server.kill()
        has_leader = [("hasleader", "true")]

        def refused():
            reply = client.call(KV + "Range", rpc.RangeRequest(key=b"quorum", serializable=True), metadata=has_leader)
            return reply if not reply.ok else None

        reply = until(refused, 30, "a call that wants a leader is refused")
        no_leader = ("UNAVAILABLE", "etcdserver: no leader")
        report.equal("no quorum: a call with hasleader", (reply.code, reply.text), no_leader)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            put, read = pool.submit(client.put, b"quorum", b"2"), pool.submit(client.range, b"quorum")
            serializable = client.range(b"quorum", serializable=True)
            report.check("no quorum: a serializable read", serializable.ok
                         and serializable.message.kvs[0].mod_revision == before, str(serializable))
            for name, future in (("a put", put), ("a linearizable read", read)):
                reply = future.result()
                report.check(f"no quorum: {name}", (reply.code, reply.text) in NO_QUORUM, str(reply))
        try:
            watch.events(1)
            ended = None
        except Exception as error:  # grpc's
            ended = (error.code().name, error.details())
        report.equal("no quorum: a watch with hasleader ends", ended, no_leader)
        cluster.start()
        report.check("the quorum is back: a put", until(lambda: client.put(b"quorum", b"3").ok, 30, "a put"))
    hashes = cluster.hashes(cluster.level())
    report.check("the quorum is back: all members have one hash", len(set(hashes.values())) == 1, str(hashes))


def members_over_both_transports(world):
    """Two members speak through transport-h2 and one through transport-grpc, then all through that."""
    if world.is_etcd:
        return world.report.skip("members over both transports", "etcd has one")
    if not (world.build / "lib/tenon/plugins/transport-grpc.so").exists():
        return world.report.skip("members over both transports", "transport-grpc is not built")
    for name, peers in (("mixed peers", ("h2", "h2", "grpc")), ("grpc peers", ("grpc",) * 3)):
        cluster = Cluster(world.binary, world.folder(name.replace(" ", "-")), modules={})
        for server, peer in zip(cluster, peers):
            server.modules = {**server.modules, "peer": f"{{ use: {peer} }}"}
        with cluster:
            cluster.start()
            with Load(cluster, name=name) as load:
                load.await_more(200)
                leader = cluster.leader()
                leader.kill()
                load.await_more()
                leader.start()
                load.await_more()
                settle(world, cluster, load, name)


STORIES = [a_follower_is_killed_and_catches_up, the_leader_is_killed, a_paused_leader_answers_nothing_stale,
           a_stopping_leader_hands_over, rolling_restart, what_clients_saw_is_linearizable, all_killed_at_once,
           a_lost_quorum, members_over_both_transports]


def run(world):
    with Cluster(world.binary, world.folder("failures")) as cluster:
        cluster.start()
        for story in STORIES[:-1]:
            world.story(story, cluster)
    world.story(members_over_both_transports)
