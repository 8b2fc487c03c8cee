"""The cases: what is done to one server, and which figures must come out how."""
import json
import re
import socket
import subprocess
import threading
import time

import cluster
from servers import Failure, PeakMemory, count_syncs, find_peer

HUNDRED = ["--clients", "100", "--connections", "10"]
LOADED = ["--key-space", "100000", "--key-size", "8", "--value-size", "256"]
BIG_LIST = ["--prefix", "list/", "--key-size", "32", "--value-size", "1KiB", "--key-space", "10000"]
MILLION = ["--key-size", "64", "--value-size", "256", "--order", "sequential"]


class Figure:
    """One line of the table.

    goal: for the ratio tenon/etcd (with `at_most` False: at least), or, when absolute, for Tenon's own figure.
    h2: the goal for transport-h2, where it is another one.
    """

    def __init__(self, name, unit, goal=None, at_most=True, absolute=False, h2=None):
        self.name, self.unit, self.at_most, self.absolute = name, unit, at_most, absolute
        self.goals = {"grpc": goal, "h2": goal if h2 is None else h2}
        self.goal = goal

    def aim_for(self, transport):
        self.goal = self.goals[transport]

    def met(self, tenon, ratio):
        value = tenon if self.absolute else ratio
        if self.goal is None or value is None:
            return None
        return value <= self.goal if self.at_most else value >= self.goal


def throughput_figures(cpu, rate=None, p99=None, switches=None, h2=()):
    """What a case with 100 clients yields, with these goals; h2: those of transport-h2 for CPU, throughput and p99."""
    h2_cpu, h2_rate, h2_p99 = (*h2, None, None, None)[:3]
    return [Figure("server CPU", "us/op", cpu, h2=h2_cpu), Figure("throughput", "/s", rate, at_most=False, h2=h2_rate),
            Figure("p50", "ms"), Figure("p99", "ms", p99, h2=h2_p99),
            Figure("context switches", "/op", switches, absolute=True), Figure("generator's own CPU", "us/op")]


def figures_of(load):
    return {"server CPU": load["server"]["cpu_us"], "throughput": load["rate"], "p50": load["p50_us"] / 1000,
            "p99": load["p99_us"] / 1000, "context switches": load["server"]["switches"],
            "generator's own CPU": load["own_cpu_us"]}


def many_idle(server, count):
    """Bytes of RSS for each of `count` connections that said hello and nothing more."""
    before = server.memory("VmRSS")
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\x00" + bytes(4)  # preface, empty SETTINGS
    open_ones = []
    try:
        for _ in range(count):
            open_ones.append(socket.create_connection(("127.0.0.1", server.port)))
            open_ones[-1].sendall(hello)
        for one in open_ones:
            one.recv(1)  # the server's SETTINGS: it has made its session
        return (server.memory("VmRSS") - before) / count
    finally:
        for one in open_ones:
            one.close()


def idle(server, options):
    server.start()
    rss, anonymous = server.memory("VmRSS") / 1e6, server.memory("RssAnon") / 1e6
    connection = many_idle(server, 400 if options.quick else 2000)
    load = server.run("empty", *HUNDRED, "--duration", options.seconds(4))
    alone = server.run("empty", "--duration", options.seconds(2))
    return {"RSS": rss, "RssAnon": anonymous, "an idle connection": connection, "empty call, server CPU": load["server"]["cpu_us"], "empty call, throughput": load["rate"],
            "empty call, 1 client p50": alone["p50_us"] / 1000}


def put_100(server, options):
    server.start()
    load = server.run("put", *HUNDRED, "--key-space", "10000000", "--warmup", options.seconds(2), "--duration",
                      options.seconds(8))
    return figures_of(load)


def put_1(server, options):
    server.start()
    load = server.run("put", "--key-space", "10000000", "--warmup", options.seconds(1), "--duration",
                      options.seconds(5))
    return figures_of(load)


def ranges(*extra):
    def case(server, options):
        server.start()
        server.run("put", *HUNDRED, *LOADED, "--order", "sequential", "--total", "100000", "--warmup", "0s")
        load = server.run("range", *HUNDRED, *LOADED, *extra, "--warmup", options.seconds(2), "--duration",
                          options.seconds(6))
        return figures_of(load)
    return case


def range_10k(server, options):
    server.start()
    server.run("put", *HUNDRED, *BIG_LIST, "--order", "sequential", "--total", "10000", "--warmup", "0s")
    server.stop()
    server.start(BIG_LIST)
    ask = ["list", *BIG_LIST, "--limit", "10000", "--total", "1", "--warmup", "0s"]
    first = server.run(*ask)
    with PeakMemory(server.pid) as memory:
        second = server.run(*ask)
    answer = second["bytes_read"]
    return {"first request": first["p50_us"] / 1000, "second request": second["p50_us"] / 1000,
            "answer": answer / 1e6, "RssAnon peak": memory.peak / 1e6, "RssAnon peak / answer": memory.peak / answer,
            "RssAnon increase / answer": (memory.peak - memory.idle) / answer,
            "VmHWM": server.memory("VmHWM") / 1e6}


def go_put(server, options):
    """etcd's own load tool, which needs some 24 us of the same cores for each request."""
    tool = find_peer("benchmark")
    if not tool:
        raise Failure("etcd's `benchmark` is not in $TENON_PEER or on PATH")
    server.start()
    total = 20_000 if options.quick else 200_000
    out = subprocess.run([tool, "put", "--endpoints", server.endpoint, "--clients", "100", "--conns", "10",
                          "--key-space-size", "10000000", "--val-size", "256", "--total", str(total)],
                         capture_output=True, text=True, timeout=300)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", out.stdout)
    if out.returncode != 0 or not rate or "Error distribution" in out.stdout:
        raise Failure(f"benchmark put: {out.stdout[-500:]}{out.stderr[-500:]}")
    return {"throughput": float(rate.group(1))}


def lists(operation, keys):
    """`keys` x 1 KiB from a restarted process: the speed of several answers, the memory during one."""
    shape = ["--prefix", "list/", "--key-size", "32", "--value-size", "1KiB", "--key-space", str(keys)]

    def case(server, options):
        server.start()
        server.run("put", *HUNDRED, *shape, "--order", "sequential", "--total", str(keys), "--warmup", "0s")
        server.stop()
        server.start(shape)
        ask = [operation, *shape, "--warmup", "0s", "--total"]
        server.run(*ask, "1")
        with PeakMemory(server.pid) as memory:
            one = server.run(*ask, "1")
        load = server.run(*ask, str(max(3, 100_000 // keys)))
        answer = one["bytes_read"]
        return {"speed": load["bytes_read"] / load["seconds"] / 1e6, "answer": answer / 1e6,
                "RssAnon increase": (memory.peak - memory.idle) / 2**20,
                "RssAnon peak / answer": memory.peak / answer,
                "RssAnon increase / answer": (memory.peak - memory.idle) / answer}
    return case


def mebibyte(operation):
    def case(server, options):
        server.start()
        shape = ["--key-space", "64", "--value-size", "1MiB", "--clients", "4", "--connections", "4"]
        server.run("put", *shape, "--order", "sequential", "--total", "64", "--warmup", "0s")
        total = "100" if options.quick else "400"
        load = server.run(operation, *shape, "--total", total, "--warmup", "0s")
        return {"server CPU": load["server"]["cpu_us"], "speed": load["rate"] * 1.048576, "p99": load["p99_us"] / 1000}
    return case


def ten_thousand(server, options):
    """The same puts by 100 and by 10,000 clients. etcd refuses some of so many: errors count, and do not end the run."""
    server.start()
    shape = ["put", "--key-space", "10000000", "--warmup", options.seconds(2), "--duration", options.seconds(6)]
    few = server.run(*shape, *HUNDRED)
    many = server.run(*shape, "--clients", "10000", "--connections", "100", "--allow-errors")
    return {"throughput": many["rate"], "of 100 clients'": many["rate"] / few["rate"], "p99": many["p99_us"] / 1000,
            "errors": sum(many["errors"].values())}


def keys_1m(server, options):
    keys = options.keys_1m
    space = ["--key-space", str(keys), *MILLION]
    server.start()
    load = server.run("put", "--clients", "500", "--connections", "10", *space, "--total", str(keys), "--warmup", "0s")
    figures = {"load": load["seconds"], "RssAnon loaded": server.memory("RssAnon") / 1e6,
               "RSS loaded": server.memory("VmRSS") / 1e6}
    figures["stop"] = server.stop()
    figures["restart to first answer"] = server.start(space)
    figures["RssAnon restarted"] = server.memory("RssAnon") / 1e6
    figures["RSS restarted"] = server.memory("VmRSS") / 1e6
    return figures


def syncs(server, options):
    server.start()
    return {"1 client": count_syncs(server, 1, 1, 2000), "100 clients": count_syncs(server, 100, 10, 20000)}


def watch(*shape):
    """Events of one key at full speed, then at the same 20 puts a second on both sides."""
    def case(server, options):
        server.start()
        full = server.watch(*shape, "--warmup", options.seconds(1), "--duration", options.seconds(6))
        calm = server.watch(*shape, "--rate", "20", "--warmup", options.seconds(1), "--duration", options.seconds(5))
        return {"server CPU": full["server_cpu_us"], "events": full["rate"],
                "server CPU at 20 puts/s": calm["server_cpu_us"], "p99 at 20 puts/s": calm["p99_us"] / 1000,
                "memory": full["rss_anon_per_watcher"], "generator's own CPU": full["own_cpu_us"]}
    return case


def watch_others(server, options):
    """Puts, without watchers and beside many whose keys nobody touches."""
    put = ["put", *HUNDRED, "--key-space", "10000000", "--warmup", options.seconds(1), "--duration", options.seconds(5)]
    server.start()
    alone = server.run(*put)
    with server.hold_watches("--other-keys", "--streams", "100", "--connections", "10", "--watchers", "1000") as held:
        beside = server.run(*put)
    return {"CPU beside / alone": beside["server"]["cpu_us"] / alone["server"]["cpu_us"],
            "memory": held["rss_anon_per_watcher"]}


def watch_streams(server, options):
    server.start()
    with server.hold_watches("--other-keys", "--streams", "10000", "--connections", "100", "--watchers", "1") as held:
        return {"memory": held["rss_anon_per_watcher"]}


def lease(server, options):
    """Grants by 100 clients, then renewals on 100 streams."""
    server.start()
    grant = server.lease("grant", "--total", "20000" if options.quick else "100000")
    server.stop()
    server.start()
    alive = server.lease("keepalive", "--total", "100000" if options.quick else "500000")
    return {"keepalive, server CPU": alive["server_cpu_us"], "keepalive per CPU second": 1e6 / alive["server_cpu_us"],
            "keepalive": alive["rate"], "grant": grant["rate"], "grant, server CPU": grant["server_cpu_us"],
            "generator's own CPU": alive["own_cpu_us"]}


def lease_end(server, options):
    """Leases with a key each that end in the same second."""
    server.start()
    count = 20_000 if options.quick else 100_000
    end = server.lease("expire", "--total", str(count), "--lead", "30" if options.quick else "60")
    return {"last key gone after": end["late_s"], "server CPU": end["server_cpu_us"]}


def compaction(server, options):
    """A steady load of puts, alone and while history of ten changes a key is removed. The longest one waited behind it."""
    keys = options.keys_1m // 10
    tool = find_peer("etcdctl")
    if not tool:
        raise Failure("etcdctl is not in $TENON_PEER or on PATH")

    def etcdctl(*command):
        out = subprocess.run([tool, "--endpoints", server.endpoint, "--command-timeout", "120s", *command],
                             capture_output=True, text=True, timeout=300)
        if out.returncode != 0:
            raise Failure(f"etcdctl {' '.join(command)}: {out.stderr[-500:]}")
        return out.stdout

    server.start()
    server.run("put", *HUNDRED, "--prefix", "old/", "--key-space", str(keys), "--key-size", "16", "--value-size", "64",
               "--order", "sequential", "--total", str(10 * keys), "--warmup", "0s")
    load = ["put", "--prefix", "new/", "--key-space", "1000", "--value-size", "64", "--clients", "10", "--rate", "300",
            "--duration", options.seconds(20)]
    alone = server.run(*load)
    revision = json.loads(etcdctl("get", "new/", "-w", "json"))["header"]["revision"]
    took = []

    def compact():
        began = time.monotonic()
        etcdctl("compaction", "--physical", str(revision))
        took.append(time.monotonic() - began)

    thread = threading.Thread(target=compact)
    timer = threading.Timer(2, thread.start)  # behind the warm-up
    timer.start()
    during = server.run(*load)
    timer.join()
    thread.join()
    if not took:
        raise Failure("the compaction failed")
    return {"longest put": during["max_us"] / 1000, "longest put without": alone["max_us"] / 1000,
            "p99": during["p99_us"] / 1000, "p99 without": alone["p99_us"] / 1000, "compaction": took[0]}


class Case:
    """cluster: not None, of three members, with these flags: `run` gets a cluster.Cluster."""

    def __init__(self, what, run, figures, once=False, cluster=None):
        self.what, self.run, self.figures, self.once, self.cluster = what, run, figures, once, cluster


CASES = {
    "idle": Case("started, empty; then grpc.health.v1.Health/Check, 100 clients on 10 connections and 1 client", idle, [
        Figure("RSS", "MB", h2=0.5), Figure("RssAnon", "MB"),
        Figure("an idle connection", "B", h2=6000, absolute=True), Figure("empty call, server CPU", "us/op"),
        Figure("empty call, throughput", "/s"), Figure("empty call, 1 client p50", "ms")]),
    "put-100": Case("put of 8 B keys and 256 B values, 100 clients on 10 connections", put_100,
                    throughput_figures(0.5, 1.8, 0.6, 1.0, h2=(0.25, 4, 0.35))),
    "put-1": Case("the same puts, 1 client", put_1, [
        Figure("p50", "ms", 0.7, h2=0.5), Figure("p99", "ms"), Figure("throughput", "/s"),
        Figure("server CPU", "us/op"),
        Figure("context switches", "/op"), Figure("generator's own CPU", "us/op")]),
    "range-lin": Case("linearizable range of one key of 100,000, 100 clients on 10 connections", ranges(),
                      throughput_figures(0.75, h2=(0.25,))),
    "range-ser": Case("the same, serializable", ranges("--serializable"),
                      throughput_figures(0.8, h2=(0.2,))),
    "range-10k": Case("range of 10,000 keys x 1 KiB from a restarted process", range_10k, [
        Figure("second request", "ms", 0.4), Figure("first request", "ms"), Figure("answer", "MB"),
        Figure("RssAnon peak", "MB"), Figure("RssAnon peak / answer", "x", 1.5, absolute=True),
        Figure("RssAnon increase / answer", "x"), Figure("VmHWM", "MB")]),
    "go-put": Case("puts of 256 B by etcd's `benchmark`, 100 clients on 10 connections", go_put, [
        Figure("throughput", "/s", at_most=False, h2=2)]),
    **{f"{operation}-{size // 1000}k": Case(f"{operation} of {size:,} keys x 1 KiB, one client", lists(operation, size), [
        Figure("speed", "MB/s", at_most=False, h2=4), Figure("answer", "MB"),
        Figure("RssAnon increase", "MiB", absolute=True, h2=16 if operation == "stream" else None),
        Figure("RssAnon peak / answer", "x", absolute=True, h2=1.5 if operation == "list" else None),
        Figure("RssAnon increase / answer", "x")])
       for operation in ("list", "stream") for size in (10_000, 100_000)},
    **{f"{operation}-1mib": Case(f"{operation} of 1 MiB values, 4 clients", mebibyte(operation), [
        Figure("server CPU", "us/op", h2=0.6), Figure("speed", "MB/s", at_most=False), Figure("p99", "ms")])
       for operation in ("put", "range")},
    "put-10000": Case("puts by 10,000 clients on 100 connections, beside 100 clients", ten_thousand, [
        Figure("throughput", "/s", at_most=False), Figure("of 100 clients'", "x", 0.8, at_most=False, absolute=True),
        Figure("p99", "ms"), Figure("errors", "", 0, absolute=True)]),
    "watch-1000": Case("a key's events to 1,000 streams on 100 connections", watch("--streams", "1000", "--connections", "100"), [
        Figure("server CPU", "us/event", h2=0.35), Figure("events", "/s", at_most=False, h2=2),
        Figure("server CPU at 20 puts/s", "us/event"), Figure("p99 at 20 puts/s", "ms", h2=0.5),
        Figure("memory", "B/stream"), Figure("generator's own CPU", "us/event")]),
    "watch-10000": Case("a key's events to 10,000 watchers on 100 streams",
                        watch("--streams", "100", "--connections", "100", "--watchers", "100"), [
        Figure("server CPU", "us/event", h2=0.5), Figure("events", "/s", at_most=False),
        Figure("server CPU at 20 puts/s", "us/event"), Figure("p99 at 20 puts/s", "ms"),
        Figure("memory", "B/watcher", h2=0.4), Figure("generator's own CPU", "us/event")]),
    "watch-others": Case("put by 100 clients beside 100,000 watchers on other keys", watch_others, [
        Figure("CPU beside / alone", "x", absolute=True, h2=1.1), Figure("memory", "B/watcher", h2=0.4)]),
    "watch-streams": Case("10,000 open streams on 100 connections, one watcher each", watch_streams, [
        Figure("memory", "B/stream", absolute=True, h2=3072)]),
    "lease": Case("leases: granted by 100 clients; kept alive on 100 streams, 10 connections", lease, [
        Figure("keepalive per CPU second", "/s", at_most=False, h2=3), Figure("grant", "/s", at_most=False, h2=2),
        Figure("keepalive", "/s", at_most=False), Figure("keepalive, server CPU", "us/op"),
        Figure("grant, server CPU", "us/op"), Figure("generator's own CPU", "us/op")]),
    "lease-end": Case("100,000 leases with one key each that end together", lease_end, [
        Figure("last key gone after", "s", absolute=True, h2=5), Figure("server CPU", "us/lease")]),
    "compaction": Case("300 puts a second while a compaction removes 900,000 of 1,000,000 revisions", compaction, [
        Figure("longest put", "ms", 20, absolute=True, h2=20), Figure("longest put without", "ms"), Figure("p99", "ms"),
        Figure("p99 without", "ms"), Figure("compaction", "s")]),
    "keys-1m": Case("1,000,000 keys of 64 + 256 B: put, SIGTERM, start again", keys_1m, [
        Figure("RssAnon loaded", "MB", 0.6), Figure("RSS loaded", "MB"),
        Figure("restart to first answer", "s", 0.3), Figure("RssAnon restarted", "MB", 0.6),
        Figure("RSS restarted", "MB"), Figure("load", "s"), Figure("stop", "s")]),
    "syncs": Case("fdatasync and fsync per 1,000 puts, counted with strace", syncs, [
        Figure("1 client", "/1000"), Figure("100 clients", "/1000")], once=True),
    **cluster.cases(Case, Figure),
}
