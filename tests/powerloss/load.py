"""What a server under the recorder is asked to do, and the marks that say what it acknowledged when.

Marks in the log, in order with the disk's operations:
    A/U OPERATION SLOT KEY SEQUENCE ...        crash-writer's lines, as tests/crash/model.py reads them
    C ask|done REVISION                        a compaction
    B ask|done KEY SEQUENCE [REVISION]         a put of a megabyte: it cuts log segments and is a blob in WiredTiger
"""

import os
import random
import subprocess
import threading

from harness.wait import until

SLOTS, CHANNELS, KEYS = 32, 4, 8
BALLAST_KEYS, BALLAST_BYTES = 3, 1 << 20
LOAD_SECONDS = 300


def ballast_value(sequence):
    return random.Random(sequence).randbytes(BALLAST_BYTES)


class Marks:
    """Appends lines to the recorder's log, one write(2) each."""

    def __init__(self, log):
        self.fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def mark(self, text):
        os.write(self.fd, text.encode() + b"\n")

    def close(self):
        os.close(self.fd)


class Load:
    """crash-writer, a thread that compacts and one that writes large values, until a revision is reached."""

    def __init__(self, writer, server, log, seed, ballast):
        self.server, self.pick, self.ballast = server, random.Random(seed), ballast
        self.marks = Marks(log)
        self.over = threading.Event()
        # stdbuf: a line is one write, so that it cannot mix with the recorder's.
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", writer, server.address, str(SLOTS), str(CHANNELS), str(KEYS), str(seed), "1"],
            stdout=self.marks.fd,
        )
        self.threads = [threading.Thread(target=self._compact), threading.Thread(target=self._fill)]
        for thread in self.threads:
            thread.start()
        self.filled = 0

    def _compact(self):
        with self.server.client(timeout=20) as client:
            while not self.over.wait(0.1):
                reply = client.range(b"ready")
                if not reply.ok:
                    continue
                target = reply.message.header.revision - self.pick.randrange(1, 400)
                if target < 1:
                    continue
                self.marks.mark(f"C ask {target}")
                if client.compact(target, physical=self.pick.random() < 0.5).ok:
                    self.marks.mark(f"C done {target}")

    def _fill(self):
        with self.server.client(timeout=20) as client:
            for sequence in range(1, self.ballast + 1):
                if self.over.is_set():
                    return
                key = f"ballast/{sequence % BALLAST_KEYS}"
                self.marks.mark(f"B ask {key} {sequence}")
                reply = client.put(key.encode(), ballast_value(sequence))
                if not reply.ok:
                    return
                self.marks.mark(f"B done {key} {sequence} {reply.message.header.revision}")
                self.filled = sequence

    def run_until(self, revision):
        with self.server.client() as client:

            def reached():
                if self.process.poll() is not None:
                    raise RuntimeError(f"the writer ended: the server failed?\n{self.server.log_tail()}")
                reply = client.range(b"ready")
                return reply.ok and reply.message.header.revision >= revision and self.filled >= self.ballast

            until(reached, LOAD_SECONDS, lambda: f"revision {revision}, {self.filled} of {self.ballast} large values")

    def end(self):
        """After the server has ended."""
        self.over.set()
        self.process.wait(60)
        for thread in self.threads:
            thread.join()
        self.marks.close()
