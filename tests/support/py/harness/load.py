"""Writers beside a test, who know what was acknowledged to them and when."""

import threading
import time

from harness.client import prefix
from harness.cluster import Anywhere
from harness.wait import until

PAUSE_SECONDS = 0.002  # between a writer's puts: the servers' share of the cores, not ours


class Load:
    """`writers` threads, each putting one key after the other, never the same: what was acknowledged must be there.

    A put that may have failed is repeated at the next member with the same key and value. Use with `with`; `end` lets
    each writer finish the put that it has under way.
    """

    def __init__(self, servers, writers=4, name="l", value=b"v" * 100, timeout=2.0):
        self.servers, self.name, self.value, self.timeout = list(servers), name, value, timeout
        self.acknowledged = [[] for _ in range(writers)]  # by writer: (when, revision) of its n-th put
        self.errors = []  # replies that no client retries
        self.retries = 0
        self.over = threading.Event()
        self.hurry = threading.Event()  # do not repeat any more
        self.threads = [threading.Thread(target=self._write, args=(number,), daemon=True) for number in range(writers)]
        for thread in self.threads:
            thread.start()

    def key(self, writer, number):
        return f"{self.name}/{writer}/{number:07}".encode()

    def _write(self, writer):
        anywhere = Anywhere(self.servers, self.timeout, first=writer)
        mine = self.acknowledged[writer]
        while not self.over.wait(PAUSE_SECONDS):
            key = self.key(writer, len(mine))
            reply = anywhere(lambda client: client.put(key, self.value), self.hurry.is_set)
            if not reply.ok:
                if not self.hurry.is_set():
                    self.errors.append(reply)
                break
            mine.append((time.monotonic(), reply.message.header.revision))
        self.retries += anywhere.retries
        anywhere.close()

    def count(self):
        return sum(len(mine) for mine in self.acknowledged)

    def await_more(self, puts=50, seconds=60):
        """Waits for so many acknowledged puts from now on."""
        before = self.count()
        until(lambda: self.count() >= before + puts or self.errors, seconds, lambda: f"{puts} more puts")

    def end(self, hurry=False):
        self.over.set()
        if hurry:
            self.hurry.set()
        for thread in self.threads:
            thread.join(60)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.end(hurry=True)

    def longest_gap(self, since=0.0):
        """Seconds in which nobody got an answer."""
        times = sorted(when for mine in self.acknowledged for when, _ in mine if when >= since)
        return max((b - a for a, b in zip([since or times[0], *times], times)), default=0.0)

    def missing(self, client):
        """Texts of what was acknowledged and is not there (with another value, or older than its acknowledgement)."""
        wrong = []
        for writer, mine in enumerate(self.acknowledged):
            reply = client.range(**prefix(f"{self.name}/{writer}/".encode()))
            if not reply.ok:
                return [str(reply)]
            found = {item.key: item for item in reply.message.kvs}
            for number, (_, revision) in enumerate(mine):
                item = found.get(self.key(writer, number))
                if item is None or item.value != self.value or item.mod_revision < revision:
                    wrong.append(f"{self.key(writer, number).decode()}@{revision}: {item}")
        return wrong
