"""A member whose state is damaged or lost gets that of the others; one whose log is gone never comes back as itself."""

import shutil
from pathlib import Path

from engines import PERSIST_SOON
from failures import settle
from harness.cluster import Cluster
from harness.load import Load
from harness.wait import until

CORRUPT = 2  # AlarmType
ENGINE = "member/engine"
LOST = "the state on disk is of no use, but the log is whole"
HEALED = "taking the alarm CORRUPT back"


def log_of(server):
    return Path(server.log_path).read_text(errors="replace")


def puts(server, count, value):
    with server.client() as client:
        for number in range(count):
            assert client.put(b"k%d" % number, value).ok


def cut_log(cluster, server):
    """Writes until the member's log does not reach back to the beginning, so that it alone is no state."""
    first = server.data_dir / "member/wal/0000000000000000-0000000000000000.wal"
    value = b"x" * (1 << 20)
    with cluster.leader().client(timeout=60) as client:
        for number in range(70):
            assert client.put(b"large/%d" % (number % 8), value).ok

        def cut():
            assert client.put(b"large/more", value).ok
            return not first.exists()

        until(cut, 120, lambda: f"the first segment goes\n{server.log_tail()}")


def recovers(world, spoil, name, said):
    """A follower is killed under load, its engine spoiled; it fetches the state while the others go on."""
    with Cluster(world.binary, world.folder(name.replace(" ", "-")), config=PERSIST_SOON) as cluster:
        cluster.start()
        follower = cluster.followers()[0]
        cut_log(cluster, follower)
        with Load([s for s in cluster if s is not follower], name="heal") as load:
            load.await_more(200)
            follower.kill()
            spoil(follower.data_dir / ENGINE)
            follower.start(60)
            load.await_more(100)
            settle(world, cluster, load, name)
        world.report.check(f"{name}: says what it does", said in log_of(follower), follower.log_tail(4000))
        follower.kill()
        follower.start()
        hashes = cluster.hashes(cluster.level())
        world.report.check(f"{name}: it is there after a restart", len(set(hashes.values())) == 1, str(hashes))


def an_engine_that_is_lost_comes_back(world):
    recovers(world, shutil.rmtree, "an engine lost", LOST)


def an_engine_full_of_garbage_is_replaced(world):
    def garbage(engine):
        for file in engine.rglob("*"):
            if file.is_file() and file.stat().st_size > 4096:
                with open(file, "r+b") as damaged:  # behind what an engine looks at first
                    damaged.seek(4096)
                    damaged.write(b"\xa5" * (file.stat().st_size - 4096))

    recovers(world, garbage, "an engine full of garbage", LOST)


def a_state_that_differs_is_found_and_replaced(world):
    """Two clusters of the same founders: the engine of one under the log of the other, as a bug would leave it."""
    report, name = world.report, "a state that differs"
    with Cluster(world.binary, world.folder("differs")) as cluster:
        cluster.start()
        victim = cluster.followers()[0]
        puts(cluster.leader(), 80, b"of another history")
        cluster.level()
        for server in cluster:
            server.stop()
        other = world.folder("other-engine") / "engine"
        shutil.copytree(victim.data_dir / ENGINE, other)
        for server in cluster:
            shutil.rmtree(server.data_dir)
        cluster.tell_all()
        cluster.start()
        puts(cluster.leader(), 300, b"of this one")
        cluster.level()
        victim.stop()
        shutil.rmtree(victim.data_dir / ENGINE)
        shutil.copytree(other, victim.data_dir / ENGINE)
        shutil.rmtree(victim.data_dir / "member/index", ignore_errors=True)
        victim.launch()
        others = [s for s in cluster if s is not victim]
        until(lambda: any(HEALED in log_of(s) for s in others), 60, lambda: f"it heals\n{cluster.log_tails()}")
        until(lambda: not cluster.ask("Alarm", through=others[0]).message.alarms, 30, lambda: "the alarm goes")
        named = [s for s in others if "found a member whose state differs" in log_of(s)]
        report.check(f"{name}: the leader named it", named, cluster.log_tails())
        victim.await_ready(60)
        puts(cluster.leader(among=others), 20, b"after")
        hashes = cluster.hashes(cluster.level())
        report.check(f"{name}: all have one hash again", len(set(hashes.values())) == 1, str(hashes))


def a_log_that_is_lost_ends_the_member(world):
    """It may have voted: under its id it never does again, whatever its flags say."""
    with Cluster(world.binary, world.folder("lost-log")) as cluster:
        cluster.start()
        victim = cluster.followers()[0]
        for state in ("new", "existing"):
            for what in ("member/wal", "member"):
                victim.kill() if victim.process else None
                shutil.rmtree(victim.data_dir / what, ignore_errors=True)
                victim.flags["initial-cluster-state"] = state
                victim.launch()
                code = victim.wait_exit(60)
                text = victim.log_tail(3000)
                world.report.check(f"a lost {what}, {state}: it ends with a sentence",
                                   code not in (0, None) and ("already been bootstrapped" in text or "no log" in text),
                                   f"{code} {text}")


def a_lost_quorum_is_left_behind(world):
    """--force-new-cluster: one member's data becomes a cluster of one, which can grow again."""
    name = "a forced new cluster"
    with Cluster(world.binary, world.folder("forced")) as cluster:
        cluster.start()
        puts(cluster.leader(), 50, b"before")
        cluster.level()
        left = cluster.followers()[0]
        cluster.kill()
        gone = [server for server in cluster if server is not left]
        for server in gone:
            del cluster.members[server.name]
        left.flags["force-new-cluster"] = "true"
        left.start(60)
        world.report.check(f"{name}: it is alone", len(cluster.list(left)) == 1, str(cluster.list(left)))
        with left.client() as client:
            reply = client.range(b"k49")
            world.report.check(f"{name}: it has its data", reply.message.count == 1, str(reply))
        puts(left, 20, b"after")
        left.kill()
        left.start(60)  # the flag is still there and does nothing more
        del left.flags["force-new-cluster"]
        left.stop()
        left.start(60)
        cluster.join()
        hashes = cluster.hashes(cluster.level())
        world.report.check(f"{name}: it grows again", len(hashes) == 2 and len(set(hashes.values())) == 1, str(hashes))


STORIES = [an_engine_that_is_lost_comes_back, an_engine_full_of_garbage_is_replaced,
           a_state_that_differs_is_found_and_replaced, a_log_that_is_lost_ends_the_member, a_lost_quorum_is_left_behind]


def run(world):
    for story in STORIES:
        world.story(story)
