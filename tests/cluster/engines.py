"""What one member has, another one gets: by the log, as a state, into another engine."""

from failures import settle
from harness.cluster import Cluster
from harness.load import Load
from harness.messages import KV, rpc

# The log is cut soon, so that who was away needs a state.
SHORT_LOG = {"snapshot-count": "100", "snapshot-catchup-entries": "100"}
PERSIST_SOON = "tenon: { persist-interval: 200ms, persist-bytes: 1MiB }\n"
PUTS = 4000  # more than any member keeps in its log with these


def fill(server, puts=PUTS):
    with server.client() as client:
        futures = []
        call = client.channel.unary_unary(KV + "Put")
        for number in range(puts):
            futures.append(call.future(rpc.PutRequest(key=b"fill/%d" % (number % 1000), value=b"x" * 500)
                                       .SerializeToString(), timeout=60))
            if len(futures) == 100:
                for future in futures:
                    future.result()
                futures = []


def a_state_is_fetched(world):
    """Too far behind for the log: after having been away, and from an empty disk."""
    report = world.report
    with Cluster(world.binary, world.folder("state"), flags=SHORT_LOG, config=PERSIST_SOON) as cluster:
        cluster.start()
        away = cluster.followers()[0]
        away.kill()
        fill(cluster.leader())
        away.start()
        hashes = cluster.hashes(cluster.level())
        report.check("a member that was away gets a state", len(set(hashes.values())) == 1, str(hashes))
        server = cluster.join()
        hashes = cluster.hashes(cluster.level())
        report.check("a new member gets a state", len(set(hashes.values())) == 1, str(hashes))
        server.kill()
        server.start()
        with server.client() as client:
            report.check("and has it after a restart", client.range(b"fill/1").message.count == 1)


def engines_mix(world):
    if world.is_etcd:
        return world.report.skip("a cluster of two engines", "Tenon's alone: etcd has one engine")
    with Cluster(world.binary, world.folder("mix"), storages=("wiredtiger", "memory", "memory")) as cluster:
        cluster.start()
        with Load(cluster, name="mix") as load:
            load.await_more(300)
            cluster.kill()
            cluster.start()
            load.await_more()
            settle(world, cluster, load, "two engines")


def engines_are_swapped_under_load(world):
    """WiredTiger to memory and back, one member at a time, by adding one and removing one."""
    engines = (None, None) if world.is_etcd else ("memory", "wiredtiger")
    with Cluster(world.binary, world.folder("swap"), storages=(engines[1],), flags=SHORT_LOG,
                 config=PERSIST_SOON) as cluster:
        cluster.start()
        fill(cluster.leader())
        for engine in engines if world.long else engines[:1]:
            for old in cluster:
                with Load(cluster, name=f"swap/{old.name}/{engine}") as load:
                    load.await_more(20)
                    new = cluster.join(engine)
                    load.await_more(20)
                    cluster.remove(old)
                    load.await_more(20)
                    settle(world, cluster, load, f"{old.name} leaves for {new.name} on {engine or 'the same engine'}")


STORIES = [a_state_is_fetched, engines_mix]
LONG_STORIES = [engines_are_swapped_under_load]


def run(world):
    for story in STORIES + (LONG_STORIES if world.long or world.only else []):
        world.story(story)
