"""--long: members killed at random for hundreds of rounds, and power loss on all of them."""

import random
import shutil

from harness.cluster import Cluster
from harness.load import Load
from history import History, judged

ROUNDS_TO_A_CHECK = 10
POWER_LOSSES = 20


def kills(world, storages):
    pick = random.Random(world.seed)
    report = world.report
    label = "+".join(s or "default" for s in storages)
    killed = acknowledged = 0
    with Cluster(world.binary, world.folder(f"kills-{label}"), storages=storages) as cluster:
        cluster.start()
        for part in range(0, world.rounds, ROUNDS_TO_A_CHECK):
            since = cluster.level()
            with Load(cluster, name=f"k/{part}") as load, History(cluster, f"h/{part}") as history:
                for _ in range(ROUNDS_TO_A_CHECK):
                    load.await_more(pick.randrange(1, 200))
                    victims = pick.sample(list(cluster), pick.choice((1, 1, 1, 2, 3)))
                    for victim in victims:
                        victim.process.kill()
                    for victim in victims:
                        victim.kill()
                    if len(victims) == 1:
                        load.await_more(pick.randrange(1, 100))
                    for victim in victims:
                        victim.launch()
                    for victim in victims:
                        victim.await_ready()
                    killed += len(victims)
                load.await_more()
                load.end()
                history.end()
                report.check(f"{label}, rounds {part}...: no error", not load.errors, str(load.errors[:3]))
                revision = cluster.level()
                with pick.choice(list(cluster)).client(timeout=60) as client:
                    judged(report, f"{label}, rounds {part}...", history, client, since, spoil=part == 0)
                    missing = load.missing(client)
                    report.check(f"{label}, rounds {part}...: all acknowledged is there", not missing,
                                 "\n".join(missing[:10]))
                    hashes = cluster.hashes(revision)
                    report.check(f"{label}, rounds {part}...: one hash", len(set(hashes.values())) == 1, str(hashes))
                    acknowledged += load.count()
                    client.delete(b"k/", range_end=b"k0")
                    client.compact(revision, physical=pick.random() < 0.5)
    report.note(f"{label}: {killed} kills in {world.rounds} rounds, {acknowledged} puts acknowledged")


def members_are_killed_at_random(world):
    for storages in ((None,),) if world.is_etcd else (("wiredtiger",), ("memory", "wiredtiger")):
        kills(world, storages)


def power_goes_on_all_members(world):
    """All at once lose what they did not sync, again and again: each round goes on with what the last one left."""
    if world.is_etcd:
        return world.report.skip("power loss on all members", "the recorder follows libc's calls, and etcd makes none")
    from recording import Recording
    from replay import Disk

    recorder = world.build / "tests/libpowerloss.so"
    if not recorder.exists():
        return world.report.skip("power loss on all members", f"{recorder.name} is not built")
    report, pick, base = world.report, random.Random(world.seed), world.folder("power")
    cluster = Cluster(world.binary, base, storages=("wiredtiger", "memory", "wiredtiger"))
    left = {}  # name -> the folder that the last power loss left
    with cluster:
        for number in range(POWER_LOSSES):
            for server in cluster:
                folder = base / f"{number}-{server.name}"
                disk = folder / "disk"
                if server.name in left:
                    shutil.copytree(left[server.name], disk)
                else:
                    disk.mkdir(parents=True)
                server.data_dir = disk / "data"
                server.wrapper = ["/usr/bin/env", f"LD_PRELOAD={recorder}", f"POWERLOSS_DIR={disk}",
                                  f"POWERLOSS_LOG={folder / 'log.bin'}"]
            cluster.start()
            if number:
                with cluster.leader().client(timeout=60) as client:
                    missing = load.missing(client)
                hashes = cluster.hashes(cluster.level())
                report.check(f"power loss {number}, seed {world.seed}, {mode}: all acknowledged is there", not missing,
                             "\n".join(missing[:10]))
                report.check(f"power loss {number}: one hash", len(set(hashes.values())) == 1, str(hashes))
            with Load(cluster, name=f"p/{number}") as load:
                load.await_more(pick.randrange(50, 600))
                cluster.kill()
                load.end(hurry=True)
            mode = ("ordered", "strict")[number % 2]
            for server in cluster:
                folder = base / f"{number}-{server.name}"
                recording = Recording(folder / "log.bin")
                disk = Disk(recording, len(recording.records), base=left.get(server.name))
                disk.power_loss(f"{world.seed}.{number}.{server.name}", mode, folder / "left")
                if server.name in left:
                    shutil.rmtree(left[server.name].parent)
                left[server.name] = folder / "left"


STORIES = [members_are_killed_at_random, power_goes_on_all_members]


def run(world):
    for story in STORIES:
        world.story(story)
