#!/usr/bin/python3
"""kill -9 at random moments under load; after each restart everything acknowledged is there.

    crash.py [--tenon PATH] [--storage wiredtiger,memory] [--kills N] [--long] [--seed N]

Checked after each restart: every acknowledged put, with its revision and value; no half txn; no deleted key is back;
the revision does not go back; what was compacted stays compacted; HashKV of a revision is what it was. A watcher goes
on after each restart with the revision behind the last one that it saw: nothing is lost, and nothing comes twice.
With --tenon set to etcd the test checks itself. Ends with `crash: N passed, N failed, N skipped`.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "support/py")]

from harness import messages
from harness.client import prefix
from harness.report import Report, main
from harness.server import Server, add_transport_option, find_tenon
from harness.wait import until
from model import Model
from watcher import Watcher

# Often enough that kills hit the writing of persist points.
CONFIG = "tenon: { persist-bytes: 1MiB, persist-interval: 300ms }\n"
FAST_KILLS = 10
LONG_KILLS = 200
SLOTS, CHANNELS, KEYS = 128, 8, 8
LOAD_SECONDS = (0.1, 1.2)
PUTS_A_SECOND = 2000  # the least that means anything; 7,800 is usual on two quiet cores
HISTORY_SAMPLES = 40
FIRST_BOOT_SECONDS = 0.25


class Load:
    """crash-writer beside a reader thread; a second thread compacts behind the acknowledged revision if asked."""

    def __init__(self, writer, server, model, pick, compacting):
        self.model = model
        self.began = time.monotonic()
        self.compacted = 0
        self.process = subprocess.Popen(
            [
                writer,
                server.address,
                str(SLOTS),
                str(CHANNELS),
                str(KEYS),
                str(pick.randrange(1 << 30)),
                str(model.next_sequence),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lines = 0
        self.first_line = None
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._read)]
        if compacting:
            self.threads.append(threading.Thread(target=self._compact, args=(server.client(timeout=20), pick.random())))
        for thread in self.threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.first_line = self.first_line or time.monotonic()
            self.model.read(line.rstrip("\n"))
            self.lines += 1
        self.over.set()

    def _compact(self, client, seed):
        pick = random.Random(seed)
        with client:
            while not self.over.wait(pick.uniform(0.02, 0.15)):
                target = self.model.revision - pick.randrange(1, 400)
                if target > self.compacted and client.compact(target, physical=pick.random() < 0.5).ok:
                    self.compacted = max(self.compacted, target)

    def wait_for_traffic(self):
        until(lambda: self.lines > 100 or self.over.is_set(), 60, "the writer's first 100 answers")

    def end(self):
        """Waits until the writer saw the server die."""
        self.process.wait(60)
        for thread in self.threads:
            thread.join()


def read_everything(client):
    """({key: (sequence, mod revision)}, header revision); a value that is not one of the writer's raises."""
    reply = client.range(**prefix(b"c/"))
    assert reply.ok, reply
    found = {}
    for item in reply.message.kvs:
        text = item.value.decode()
        sequence = text.rstrip(".")
        assert len(text) == 120 and sequence.isdigit(), f"a torn value of {item.key}: {text!r}"
        found[item.key.decode()] = (int(sequence), item.mod_revision)
    return found, reply.message.header.revision


def check_history(client, recent, compacted, pick):
    """Samples acknowledged puts at their own revision; texts of what is wrong."""
    wrong = []
    for key, sequence, revision in pick.sample(recent, min(len(recent), HISTORY_SAMPLES)) + recent[-HISTORY_SAMPLES:]:
        if revision <= compacted:
            continue
        reply = client.range(key.encode(), revision=revision)
        if not reply.ok and "compacted" in reply.text:
            continue  # a compaction on its way when the server died
        if not reply.ok or len(reply.message.kvs) != 1:
            wrong.append(f"{key}@{revision}: {reply}")
            continue
        item = reply.message.kvs[0]
        if item.mod_revision != revision or item.value.decode().rstrip(".") != str(sequence):
            wrong.append(f"{key}@{revision} holds {item.value[:12]!r}@{item.mod_revision}, acknowledged {sequence}")
    return wrong


def rehearse(report, title, server, writer, kills, seed, least):
    """`kills` turns of load, kill, restart, check on one data directory."""
    pick = random.Random(seed)
    model, watcher = Model(), Watcher()
    compacted, hashed, load_seconds, starts, hashes_compared = 0, None, 0.0, [], 0
    best = 0.0  # puts a second in the turn that had most: what the machine gives when nothing else wants it
    server.start()
    watcher.connect(server)
    for turn in range(kills):
        model.begin_turn()
        watcher.changes.begin_turn()
        jumps = watcher.changes.jumps
        compacting = turn % 3 != 0
        puts_before = model.puts
        load = Load(writer, server, model, pick, compacting)
        load.wait_for_traffic()
        threading.Event().wait(pick.uniform(*LOAD_SECONDS))  # the random moment
        server.kill()
        died = time.monotonic()
        load.end()
        watcher.disconnect()
        turn_seconds = died - (load.first_line or died)
        load_seconds += turn_seconds
        if turn_seconds > 0:
            best = max(best, (model.puts - puts_before) / turn_seconds)
        compacted = max(compacted, load.compacted)
        if turn % 4 == 3:  # and once more while it recovers
            server.launch()
            threading.Event().wait(pick.uniform(0, 0.3))
            server.kill()

        began = time.monotonic()
        server.start()
        starts.append(time.monotonic() - began)
        with server.client() as client:
            found, revision = read_everything(client)
            wrong = model.settle(found)
            if revision < model.revision:
                wrong.append(f"the revision went back from {model.revision} to {revision}")
            late = [key for key, (_, at) in found.items() if at > revision]
            if late:
                wrong.append(f"keys newer than the revision {revision}: {late[:5]}")
            wrong += check_history(client, model.recent, compacted, pick)
            if compacted > 1 and client.range(b"c/", revision=compacted - 1).code != "OUT_OF_RANGE":
                wrong.append(f"revision {compacted - 1} can be read although {compacted} was compacted")
            if hashed:
                again = client.hash_kv(hashed.hash_revision)
                if again.ok and again.message.compact_revision == hashed.compact_revision:
                    hashes_compared += 1
                    if again.message.hash != hashed.hash:
                        wrong.append(f"HashKV({hashed.hash_revision}) was {hashed.hash}, is {again.message.hash}")
            hashed = client.hash_kv().message
            model.revision = max(model.revision, revision)
            watcher.connect(server)
            behind = watcher.catch_up(revision)
            wrong += [behind] if behind else [f"watcher: {text}" for text in watcher.changes.settle(found, model.recent)]
            if not compacting and watcher.changes.jumps > jumps:
                wrong.append("a watcher was told of a compaction that nobody asked for")
        report.check(f"{title}, kill {turn + 1}, seed {seed}", not wrong, lambda: "\n".join(wrong[:12]))

    watcher.disconnect()
    report.check(f"{title}: the watcher saw changes", watcher.changes.told > 10 * kills, watcher.changes.told)
    rate = model.puts / load_seconds if load_seconds else 0
    report.check(f"{title}: hashes were compared", hashes_compared > 0 or kills < 3)
    # A long run must have it on the average; ten short turns may meet a machine that has other work.
    enough = rate if kills > 3 * FAST_KILLS else best
    report.check(f"{title}: enough load", enough >= least, f"{rate:.0f} puts a second, at best {best:.0f}, wanted {least}")
    report.note(
        f"{title}: {kills} kills, {model.acknowledged} requests acknowledged ({model.puts} puts, {rate:.0f} a "
        f"second, at best {best:.0f}), revision {model.revision}, compacted {compacted}, {hashes_compared} hashes "
        f"compared, {watcher.changes.told} changes watched ({watcher.changes.jumps} times too late), restart "
        f"median {sorted(starts)[len(starts) // 2]:.2f} s, longest {max(starts):.2f} s"
    )
    server.stop()


def first_boot(report, title, make_server, kills, pick):
    """Killed while it makes its data directory, a server starts all the same the next time."""
    if title == "etcd":
        report.skip(
            f"{title}: kills during the first start", "etcd 3.7.3 may have no leader after one, also 30 s later"
        )
        return
    wrong = []
    for turn in range(kills):
        with make_server(turn) as server:
            for _ in range(pick.choice((1, 1, 2))):
                server.launch()
                threading.Event().wait(pick.uniform(0, FIRST_BOOT_SECONDS))  # the random moment
                server.kill()
            try:
                server.start()
                with server.client() as client:
                    if not client.put(b"first", b"boot").ok:
                        wrong.append(f"turn {turn}: no put")
            except Exception as error:  # each turn is its own directory: the next may still tell something
                wrong.append(f"turn {turn}: {error}")
    report.check(f"{title}: {kills} kills during the first start", not wrong, lambda: "\n".join(wrong[:4]))


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", help="the server to kill (default: build/release/bin/tenond)")
    parser.add_argument("--writer", help="crash-writer (default: build/release/tests/crash-writer)")
    parser.add_argument("--storage", default="wiredtiger,memory", help="Tenon's engines, one run each")
    add_transport_option(parser)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--least", type=int, default=PUTS_A_SECOND, help="puts a second (fewer under a sanitizer)")
    parser.add_argument("--long", action="store_true", help=f"{LONG_KILLS} kills in place of {FAST_KILLS}")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the time; printed")
    arguments = parser.parse_args()

    report = Report("crash")
    binary = find_tenon(arguments.tenon)
    writer = arguments.writer or str(messages.ROOT / "build/release/tests/crash-writer")
    if binary is None or not Path(writer).exists():
        print("no tenond or no crash-writer: build them or give --tenon and --writer", file=sys.stderr)
        return 2
    kills = arguments.kills or (LONG_KILLS if arguments.long else FAST_KILLS)
    with tempfile.TemporaryDirectory(prefix="tenon-crash-") as folder:
        folder = Path(folder)
        engines = arguments.storage.split(",")
        if Server(binary, folder).is_etcd:
            engines = ["etcd"]
        for engine in engines:
            with Server(binary, folder / engine, storage=engine, config=CONFIG) as server:
                report.story(
                    f"{engine}, seed {arguments.seed}",
                    rehearse,
                    report,
                    engine,
                    server,
                    writer,
                    kills,
                    arguments.seed,
                    arguments.least,
                )
            report.story(
                f"{engine}, first start",
                first_boot,
                report,
                engine,
                lambda turn: Server(binary, folder / f"{engine}-first-{turn}", storage=engine),
                kills // 2,
                random.Random(arguments.seed),
            )
    return report.close()


if __name__ == "__main__":
    main(run)
