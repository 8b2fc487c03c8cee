"""What the keys of crash-writer may hold: the last acknowledged write, or one that was on its way at the crash."""

VALUE_SIZE = 120


class Model:
    def __init__(self):
        self.known = {}  # key -> (sequence, revision) of the last acknowledged write; sequence None = deleted
        self.open = {}  # key -> sequences it may hold instead; None = deleted
        self.revision = 0  # the largest acknowledged
        self.next_sequence = 1
        self.acknowledged = 0
        self.puts = 0
        self.errors = []
        self.recent = []  # (key, sequence, revision) of acknowledged puts of this turn

    def begin_turn(self):
        self.recent = []

    def read(self, line):
        """One line of crash-writer."""
        fields = line.split(" ", 6 if line.startswith("U") else 5)
        if len(fields) < 6:
            self.errors.append(f"a torn line: {line!r}")
            return
        kind, operation, _, key, sequence, rest = fields[0], fields[1], fields[2], fields[3], int(fields[4]), fields[5:]
        self.next_sequence = max(self.next_sequence, sequence + 1)
        held = sequence if operation in ("put", "pair") else None
        keys = [key] if operation in ("put", "delete") else [key + "/a", key + "/b"]
        if kind == "U":
            if rest[0] not in ("14", "4", "1", "2"):
                self.errors.append(f"an error that a crash does not explain: {line!r}")
            for name in keys:
                self.open[name] = held
            return
        revision = int(rest[0])
        self.acknowledged += 1
        self.revision = max(self.revision, revision)
        for name in keys:
            self.known[name] = (held, revision)
            if held is not None:
                self.puts += 1
                self.recent.append((name, held, revision))

    def settle(self, found):
        """Compares with {key: (sequence, mod_revision)} read after a restart, and goes on from what was found.

        Returns texts of what is wrong.
        """
        wrong = list(self.errors)
        self.errors = []
        for key in sorted(set(self.known) | set(self.open) | set(found)):
            sequence, revision = found.get(key, (None, None))
            known = self.known.get(key, (None, None))
            as_known = sequence == known[0] and (sequence is None or revision == known[1])
            as_open = (
                key in self.open
                and sequence == self.open[key]
                and not (revision is not None and known[1] is not None and revision <= known[1])
            )
            if not as_known and not as_open:
                wrong.append(
                    f"{key} holds {sequence}@{revision}, acknowledged {known[0]}@{known[1]}"
                    + (f", on its way {self.open[key]}" if key in self.open else "")
                )
            self.known[key] = (sequence, revision if sequence is not None else known[1])
        for key in found:
            if key.endswith("/a") or key.endswith("/b"):
                other = key[:-1] + ("b" if key.endswith("a") else "a")
                if found.get(other) != found[key]:
                    wrong.append(f"half a txn: {key} {found[key]}, {other} {found.get(other)}")
        self.open = {}
        return wrong
