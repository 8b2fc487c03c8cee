#!/usr/bin/python3
"""A server that gets what no proper client sends must go on serving proper clients, and give back what it took.

    bad_input.py [--tenon PATH] [--storage wiredtiger|memory] [--only WORD] [--seed N] [--long]

With --tenon set to etcd the stories that etcd survives are run on it. Ends with `bad_input: N passed, ...`.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "support/py")]

import connections
import data_directory
import disk_full
import messages_story
from harness.report import Report, main
from harness.server import Server, find_tenon
from harness.wait import Deadline, until

QUICK_SECONDS = 15  # a stalled server takes for ever, a busy machine some seconds


class Stage:
    """The server that most stories share, and what must hold after each of them."""

    def __init__(self, report, server, seed, long):
        self.report = report
        self.server = server
        self.seed = seed
        self.long = long
        with server.client() as client:
            assert client.put(b"steady", b"1").ok

    def still_serves(self, name, quick=QUICK_SECONDS):
        """A new proper client writes and reads; the process is the same one."""
        began = time.monotonic()
        with self.server.client(timeout=20) as client:
            good = client.put(b"steady", name.encode()).ok
            reply = client.range(b"steady")
            good = good and reply.ok and reply.message.kvs[0].value == name.encode()
        took = time.monotonic() - began
        alive = self.server.process.poll() is None
        self.report.check(
            f"{name}: a proper client is served",
            alive and good and took < quick,
            lambda: f"alive {alive}, answered {good}, {took:.2f} s\n{self.server.log_tail()}",
        )

    def gives_back(self, name, files_before, slack=20, seconds=30):
        """Descriptors return to what they were."""

        def back():
            return self.server.open_files() <= files_before + slack

        try:
            until(back, seconds, "descriptors come back", interval=0.05)
            good = True
        except Deadline:  # reported below with the figures
            good = False
        self.report.check(
            f"{name}: descriptors are given back",
            good,
            lambda: f"{files_before} before, {self.server.open_files()} now",
        )


STORIES = [*messages_story.STORIES, *connections.STORIES]
OWN_SERVER = [*data_directory.STORIES, *disk_full.STORIES]



def chosen(story, word):
    """The word may also be of the file's name: `messages` is all of messages_story.py."""
    return word in f"{story.__module__} {story.__name__}"


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", help="the server to annoy (default: build/release/bin/tenond)")
    parser.add_argument("--storage", choices=("wiredtiger", "memory"))
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long", action="store_true", help="ten times the random messages")
    arguments = parser.parse_args()

    report = Report("bad_input")
    binary = find_tenon(arguments.tenon)
    if binary is None:
        print("no tenond: build it or give --tenon", file=sys.stderr)
        return 2
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the server inherits it

    with tempfile.TemporaryDirectory(prefix="tenon-bad-") as folder:
        stories = [story for story in STORIES if chosen(story, arguments.only)]
        if stories:
            with Server(binary, Path(folder) / "shared", storage=arguments.storage) as server:
                server.start()
                stage = Stage(report, server, arguments.seed, arguments.long)
                for story in stories:
                    began = time.monotonic()
                    before = server.memory_kib()["VmRSS"]
                    report.story(story.__name__, story, stage)
                    if server.process.poll() is not None:
                        report.check(f"{story.__name__}: the server lives", False, server.log_tail())
                        break
                    grown = server.memory_kib()["VmRSS"] - before
                    report.note(f"{story.__name__}: {time.monotonic() - began:.1f} s, memory {grown:+d} KiB")
                server.stop()
        for story in OWN_SERVER:
            if chosen(story, arguments.only):
                report.story(story.__name__, story, report, binary, Path(folder) / story.__name__, arguments.storage)
    return report.close()


if __name__ == "__main__":
    main(run)
