#!/usr/bin/python3
"""The recorder sees what a process does to files, and a replay keeps what was synced and only plays with the rest.

    replay_test.py LIBPOWERLOSS.SO
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from recording import Recording, Void
from replay import Disk

RECORDER = None
SEEDS = range(60)

PRELUDE = """
import os, sys
def new(name): return os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
def sync_folder(name='.'):
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY); os.fsync(fd); os.close(fd)
def mark(text):
    fd = os.open(os.environ['POWERLOSS_LOG'], os.O_WRONLY | os.O_APPEND)
    os.write(fd, text.encode() + b'\\n'); os.close(fd)
"""


def contents(folder):
    """{path: bytes, None for a folder}"""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(Path(folder).rglob("*"))
    }


class ReplayTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(os.path.realpath(temporary.name))
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        self.built = 0

    def record(self, program, fails=False):
        environment = {
            **os.environ,
            "LD_PRELOAD": str(RECORDER),
            "POWERLOSS_DIR": str(self.disk),
            "POWERLOSS_LOG": str(self.folder / "log"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = ["/usr/bin/python3", "-c", PRELUDE + program]
        done = subprocess.run(command, cwd=self.disk, env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode != 0, fails, done.stderr)
        return done.stderr if fails else Recording(self.folder / "log")

    def build(self, how):
        self.built += 1
        folder = self.folder / f"built-{self.built}"
        how(folder)
        return contents(folder)

    def outcomes(self, recording, mode, at=None, lying=0):
        """What the disk may hold: one {path: bytes} for each seed."""
        disk = Disk(recording, len(recording.records) if at is None else at, lying)
        return [self.build(lambda folder, seed=seed: disk.power_loss(seed, mode, folder)) for seed in SEEDS]

    def test_everything_that_happened_is_recorded(self):
        recording = self.record(
            """
os.mkdir('a'); os.mkdir('a/b')
fd = new('a/one'); os.write(fd, b'x' * 5000); os.write(fd, b'y')
os.pwrite(fd, b'zz', 9000); os.pwritev(fd, [b'1', b'2'], 3)
copy = os.dup(fd); os.writev(copy, [b'first', b'second']); os.ftruncate(fd, 8000); os.posix_fallocate(fd, 7000, 4000)
os.close(fd); os.write(copy, b'after the close of the other'); os.close(copy)
fd = new('a/b/two'); os.pwrite(fd, bytes(100000), 0); os.close(fd); os.truncate('a/b/two', 70000)
os.rename('a/b/two', 'a/three'); os.link('a/one', 'a/b/four'); new('gone'); os.remove('gone')
fd = os.open('a/one', os.O_WRONLY | os.O_APPEND); os.write(fd, b'appended'); os.close(fd)
fd = os.open('a/three', os.O_WRONLY | os.O_TRUNC); os.write(fd, b'again'); os.close(fd)
os.mkdir('c'); os.rename('c', 'd'); os.rmdir('d')
at = os.open('a', os.O_RDONLY); fd = os.open('five', os.O_RDWR | os.O_CREAT, dir_fd=at)
os.write(fd, b'5'); os.unlink('three', dir_fd=at)
"""
        )
        whole = self.build(Disk(recording, len(recording.records)).whole)
        self.assertEqual(whole, contents(self.disk))
        self.assertEqual(sorted(whole), ["a", "a/b", "a/b/four", "a/five", "a/one"])

    def test_what_was_synced_stays(self):
        recording = self.record(
            """
os.mkdir('a'); fd = new('a/one'); os.write(fd, b'safe' * 1000); os.fdatasync(fd); sync_folder('a'); sync_folder()
os.write(fd, b'late' * 1000); new('a/two')
"""
        )
        safe = b"safe" * 1000
        for mode in ("strict", "ordered"):
            outcomes = self.outcomes(recording, mode)
            for outcome in outcomes:
                self.assertEqual(outcome["a/one"][:4000], safe)
                tail = outcome["a/one"][4000:]
                self.assertTrue(all(a in (b, 0) for a, b in zip(tail, b"late" * 1000)), tail)
            self.assertTrue(any(outcome["a/one"] == safe for outcome in outcomes))
            self.assertTrue(any(outcome["a/one"] == safe + b"late" * 1000 for outcome in outcomes))
            self.assertEqual({"a/two" in outcome for outcome in outcomes}, {True, False})

    def test_writes_tear_and_come_out_of_order(self):
        recording = self.record(
            """
fd = new('one'); os.write(fd, bytes(16384)); os.fsync(fd); sync_folder()
os.pwrite(fd, b'a' * 4096, 0); os.pwrite(fd, b'b' * 4096, 4096); os.pwrite(fd, b'c' * 4096, 8192)
"""
        )
        files = {outcome["one"] for outcome in self.outcomes(recording, "ordered")}
        self.assertTrue(any(b"b" in file and b"a" not in file for file in files), "the second without the first")
        self.assertTrue(any(0 < file.count(b"a") < 4096 for file in files), "a torn one")
        for file in files:
            for at in range(0, 12288, 512):
                self.assertIn(file[at : at + 512], (bytes(512), file[at : at + 1] * 512), "a sector is whole")

    def test_a_sector_never_has_a_later_write_without_the_earlier(self):
        recording = self.record(
            """
fd = new('one'); os.write(fd, bytes(512)); os.fsync(fd); sync_folder()
os.pwrite(fd, b'a' * 100, 0); os.pwrite(fd, b'b' * 100, 100); os.pwrite(fd, b'c' * 100, 200)
"""
        )
        for mode in ("strict", "ordered"):
            seen = {bytes(outcome["one"][at] for at in (0, 100, 200)) for outcome in self.outcomes(recording, mode)}
            self.assertLessEqual(seen, {bytes(3), b"a\0\0", b"ab\0", b"abc"})
            self.assertGreater(len(seen), 1)

    def test_a_name_without_a_sync_of_its_folder(self):
        recording = self.record("fd = new('tmp'); os.write(fd, b'x'); os.fsync(fd); os.rename('tmp', 'name')")
        strict = {tuple(sorted(outcome)) for outcome in self.outcomes(recording, "strict")}
        self.assertEqual(strict, {(), ("name",), ("tmp",)})
        ordered = {tuple(sorted(outcome)) for outcome in self.outcomes(recording, "ordered")}
        self.assertEqual(ordered, {("name",), ("tmp",)}, "ext4 commits the creation with the file's fsync")

    def test_a_name_before_its_data(self):
        recording = self.record("fd = new('tmp'); os.write(fd, b'x' * 600); os.rename('tmp', 'name'); sync_folder()")
        for mode in ("strict", "ordered"):
            files = {outcome["name"] for outcome in self.outcomes(recording, mode)}
            self.assertIn(b"", files)
            self.assertIn(b"x" * 600, files)

    def test_a_write_during_a_sync_is_not_covered(self):
        recording = self.record("fd = new('one'); os.write(fd, b'x'); os.fsync(fd); sync_folder(); os.write(fd, b'y')")
        records = recording.records
        begin = max(i for i, r in enumerate(records) if r.op == 10 and r.handle == records[0].handle)
        moved = [r for r in records if not (r.op == 2 and r.offset == 1)]
        moved.insert(begin + 1, next(r for r in records if r.op == 2 and r.offset == 1))
        recording.records = moved
        self.assertIn(b"x", {outcome.get("one") for outcome in self.outcomes(recording, "ordered")})

    def test_a_lying_disk_loses_what_was_synced(self):
        recording = self.record("fd = new('one'); os.write(fd, b'x'); os.fsync(fd); sync_folder()")
        self.assertTrue(all(outcome == {"one": b"x"} for outcome in self.outcomes(recording, "strict")))
        lied = self.outcomes(recording, "strict", lying=len(recording.records))
        self.assertTrue(any(outcome != {"one": b"x"} for outcome in lied))

    def test_marks_stand_in_order(self):
        recording = self.record("fd = new('one'); mark('before'); os.write(fd, b'x'); mark('after')")
        order = [r.path if r.op == 0 else r.op for r in recording.records if r.op in (0, 2)]
        self.assertEqual(order, ["before", 2, "after"])

    def test_the_same_seed_gives_the_same_disk(self):
        recording = self.record("fd = new('one')\nfor i in range(50): os.pwrite(fd, b'%d' % i * 700, i * 700)")
        self.assertEqual(self.outcomes(recording, "strict"), self.outcomes(recording, "strict"))

    def test_a_restart_is_recorded_over_what_was_there(self):
        (self.disk / "a").mkdir()
        (self.disk / "a/old").write_bytes(b"old" * 500)
        base = self.folder / "base"
        subprocess.run(["cp", "-r", self.disk, base], check=True)
        recording = self.record("fd = new('a/old'); os.pwrite(fd, b'new', 0); os.fsync(fd); os.rename('a/old', 'b')")
        disk = Disk(recording, len(recording.records), base=base)
        self.assertEqual(self.build(disk.whole), contents(self.disk))
        for seed in SEEDS:
            outcome = self.build(lambda folder, seed=seed: disk.power_loss(seed, "strict", folder))
            self.assertEqual([v for v in outcome.values() if v], [b"new" + (b"old" * 500)[3:]])

    def test_what_cannot_be_recorded_ends_the_process(self):
        for program in (
            "import mmap\nfd = new('one'); os.ftruncate(fd, 4096); mmap.mmap(fd, 4096)",
            "os.open('one', os.O_RDWR | os.O_CREAT | os.O_DSYNC, 0o600)",
            "os.symlink('one', 'two')",
            "fd = new('one'); os.write(fd, b'x'); os.sendfile(fd, new('two'), 0, 1)",
        ):
            self.assertIn("the recording is void", self.record(program, fails=True))
            with self.assertRaises(Void):
                Recording(self.folder / "log")


if __name__ == "__main__":
    RECORDER = Path(sys.argv.pop(1)).resolve()
    unittest.main()
