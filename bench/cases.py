"""The cases: what is done to one server, and which figures must come out how."""
from servers import PeakMemory, count_syncs

HUNDRED = ["--clients", "100", "--connections", "10"]
LOADED = ["--key-space", "100000", "--key-size", "8", "--value-size", "256"]
BIG_LIST = ["--prefix", "list/", "--key-size", "32", "--value-size", "1KiB", "--key-space", "10000"]
MILLION = ["--key-size", "64", "--value-size", "256", "--order", "sequential"]


class Figure:
    """One line of the table.

    goal: for the ratio tenon/etcd (with `at_most` False: at least), or, when absolute, for Tenon's own figure.
    """

    def __init__(self, name, unit, goal=None, at_most=True, absolute=False):
        self.name, self.unit, self.goal, self.at_most, self.absolute = name, unit, goal, at_most, absolute

    def met(self, tenon, ratio):
        value = tenon if self.absolute else ratio
        if self.goal is None or value is None:
            return None
        return value <= self.goal if self.at_most else value >= self.goal


def throughput_figures(cpu, rate=None, p99=None, switches=None):
    """What a case with 100 clients yields, with these goals."""
    return [Figure("server CPU", "us/op", cpu), Figure("throughput", "/s", rate, at_most=False), Figure("p50", "ms"),
            Figure("p99", "ms", p99), Figure("context switches", "/op", switches, absolute=True),
            Figure("generator's own CPU", "us/op")]


def figures_of(load):
    return {"server CPU": load["server"]["cpu_us"], "throughput": load["rate"], "p50": load["p50_us"] / 1000,
            "p99": load["p99_us"] / 1000, "context switches": load["server"]["switches"],
            "generator's own CPU": load["own_cpu_us"]}


def idle(server, options):
    server.start()
    load = server.run("empty", *HUNDRED, "--duration", options.seconds(4))
    alone = server.run("empty", "--duration", options.seconds(2))
    return {"RSS": server.memory("VmRSS") / 1e6, "RssAnon": server.memory("RssAnon") / 1e6,
            "empty call, server CPU": load["server"]["cpu_us"], "empty call, throughput": load["rate"],
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


class Case:
    def __init__(self, what, run, figures, once=False):
        self.what, self.run, self.figures, self.once = what, run, figures, once


CASES = {
    "idle": Case("started, empty; then grpc.health.v1.Health/Check, 100 clients on 10 connections and 1 client", idle, [
        Figure("RSS", "MB"), Figure("RssAnon", "MB"), Figure("empty call, server CPU", "us/op"),
        Figure("empty call, throughput", "/s"), Figure("empty call, 1 client p50", "ms")]),
    "put-100": Case("put of 8 B keys and 256 B values, 100 clients on 10 connections", put_100,
                    throughput_figures(0.5, 1.8, 0.6, 1.0)),
    "put-1": Case("the same puts, 1 client", put_1, [
        Figure("p50", "ms", 0.7), Figure("p99", "ms"), Figure("throughput", "/s"), Figure("server CPU", "us/op"),
        Figure("context switches", "/op"), Figure("generator's own CPU", "us/op")]),
    "range-lin": Case("linearizable range of one key of 100,000, 100 clients on 10 connections", ranges(),
                      throughput_figures(0.75)),
    "range-ser": Case("the same, serializable", ranges("--serializable"), throughput_figures(0.8)),
    "range-10k": Case("range of 10,000 keys x 1 KiB from a restarted process", range_10k, [
        Figure("second request", "ms", 0.4), Figure("first request", "ms"), Figure("answer", "MB"),
        Figure("RssAnon peak", "MB"), Figure("RssAnon peak / answer", "x", 1.5, absolute=True),
        Figure("RssAnon increase / answer", "x"), Figure("VmHWM", "MB")]),
    "keys-1m": Case("1,000,000 keys of 64 + 256 B: put, SIGTERM, start again", keys_1m, [
        Figure("RssAnon loaded", "MB", 0.6), Figure("RSS loaded", "MB"),
        Figure("restart to first answer", "s", 0.3), Figure("RssAnon restarted", "MB", 0.6),
        Figure("RSS restarted", "MB"), Figure("load", "s"), Figure("stop", "s")]),
    "syncs": Case("fdatasync and fsync per 1,000 puts, counted with strace", syncs, [
        Figure("1 client", "/1000"), Figure("100 clients", "/1000")], once=True),
}
