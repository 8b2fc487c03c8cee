#!/usr/bin/python3
"""Builds a folder as a disk may hold it after power loss at one point of a recording.

    replay.py LOG --at K --seed N --into FOLDER [--mode strict|ordered] [--lying WINDOW]
    replay.py LOG --list

At point K the first K records of the log happened. What a sync that ended before K covers is there. Everything else is
kept, lost or torn, as the seed says:

- A write survives whole, not at all, or in some of its sectors (512 bytes) or pages (4 KiB). A sector that lost one
  write loses the later ones too: the disk gets a sector from the page cache, where it never was with the later write
  only. Different sectors come in any order.
- strict: "anything goes". Each name (create, rename, unlink, mkdir) that no fsync of its directory covers is kept or
  lost for itself; a file may be longer than its data (zeros); a truncation is kept or lost for itself.
- ordered: as ext4 in its default mode. Names and truncations come from a journal, so that a prefix of them is there;
  every sync of a file or directory with changed metadata commits all of the journal; a file grows with its data only.
- styles, which the seed chooses: all or none of what is not synced survives, a share of it (mixed), what came before
  one point (early) or after it (late); at that point a write is torn.
- a lying disk (not a mode of honest hardware): syncs in the last WINDOW records did nothing.
"""

import argparse
import os
import random
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import recording as log
from recording import Recording

SECTOR, PAGE = 512, 4096
STYLES = ("all", "none", "mixed", "mixed", "early", "early", "late")


class Inode:
    def __init__(self, is_dir, base=None):
        self.is_dir = is_dir
        self.base = base  # a file of the folder that the recording began with
        self.began = {}  # of a directory: name -> Inode, before the first record
        self.entries = {}  # and now
        self.changes = []  # of a file: (position, Record)
        self.size = os.path.getsize(base) if base else 0
        self.synced = 0  # changes at positions before it are on disk
        self.metadata = -1  # position of the newest change that only a journal commit makes durable


class NameChange:
    """One change of the namespace: `gone` (directory, name) disappears, `new` (directory, name) appears as `inode`."""

    def __init__(self, position, inode, gone=None, new=None):
        self.position, self.inode, self.gone, self.new = position, inode, gone, new

    def directories(self):
        return [place[0] for place in (self.gone, self.new) if place]


class Disk:
    """The state after the first `at` records: what is on disk for certain, and what is not."""

    def __init__(self, recording, at, lying=0, base=None):
        self.recording, self.at, self.lying = recording, at, lying
        self.root = self._load(base)
        self.inodes = []  # recorded files, in the order of their first open
        self.names = []
        self.journal = 0  # names and truncations at positions before it are on disk (ordered)
        self.handles = {}
        self.begins = {}  # a sync's number -> position of its begin
        for position in range(at):
            self._take(position, recording.records[position])

    @staticmethod
    def _load(base):
        root = Inode(True)
        if base is None:
            return root
        folders = {str(base): root}
        for where, folder_names, file_names in os.walk(base):
            for name in folder_names:
                folders[os.path.join(where, name)] = folders[where].began[name] = Inode(True)
            for name in file_names:
                folders[where].began[name] = Inode(False, os.path.join(where, name))
        for folder in folders.values():
            folder.entries = dict(folder.began)
        return root

    # ---- what the records say ----

    def _find(self, path):
        inode = self.root
        if path != ".":
            for part in path.split("/"):
                inode = inode.entries[part]
        return inode

    def _place(self, path):
        parent, _, name = path.rpartition("/")
        return (self._find(parent) if parent else self.root, name)

    def _name(self, position, inode, gone=None, new=None):
        self.names.append(NameChange(position, inode, gone, new))
        if gone:
            del gone[0].entries[gone[1]]
            gone[0].metadata = position
        if new:
            new[0].entries[new[1]] = inode
            new[0].metadata = position

    def _take(self, position, r):
        if r.op == log.OPEN:
            if r.flags & log.CREATED:
                inode = Inode(False)
                inode.metadata = position
                self._name(position, inode, new=self._place(r.path))
            inode = self._find(r.path)
            self.handles[r.handle] = inode
            if r.flags & log.TRUNCATED:
                self._change(position, inode, r._replace(op=log.TRUNCATE, length=0))
        elif r.op in (log.WRITE, log.TRUNCATE, log.ALLOCATE):
            self._change(position, self.handles[r.handle], r)
        elif r.op == log.SYNC_BEGIN:
            self.begins[r.offset] = position
        elif r.op == log.SYNC_END:
            self._sync(position, self.handles[r.handle], self.begins[r.offset])
        elif r.op == log.MAKE_DIR:
            self._name(position, Inode(True), new=self._place(r.path))
        elif r.op == log.RENAME:
            self._name(position, self._find(r.path), self._place(r.path), self._place(r.path2))
        elif r.op == log.LINK:
            self._name(position, self._find(r.path), new=self._place(r.path2))
        elif r.op in (log.UNLINK, log.REMOVE_DIR):
            self._name(position, self._find(r.path), gone=self._place(r.path))

    def _change(self, position, inode, r):
        if not inode.changes:
            self.inodes.append(inode)
        inode.changes.append((position, r))
        if r.op == log.TRUNCATE:
            size = r.length
        elif r.flags & log.KEEP_SIZE:
            size = inode.size
        else:
            size = max(inode.size, r.offset + r.length)
        if size != inode.size or r.op != log.WRITE:
            inode.metadata = position
        inode.size = size

    def _sync(self, position, inode, begin):
        if position >= self.at - self.lying:
            return
        inode.synced = max(inode.synced, begin)
        if inode.metadata >= self.journal:
            self.journal = max(self.journal, begin)

    # ---- what the seed makes of it ----

    def whole(self, folder):
        """Everything that happened, as if synced."""
        self._build(Fate(self, "all", random.Random(0), strict=True, journal=self.at), folder)

    def power_loss(self, seed, mode, folder, style=None):
        """Builds the folder; returns a line that says what was done. The seed chooses the style if none is given."""
        pick = random.Random(f"{seed}/{self.at}/{mode}")
        style = style or pick.choice(STYLES)
        strict = mode == "strict"
        pending = [n for n in self.names if n.position >= self.journal]
        if style == "all" or not pending:
            journal = self.at
        elif style == "none":
            journal = self.journal
        else:
            journal = pick.choice([self.journal, self.at] + [n.position for n in pending])
        fate = Fate(self, style, pick, strict, journal)
        self._build(fate, folder)
        return f"{mode}, {style}: {fate.says()}"

    def _build(self, fate, folder):
        names = {}

        def entries(directory):
            return names.setdefault(directory, dict(directory.began))

        for change in self.names:
            if not fate.keeps_name(change):
                continue
            if change.gone and entries(change.gone[0]).get(change.gone[1]) is change.inode:
                del entries(change.gone[0])[change.gone[1]]
            if change.new:
                entries(change.new[0])[change.new[1]] = change.inode
        self._write(entries, self.root, Path(folder), fate, {})

    def _write(self, entries, inode, folder, fate, done):
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, child in entries(inode).items():
            path = folder / name
            if child.is_dir:
                self._write(entries, child, path, fate, done)
            elif child in done:
                os.link(done[child], path)
            else:
                done[child] = path
                fate.write(child, path)


class Fate:
    """Decides what becomes of everything that is not certainly on disk, and writes files accordingly."""

    def __init__(self, disk, style, pick, strict, journal):
        self.disk, self.style, self.pick, self.strict, self.journal = disk, style, pick, strict, journal
        open_changes = [p for inode in disk.inodes for p, _ in inode.changes if p >= inode.synced]
        open_changes += [change.position for change in disk.names if not self._synced(change)]
        self.cut = pick.choice(open_changes) if open_changes else 0
        self.share = pick.choice((0.1, 0.5, 0.9))  # of what survives, when all is mixed
        self.counts = {"kept": 0, "lost": 0, "torn": 0, "names kept": 0, "names lost": 0}

    def says(self):
        return ", ".join(f"{count} {what}" for what, count in self.counts.items() if count) or "all was synced"

    @staticmethod
    def _synced(change):
        return all(change.position < directory.synced for directory in change.directories())

    def _survives(self, position):
        if self.style == "early":
            return position < self.cut
        if self.style == "late":
            return position > self.cut
        return self.style == "all" or (self.style == "mixed" and self.pick.random() < self.share)

    def keeps_name(self, change):
        if self._synced(change) or (not self.strict and change.position < self.disk.journal):
            return True
        kept = self._survives(change.position) if self.strict else change.position < self.journal
        self.counts["names kept" if kept else "names lost"] += 1
        return kept

    def write(self, inode, path):
        if inode.base:
            shutil.copyfile(inode.base, path)
        lost = set()  # sectors that miss a write
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
            for position, r in inode.changes:
                certain = position < inode.synced
                if r.op == log.WRITE:
                    self._write(file, r, lost, (lambda sector: True) if certain else self._tear(position, r))
                elif certain or self._keeps_size(position):
                    self._resize(file, r, lost)

    def _keeps_size(self, position):
        if not self.strict:
            return position < self.journal
        return self._survives(position)

    @staticmethod
    def _resize(file, r, lost):
        size = os.fstat(file.fileno()).st_size
        if r.op == log.TRUNCATE:
            file.truncate(r.length)
            lost.difference_update([sector for sector in lost if sector * SECTOR >= r.length])
        elif not r.flags & log.KEEP_SIZE:
            file.truncate(max(size, r.offset + r.length))

    def _tear(self, position, r):
        """Which sectors of an unsynced write survive; None: none does."""
        torn = position == self.cut if self.style in ("early", "late") else self.pick.random() < 0.3
        if self.style in ("all", "none"):
            torn = False
        if not torn:
            kept = self._survives(position)
            self.counts["kept" if kept else "lost"] += 1
            return (lambda sector: True) if kept else None
        self.counts["torn"] += 1
        unit = self.pick.choice((SECTOR, PAGE)) // SECTOR
        first, last = r.offset // SECTOR // unit, (r.offset + r.length - 1) // SECTOR // unit
        shape, middle = self.pick.choice(("head", "tail", "some", "hole")), self.pick.randint(first, last)
        if shape == "head":
            return lambda sector: sector // unit < middle
        if shape == "tail":
            return lambda sector: sector // unit > middle
        if shape == "hole":
            return lambda sector: sector // unit != middle
        some = {}
        return lambda sector: some.setdefault(sector // unit, self.pick.random() < 0.5)

    def _write(self, file, r, lost, survives):
        begin, end = r.offset, r.offset + r.length
        sectors = range(begin // SECTOR, (end - 1) // SECTOR + 1)
        if survives is None:
            lost.update(sectors)
            if self.strict and end > os.fstat(file.fileno()).st_size and self.pick.random() < 0.5:
                file.truncate(end)
            return
        run = None
        for sector in sectors:
            if sector not in lost and survives(sector):
                run = sector * SECTOR if run is None else run
                continue
            lost.add(sector)
            if run is not None:
                self._put(file, r, max(run, begin), sector * SECTOR)
                run = None
        if run is not None:
            self._put(file, r, max(run, begin), end)

    def _put(self, file, r, begin, end):
        if r.flags & log.ZEROS and begin >= os.fstat(file.fileno()).st_size:
            file.truncate(end)  # a hole reads as zeros and costs nothing
            return
        os.pwrite(file.fileno(), self.disk.recording.data(r, begin - r.offset, end - r.offset), begin)


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("--at", type=int, help="how many records happened (default: all)")
    parser.add_argument("--seed", help="default: nothing is lost")
    parser.add_argument("--mode", choices=("strict", "ordered"), default="ordered")
    parser.add_argument("--style", choices=sorted(set(STYLES)), help="default: the seed chooses")
    parser.add_argument("--lying", type=int, default=0, metavar="WINDOW")
    parser.add_argument("--base", help="the folder as it was when the recording began, if it was not empty")
    parser.add_argument("--into", help="the folder to build")
    parser.add_argument("--list", action="store_true", help="print the records")
    arguments = parser.parse_args()

    recording = Recording(arguments.log)
    if arguments.list:
        for position, r in enumerate(recording.records):
            print(position, log.NAMES[r.op], r.handle or "", r.path, r.path2, r.offset, r.length, f"flags {r.flags}")
        return 0
    at = len(recording.records) if arguments.at is None else arguments.at
    disk = Disk(recording, at, arguments.lying, arguments.base)
    if arguments.seed is None:
        disk.whole(arguments.into)
    else:
        print(disk.power_loss(arguments.seed, arguments.mode, arguments.into, arguments.style))
    return 0


if __name__ == "__main__":
    sys.exit(run())
