"""--long: members killed at random for hundreds of rounds, and power loss on all of them."""

import random
import shutil
import time

from harness.cluster import Cluster
from harness.load import Load
from harness.wait import until
from history import History, judged
from recording import Recording
from replay import Disk

ROUNDS_TO_A_CHECK = 10
POWER_LOSSES = 20
LYING_WINDOW = 400  # records: about the last hundred syncs


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


class Lives:
    """A cluster whose power goes, again and again: each life begins with what the last power loss left."""

    def __init__(self, world, cluster, base, recorder):
        self.seed, self.cluster, self.base, self.recorder = world.seed, cluster, base, recorder
        self.number = -1
        self.left = {}  # name -> the folder that the last power loss left

    def _folder(self, server):
        return self.base / f"{self.number}-{server.name}"

    def launch(self):
        self.number += 1
        for server in self.cluster:
            folder = self._folder(server)
            disk = folder / "disk"
            if server.name in self.left:
                shutil.copytree(self.left[server.name], disk)
            else:
                disk.mkdir(parents=True)
            server.data_dir = disk / "data"
            server.wrapper = ["/usr/bin/env", f"LD_PRELOAD={self.recorder}", f"POWERLOSS_DIR={disk}",
                              f"POWERLOSS_LOG={folder / 'log.bin'}"]
            server.launch()

    def await_recorders(self):
        until(lambda: all((self._folder(s) / "log.bin").exists() and (self._folder(s) / "log.bin").stat().st_size
                          for s in self.cluster), 60, "each has written something")

    def lose_power(self, mode, lying=0, style=None):
        """All at once; then each disk keeps what a power loss may leave of it. lying: the last syncs did nothing."""
        self.cluster.kill()
        for server in self.cluster:
            folder, before = self._folder(server), self.left.get(server.name)
            recording = Recording(folder / "log.bin")
            disk = Disk(recording, len(recording.records), lying, base=before)
            disk.power_loss(f"{self.seed}.{self.number}.{server.name}", mode, folder / "left", style)
            if before:
                shutil.rmtree(before.parent)
            self.left[server.name] = folder / "left"


def power_goes_on_all_members(world):
    """Nothing acknowledged is lost, also when the power goes again while all start. Then the test checks itself."""
    recorder = world.build / "tests/libpowerloss.so"
    if world.is_etcd:
        return world.report.skip("power loss on all members", "the recorder follows libc's calls, and etcd makes none")
    if not recorder.exists():
        return world.report.skip("power loss on all members", f"{recorder.name} is not built")
    report, pick, base = world.report, random.Random(world.seed), world.folder("power")
    with Cluster(world.binary, base, storages=("wiredtiger", "memory", "wiredtiger")) as cluster:
        lives = Lives(world, cluster, base, recorder)
        load = None
        again = 0
        for number in range(POWER_LOSSES + 1):
            mode = ("ordered", "strict")[number % 2]
            if number % 3 == 2:
                lives.launch()
                lives.await_recorders()
                time.sleep(pick.uniform(0, 1.5))  # not a wait: when the power goes is the fault's own randomness
                lives.lose_power(mode)
                again += 1
            lives.launch()
            cluster.start()
            if load:
                name = f"power loss {number}, seed {world.seed}"
                with cluster.leader().client(timeout=60) as client:
                    missing = load.missing(client)
                report.check(f"{name}: all acknowledged is there", not missing, "\n".join(missing[:10]))
                hashes = cluster.hashes(cluster.level())
                report.check(f"{name}: one hash", len(set(hashes.values())) == 1, str(hashes))
            lies = number == POWER_LOSSES
            with Load(cluster, name=f"p/{number}") as load:
                load.await_more(LYING_WINDOW if lies else pick.randrange(50, 600))
                cluster.kill()
                load.end(hurry=True)
            if lies:
                lives.lose_power("ordered", LYING_WINDOW, "none")
            else:
                lives.lose_power(mode)
        lives.launch()
        cluster.start()
        with cluster.leader().client(timeout=60) as client:
            report.check("disks that lie about syncs are found out", load.missing(client))
    report.note(f"{POWER_LOSSES} power losses on three members, {again} more while they started")


STORIES = [members_are_killed_at_random, power_goes_on_all_members]


def run(world):
    for story in STORIES:
        world.story(story)
