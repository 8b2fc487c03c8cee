"""--long, as root: members in network namespaces of their own, whose links are cut, in both directions or in one.

Everything is inside a network namespace of this test's own, which goes with its last process: run.py starts itself
again in one. A link is cut by a route that swallows what a member sends to another one; clients reach all members.
"""

import os
import random
import subprocess
import sys
import time

from failures import settle
from harness.cluster import Cluster, first_write_after
from harness.load import Load

INSIDE = "TENON_TEST_NAMESPACE"


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class Network:
    """Three namespaces on a bridge; members are numbered by their names' order. Use with `with`."""

    def __init__(self, names):
        self.hosts = {name: f"10.77.0.{number + 1}" for number, name in enumerate(names)}
        self.spaces = {name: f"tenon-{os.getpid()}-{name}" for name in names}

    def __enter__(self):
        ip("link", "set", "lo", "up")
        ip("link", "add", "name", "bridge0", "type", "bridge")
        ip("addr", "add", "10.77.0.254/24", "dev", "bridge0")
        ip("link", "set", "bridge0", "up")
        for name, space in self.spaces.items():
            ip("netns", "add", space)
            ip("link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", f"to-{name}", "master", "bridge0", "up")
            ip("-n", space, "addr", "add", f"{self.hosts[name]}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")
        return self

    def __exit__(self, *unused):
        for space in self.spaces.values():
            subprocess.run(["ip", "netns", "del", space], capture_output=True)

    def wrapper(self, name):
        return ["ip", "netns", "exec", self.spaces[name]]

    def cut(self, sender, receiver):
        """Nothing that `sender` sends reaches `receiver` any more."""
        ip("-n", self.spaces[sender.name], "route", "replace", "blackhole", f"{self.hosts[receiver.name]}/32")

    def heal(self):
        for space in self.spaces.values():
            for host in self.hosts.values():
                subprocess.run(["ip", "-n", space, "route", "del", "blackhole", f"{host}/32"], capture_output=True)


def cluster_on(network, world, name):
    cluster = Cluster(world.binary, world.folder(name), wrapper=network.wrapper)
    for server in cluster:
        server.host = network.hosts[server.name]
    cluster.tell_all()
    return cluster


def a_leader_that_is_cut_off(world, network):
    """It leads no longer, and reads at it are not stale; the others go on; healed, it follows."""
    report = world.report
    with cluster_on(network, world, "cut") as cluster:
        cluster.start()
        for direction in ("both ways", "its sending", "its hearing"):
            old = cluster.leader()
            others = [s for s in cluster if s is not old]
            with Load(cluster, name=direction.replace(" ", "-")) as load:
                load.await_more()
                for other in others:
                    if direction != "its hearing":
                        network.cut(old, other)
                    if direction != "its sending":
                        network.cut(other, old)
                took = first_write_after(others)
                report.note(f"the leader cut off, {direction}: {took:.2f} s to the first write")
                new = cluster.leader(among=others)
                report.check(f"{direction}: another one leads", new is not old)
                with new.client() as client, old.client(timeout=2) as at_old:
                    client.put(b"cut", direction.encode())
                    read = at_old.range(b"cut")
                    report.check(f"{direction}: no stale read at the old leader",
                                 not read.ok or read.message.kvs[0].value == direction.encode(), str(read))
                network.heal()
                load.await_more()
                settle(world, cluster, load, f"the leader cut off, {direction}")


def one_link_between_followers_or_to_the_leader(world, network):
    """A member that hears one of two others disturbs nobody for long (pre-vote, check-quorum)."""
    report, pick = world.report, random.Random(world.seed)
    with cluster_on(network, world, "links") as cluster:
        cluster.start()
        for number in range(30):
            sender, receiver = pick.sample(list(cluster), 2)
            both = pick.random() < 0.3
            with Load(cluster, name=f"link/{number}") as load:
                load.await_more()
                network.cut(sender, receiver)
                if both:
                    network.cut(receiver, sender)
                began = time.monotonic()
                load.await_more(pick.randrange(100, 1500))
                gap = load.longest_gap(began)
                network.heal()
                load.await_more()
                report.check(f"link {sender.name} -> {receiver.name}{' and back' if both else ''}: service goes on",
                             gap < 20, f"{gap:.1f} s without an answer, seed {world.seed}")
                settle(world, cluster, load, f"link {number}")


STORIES = [a_leader_that_is_cut_off, one_link_between_followers_or_to_the_leader]


def may_not():
    """Why this machine cannot; None if it can."""
    if os.geteuid() != 0:
        return "network namespaces want root"
    tried = subprocess.run(["unshare", "--net", "ip", "link", "add", "name", "bridge0", "type", "bridge"],
                           capture_output=True, text=True)
    return f"no namespace with a bridge: {tried.stderr.strip()}" if tried.returncode else None


def run(world):
    if os.environ.get(INSIDE):
        with Network("abc") as network:
            for story in STORIES:
                world.story(story, network)
        return
    reason = may_not()
    if reason:
        return world.report.skip("cut and one-way links", reason)
    again = ["unshare", "--net", sys.executable, sys.argv[0], "--tenon", world.binary, "--long", "--seed",
             str(world.seed), "--only", world.only or "links"]
    inside = subprocess.run(again, env={**os.environ, INSIDE: "1"}, capture_output=True, text=True)
    for line in inside.stdout.splitlines():
        print(line, flush=True)
    world.report.check("cut and one-way links", inside.returncode == 0, inside.stdout[-300:] + inside.stderr[-2000:])
