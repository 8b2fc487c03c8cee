"""The cases of three members, all on this machine: CPU is the sum of all three."""
import json
import os
import re
import subprocess
import sys
import time

from servers import Failure

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(os.path.join(ROOT, "tests/support/py"))

from harness import cluster as processes
from harness.load import Load

HUNDRED = ["--clients", "100", "--connections", "12"]
SPACE = ["--key-space", "10000000"]
ELECTION_SECONDS = 1.0  # both sides' default
STATE_RATE = "32MiB"  # a second; etcd has no such limit
# So that a member that was away needs the state, not the log.
SHORT_LOG = {"snapshot-count": "1000", "snapshot-catchup-entries": "1000"}


class Cluster:
    """Three members of one kind on fresh directories. Use with `with`."""

    def __init__(self, kind, folder, load, flags=None):
        modules = {}
        for role, yaml in re.findall(r"^  (\w+): (.*)$", kind.modules or "", re.M):
            modules[role] = yaml
        self.kind, self.load = kind, load
        self.processes = processes.Cluster(kind.binary, os.path.join(folder, kind.name), flags=flags, modules=modules)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.processes.kill()

    def start(self):
        self.processes.start()
        self.processes.leader()

    def cpu_seconds(self):
        return sum(server.cpu_seconds() for server in self.processes)

    def run(self, operation, *options, servers=None, seconds=None):
        """tenon-load's result, with `cluster_cpu_us`: of all members per request, warm-up apart."""
        endpoints = ",".join(server.address for server in servers or self.processes)

        def once(*more):
            command = [self.load, operation, "--endpoints", endpoints, "--json", "--warmup", "0s", *options, *more]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if done.returncode != 0:
                raise Failure(f"{' '.join(command)}\n{done.stderr.strip()}\n{self.processes.log_tails()}")
            return json.loads(done.stdout)

        if seconds is None:
            return once()
        once("--duration", seconds[0])
        before = self.cpu_seconds()
        result = once("--duration", seconds[1])
        result["cluster_cpu_us"] = (self.cpu_seconds() - before) * 1e6 / result["requests"]
        return result


def figures_of(load):
    return {"CPU of all members": load["cluster_cpu_us"], "throughput": load["rate"], "p50": load["p50_us"] / 1000,
            "p99": load["p99_us"] / 1000, "generator's own CPU": load["own_cpu_us"]}


def put_100(cluster, options):
    cluster.start()
    return figures_of(cluster.run("put", *HUNDRED, *SPACE, seconds=(options.seconds(2), options.seconds(8))))


def put_1(cluster, options):
    cluster.start()
    leader = [cluster.processes.leader()]
    return figures_of(cluster.run("put", *SPACE, servers=leader, seconds=(options.seconds(1), options.seconds(5))))


def range_follower(cluster, options):
    cluster.start()
    space = ["--key-space", "100000"]
    cluster.run("put", *HUNDRED, *space, "--order", "sequential", "--total", "100000")
    cluster.processes.level()
    follower = cluster.processes.followers()[:1]
    return figures_of(cluster.run("range", *HUNDRED, *space, servers=follower,
                                  seconds=(options.seconds(2), options.seconds(6))))


def failover(cluster, options):
    """The leader is killed, again and again; then it ends on SIGTERM, under puts."""
    cluster.start()
    took, gaps = [], []
    rounds = 5 if options.quick else options.rounds
    for _ in range(rounds):
        leader = cluster.processes.leader()
        leader.kill()
        took.append(processes.first_write_after(cluster.processes.alive()))
        leader.start()
    for number in range((rounds + 1) // 2):
        with Load(cluster.processes, name=f"g/{number}") as load:
            load.await_more()
            leader = cluster.processes.leader()
            began = time.monotonic()
            leader.stop()
            load.await_more(200)
            gaps.append(load.longest_gap(began))
        leader.start()
    took.sort()
    gaps.sort()
    return {"killed, median": took[len(took) // 2] / ELECTION_SECONDS, "killed, worst": took[-1] / ELECTION_SECONDS,
            "planned, median": gaps[len(gaps) // 2] * 1000, "planned, worst": gaps[-1] * 1000}


def catch_up(cluster, options):
    """A follower that was away gets the state while the leader serves puts at a fixed rate."""
    mebibytes = 64 if options.quick else 1024
    cluster.start()
    leader, away = cluster.processes.leader(), cluster.processes.followers()[0]
    beside = ["put", "--clients", "20", "--connections", "4", "--rate", "300", *SPACE, "--prefix", "beside/",
              "--key-size", "20"]
    away.kill()
    cluster.run("put", "--clients", "8", "--connections", "4", "--prefix", "big/", "--key-size", "20", "--value-size",
                "64KiB", "--key-space", str(mebibytes * 16), "--order", "sequential", "--total", str(mebibytes * 16),
                servers=[leader])
    os.sync()  # else what was just written is on its way to the disk meanwhile
    cluster.run(*beside, "--duration", options.seconds(8), servers=[leader])  # and so is what the servers still persist
    calm = cluster.run(*beside, "--duration", options.seconds(10), servers=[leader])
    if cluster.kind.name == "tenon":
        away.flags["tenon-state-fetch-rate"] = STATE_RATE
    began = time.monotonic()
    away.launch()
    busy = cluster.run(*beside, "--duration", options.seconds(10), servers=[leader])
    cluster.processes.level(600)
    return {"put p99 beside / alone": busy["p99_us"] / calm["p99_us"], "put p99 alone": calm["p99_us"] / 1000,
            "put p99 beside": busy["p99_us"] / 1000, "caught up after": time.monotonic() - began}


def cases(Case, Figure):
    """The lines of cases.py for these: the case and its figures, with issue 6's goals."""

    def load_figures(cpu=None, rate=None, p50=None):
        return [Figure("CPU of all members", "us/op", cpu), Figure("throughput", "/s", rate, at_most=False),
                Figure("p50", "ms", p50), Figure("p99", "ms"), Figure("generator's own CPU", "us/op")]

    return {
        "cluster-put-100": Case("three members: put by 100 clients on 12 connections to all", put_100,
                                load_figures(0.35, 2.5), cluster={}),
        "cluster-put-1": Case("three members: put by 1 client at the leader", put_1, load_figures(p50=0.7), cluster={}),
        "cluster-range": Case("three members: linearizable range at a follower, 100 clients on 12 connections",
                              range_follower, load_figures(0.4), cluster={}),
        "cluster-failover": Case("three members: the leader killed (in election timeouts), and ended by SIGTERM",
                                 failover, [
            Figure("killed, median", "T", 1.5, absolute=True), Figure("killed, worst", "T", 2.2, absolute=True),
            Figure("planned, median", "ms", 50, absolute=True), Figure("planned, worst", "ms")], cluster={}),
        "cluster-catch-up": Case("three members: a follower gets 1 GiB (64 MiB with --quick; Tenon's at 32 MiB a "
                                 "second) beside 300 puts/s", catch_up, [
            Figure("put p99 beside / alone", "x", 1.5, absolute=True), Figure("put p99 alone", "ms"),
            Figure("put p99 beside", "ms"), Figure("caught up after", "s")], cluster=SHORT_LOG),
    }
