#!/usr/bin/python3
"""Power loss: a server's recorded writes are replayed with what was not synced lost, torn or out of order.

    run.py [--tenon PATH] [--storage wiredtiger,memory] [--points N] [--long] [--seed N] [--keep FOLDER]
    run.py --replay LOG --at K --seed N --mode strict|ordered [--style S] [--twice] --storage ENGINE    one point again

A server is recorded (tests/support/powerloss) while it starts for the first time, serves a load with compactions,
deletes, large values and many persists, and stops. For each of N points of that recording a disk is built as the power
loss may leave it, and a server must start on it by itself and have everything that was acknowledged before the point.
Modes, by turns: `ordered` is ext4's default behaviour; `strict` promises only what fsync's manual page does.
Then the test checks itself: with syncs that lie, and with --unsafe-no-fsync, lost writes must be reported.
Ends with `powerloss: N passed, N failed, N skipped`.
"""

import argparse
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / name) for name in ("support/py", "support/powerloss", "crash"))]

import recording as log
from harness import messages
from harness.report import Report, main
from harness.server import Server, find_tenon
from load import Load
from recording import Recording
from replay import Disk
from verify import Expected, verify

FAST_POINTS, LONG_POINTS = 20, 300
FAST_REVISION, LONG_REVISION = 4000, 15000
BALLAST = {False: 70, True: 140}  # megabytes: a cut of a 64 MB segment, or two
PROOF_POINTS, MOST_PROOF_POINTS = 6, 60  # more while nothing was lost: it may be, it need not
LYING_WINDOW = 400  # records: about the last hundred syncs
CONFIG = "tenon: { persist-interval: 200ms }\n"  # many persists
# No persist before the stop: an engine that is ahead of its log would be refused, which tells less than lost writes.
UNSAFE = "unsafe-no-fsync: true\ntenon: { persist-interval: 1h, persist-bytes: 1GiB }\n"


def recorded_server(tools, recorded, disk):
    wrapper = ["/usr/bin/env", f"LD_PRELOAD={tools.recorder}", f"POWERLOSS_DIR={disk}", f"POWERLOSS_LOG={recorded.log}"]
    server = Server(tools.tenond, recorded.folder, storage=recorded.storage, config=recorded.config, wrapper=wrapper)
    server.data_dir = disk / "data"
    return server


class Recorded:
    """One recording: a server's whole life on an empty disk."""

    def __init__(self, tools, folder, storage, seed, long, config=CONFIG):
        self.folder, self.storage, self.config = Path(os.path.realpath(folder)), storage, config
        disk = self.folder / "disk"
        disk.mkdir(parents=True)
        self.log = self.folder / "log.bin"
        with recorded_server(tools, self, disk) as server:
            server.start()
            load = Load(tools.writer, server, self.log, seed, BALLAST[long])
            try:
                load.run_until(LONG_REVISION if long else FAST_REVISION)
                server.stop()
            finally:
                server.kill()
                load.end()
        self.recording = Recording(self.log)
        self.base = None

    @classmethod
    def again(cls, tools, folder, storage, base, config=CONFIG):
        """Recorded while a server starts on what a power loss left in `base`, without a load."""
        self = cls.__new__(cls)
        self.folder, self.storage, self.config, self.base = folder, storage, config, base
        self.log = folder / "log.bin"
        disk = folder / "disk"
        shutil.copytree(base, disk)
        with recorded_server(tools, self, disk) as server:
            server.start()
            server.kill()
        self.recording = Recording(self.log)
        return self

    def check_whole(self, report):
        """Nothing was written past the recorder: replaying everything gives the folder byte for byte."""
        whole = self.folder / "whole"
        Disk(self.recording, len(self.recording.records)).whole(whole)
        same = subprocess.run(["diff", "-r", whole, self.folder / "disk"], capture_output=True, text=True)
        report.check(f"{self.storage}: the recording is whole", same.returncode == 0, same.stdout[:2000])
        shutil.rmtree(whole)

    def points(self, pick, count):
        """Positions where the power goes: a few in the first start, many beside the operations that order others."""
        records = self.recording.records
        first_answer = next(i for i, r in enumerate(records) if r.op == log.MARK)
        ordering = [i for i, r in enumerate(records) if r.op in (log.SYNC_END, log.RENAME, log.UNLINK, log.TRUNCATE)]
        changes = [i for i, r in enumerate(records) if r.op in (log.WRITE, log.RENAME, log.MAKE_DIR, log.OPEN)]
        renames = [i for i in ordering if records[i].op != log.SYNC_END and i > first_answer]
        for number in range(count):
            kind = number % 7
            if kind == 0:
                at = pick.randrange(1, first_answer)
            elif kind < 3:
                at = pick.choice(ordering) + pick.randint(0, 2)
            elif kind == 3 and renames:
                at = pick.choice(renames) + pick.randint(-3, 6)
            else:
                at = pick.choice(changes) + 1
            yield min(at, len(records))  # a server's last operations are among those that order others

    def facts(self):
        records = self.recording.records
        checkpoints = sum(r.op == log.RENAME and r.path.endswith("turtle.set") for r in records)
        segments = sum(r.op == log.RENAME and r.path2.endswith(".wal") for r in records)
        released = sum(r.op == log.UNLINK and r.path.endswith(".wal") for r in records)
        return (
            f"{len(records)} records, {self.log.stat().st_size >> 20} MiB, {sum(r.op == log.WRITE for r in records)} "
            f"writes, {sum(r.op == log.SYNC_END for r in records)} syncs, {checkpoints} checkpoints, {segments} "
            f"segments cut and {released} released, {sum(r.op == log.MARK and r.path[0] == 'A' for r in records)} "
            "requests acknowledged"
        )


class Tools:
    def __init__(self, arguments):
        build = Path(arguments.build)
        self.tenond = find_tenon(arguments.tenon)
        self.writer = str(build / "tests/crash-writer")
        self.recorder = str(build / "tests/libpowerloss.so")

    def missing(self):
        return [path for path in (self.tenond, self.writer, self.recorder) if path is None or not Path(path).exists()]

    def cannot_preload(self):
        """Why this server cannot be recorded; nothing if it can."""
        start = subprocess.run(
            ["/usr/bin/env", f"LD_PRELOAD={self.recorder}", self.tenond, "--version"], capture_output=True, text=True
        )
        if start.returncode != 0 or "LD_PRELOAD" in start.stderr:
            return f"LD_PRELOAD does not work here: {start.stderr[:200]}"
        with open(self.tenond, "rb") as file:
            if b"__asan_init" in file.read():
                return "a sanitizer's runtime must be preloaded first"
        return None


def memory_folder():
    """Where a restart costs no disk: what is there now has had its power loss. None: the usual place."""
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 2 << 30
    return shared if roomy else None


def lose_power(tools, recorded, at, seed, mode, style=None, lying=0, twice=False):
    """(what was done to the disk, texts of what is wrong)

    With `twice` the power goes again while the server starts on what the first time left.
    """
    with tempfile.TemporaryDirectory(prefix="tenon-point-", dir=memory_folder()) as folder:
        folder = Path(os.path.realpath(folder))
        done = Disk(recorded.recording, at, lying).power_loss(seed, mode, folder / "disk", style)
        expected = Expected(recorded.recording, at)
        try:
            if twice:
                base = (folder / "disk").rename(folder / "base")
                second = Recorded.again(tools, folder, recorded.storage, base)
                again_at = random.Random(seed).randrange(1, len(second.recording.records))
                shutil.rmtree(folder / "disk")
                done += f"\nand again at {again_at} of the restart, "
                done += Disk(second.recording, again_at, base=base).power_loss(seed, mode, folder / "disk")
            wrong = verify(tools.tenond, folder, recorded.storage, CONFIG, expected, seed)
        except Exception as error:  # it does not start, or does not answer
            wrong = [f"{type(error).__name__}: {error}"]
        return done, wrong


def rehearse(report, tools, folder, storage, points, seed, long, keep):
    recorded = Recorded(tools, folder, storage, seed, long)
    report.note(f"{storage}: {recorded.facts()}")
    recorded.check_whole(report)
    pick = random.Random(seed)
    end = len(recorded.recording.records)
    # Two that need no luck: at the end, all that is not synced is lost.
    plan = [(end, "ordered", "none", False), (end, "strict", "none", False)]
    for number, at in enumerate(recorded.points(pick, points - len(plan))):
        plan.append((at, ("ordered", "strict")[number % 2], None, number % 5 == 4))
    took = []
    for number, (at, mode, style, twice) in enumerate(plan):
        point_seed = f"{seed}.{number}"
        began = time.monotonic()
        done, wrong = lose_power(tools, recorded, at, point_seed, mode, style, twice=twice)
        took.append(time.monotonic() - began)
        name = f"{storage}: power loss at {at} of {end}, {mode}{', twice' if twice else ''}, seed {point_seed}"
        if not report.check(name, not wrong, lambda: "\n".join([done, *wrong[:8]])):
            report.note("again: " + again(recorded, keep, at, point_seed, mode, style, twice))
    report.note(
        f"{storage}: {len(plan)} power losses, {sum(twice for *_, twice in plan)} of them with a second one during the "
        f"restart; median {sorted(took)[len(took) // 2]:.2f} s each"
    )
    return recorded


def again(recorded, keep, at, seed, mode, style, twice):
    """The command that replays a failure; the recording is kept for it."""
    keep.mkdir(parents=True, exist_ok=True)
    kept = keep / f"{recorded.storage}-{seed.split('.')[0]}.log"
    if not kept.exists():
        shutil.copyfile(recorded.log, kept)
    words = [Path(__file__), "--replay", kept, "--at", at, "--seed", seed, "--mode", mode]
    words += ["--storage", recorded.storage]
    words += ["--style", style] if style else []
    return shlex.join(str(word) for word in [*words, *(["--twice"] if twice else [])])


def prove(report, tools, recorded, seed):
    """Disks and servers that lie about syncs must be found out: acknowledged writes are gone."""
    pick = random.Random(seed)
    records = recorded.recording.records
    for name, source, lying, styles in (
        ("syncs that lie", recorded, LYING_WINDOW, ("none", "early", "mixed")),
        ("--unsafe-no-fsync", None, 0, ("early",)),
    ):
        if source is None:
            source = Recorded(tools, recorded.folder / "unsafe", recorded.storage, seed, False, UNSAFE)
            records = source.recording.records
        answers = [i for i, r in enumerate(records) if r.op == log.MARK and r.path[0] == "A"]
        lost = number = 0
        while number < PROOF_POINTS or (lost == 0 and number < MOST_PROOF_POINTS):
            at = answers[pick.randrange(len(answers) // 4, len(answers))]
            style = styles[number % len(styles)]
            _, wrong = lose_power(tools, source, at, f"{seed}.{number}", "ordered", style, lying)
            lost += any("acknowledged" in text for text in wrong)
            number += 1
        report.check(f"{recorded.storage}: {name}: found out", lost > 0, "no acknowledged write was reported lost")
        report.note(f"{recorded.storage}: {name}: acknowledged writes reported lost at {lost} of {number} points")


def replay(arguments, tools):
    recorded = Recorded.__new__(Recorded)
    recorded.recording, recorded.storage = Recording(arguments.replay), arguments.storage
    with tempfile.TemporaryDirectory(prefix="tenon-powerloss-") as folder:
        recorded.folder = Path(folder)
        done, wrong = lose_power(
            tools, recorded, arguments.at, arguments.seed, arguments.mode, arguments.style, twice=arguments.twice
        )
    print("\n".join([done, *wrong]))
    return 1 if wrong else 0


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", help="the server (default: build/release/bin/tenond)")
    parser.add_argument("--build", default=str(messages.ROOT / "build/release"), help="where the tests' tools are")
    parser.add_argument("--storage", default="wiredtiger,memory", help="engines, one recording each")
    parser.add_argument("--points", type=int)
    parser.add_argument("--long", action="store_true", help=f"{LONG_POINTS} points in place of {FAST_POINTS}")
    parser.add_argument("--seed", default=str(int(time.time())), help="default: the time; printed")
    parser.add_argument("--keep", default=None, help="where recordings with failures stay (default: BUILD/powerloss)")
    parser.add_argument("--replay", metavar="LOG")
    parser.add_argument("--at", type=int)
    parser.add_argument("--mode", choices=("strict", "ordered"), default="ordered")
    parser.add_argument("--style", help="of a power loss, see replay.py; default: the seed chooses")
    parser.add_argument("--twice", action="store_true", help="the power goes again during the restart")
    arguments = parser.parse_args()

    tools = Tools(arguments)
    if tools.missing():
        print(f"not built: {tools.missing()}", file=sys.stderr)
        return 2
    if arguments.replay:
        return replay(arguments, tools)
    report = Report("powerloss")
    reason = tools.cannot_preload()
    if reason:
        report.skip("power loss", reason)
        return report.close()
    keep = Path(arguments.keep or Path(arguments.build) / "powerloss")
    seed = int(arguments.seed)
    points = arguments.points or (LONG_POINTS if arguments.long else FAST_POINTS)
    with tempfile.TemporaryDirectory(prefix="tenon-powerloss-") as folder:
        for storage in arguments.storage.split(","):

            def story(storage=storage):
                recorded = rehearse(
                    report, tools, Path(folder) / storage, storage, points, seed, arguments.long, keep
                )
                prove(report, tools, recorded, seed)

            report.story(f"{storage}, seed {seed}", story)
    return report.close()


if __name__ == "__main__":
    main(run)
