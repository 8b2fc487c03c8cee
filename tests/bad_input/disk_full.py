"""A disk that runs full: NOSPACE before the engine sees it, and no restart once there is room again."""

import os
import subprocess

from harness.client import prefix
from harness.server import Server
from harness.wait import Deadline, until

DISK_MIB = 512
ROOM_MIB = 24
VALUE = b"x" * 200_000
NO_SPACE = ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded")


def _mount(folder):
    """A tmpfs of DISK_MIB on `folder`; None, or why not."""
    if os.geteuid() != 0:
        return "needs root to mount a small disk"
    folder.mkdir(parents=True)
    result = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    return result.stderr.strip() if result.returncode else None


def _free(folder):
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


def disk_full(report, binary, folder, storage):
    disk = folder / "disk"
    reason = _mount(disk)
    if reason:
        report.skip("a full disk", reason)
        return
    try:
        with Server(binary, folder / "server", storage=storage) as server:
            if server.is_etcd:
                report.skip("a full disk", "etcd stops when its write fails")
                return
            server.data_dir = disk / "data"
            _fill_and_free(report, server, disk)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def _fill(disk):
    """Leaves ROOM_MIB; returns the file that took the rest."""
    filler = disk / "filler"
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, _free(disk) - (ROOM_MIB << 20)))
    return filler


def _alarm(client):
    return any(alarm.alarm == 1 for alarm in client.alarm("GET").message.alarms)


def _expect(report, name, condition, seconds, server):
    try:
        until(condition, seconds, name)
        report.check(name, True)
    except Deadline as error:
        report.check(name, False, f"{error}\n{server.log_tail()}")


def _fill_and_free(report, server, disk):
    server.start()
    acknowledged = {}
    with server.client() as client:

        def put(number):
            reply = client.put(b"full/%05d" % number, VALUE)
            if reply.ok:
                acknowledged[b"full/%05d" % number] = reply.message.header.revision
            return reply

        for number in range(20):
            assert put(number).ok
        ballast = server.data_dir / "member/ballast"
        until(ballast.exists, 60, "the ballast is laid by")
        filler = _fill(disk)

        refusal = None
        for number in range(20, 20 + DISK_MIB * 5):
            reply = put(number)
            if not reply.ok:
                refusal = reply
                break
        report.check(
            "a put on a full disk is refused with NOSPACE",
            refusal is not None and (refusal.code, refusal.text) == NO_SPACE,
            f"{refusal}\n{server.log_tail()}",
        )
        if not report.check("the server lives", server.process.poll() is None, server.log_tail):
            return

        try:
            until(lambda: _alarm(client), 60, "the alarm is raised")
            report.check("the alarm is raised", True)
        except Deadline as error:
            report.check("the alarm is raised", False, str(error))
        _expect(report, "the ballast is given back", lambda: not ballast.exists(), 60, server)
        reply = client.range(**prefix(b"full/"), keys_only=True)
        report.check("reads work", reply.ok and reply.message.count == len(acknowledged), str(reply)[:300])
        report.check("a second put is refused alike", (put(99999).code, put(99999).text) == NO_SPACE)
        gone = list(acknowledged)[:10]
        deleted = [client.delete(key) for key in gone]
        report.check(
            "deletes work", all(reply.ok and reply.message.deleted == 1 for reply in deleted), str(deleted)[:300]
        )
        for key in gone:
            del acknowledged[key]
        compacted = client.compact(client.range(b"x").message.header.revision, physical=True)
        report.check("compaction works", compacted.ok, str(compacted))

        filler.unlink()

        def recovers():
            for alarm in client.alarm("GET").message.alarms:
                client.alarm("DEACTIVATE", "NOSPACE", alarm.memberID)
            return put(30000).ok

        try:
            until(recovers, 60, "puts work again", interval=0.1)
            report.check("puts work again after space is freed, without a restart", True)
        except Deadline as error:
            report.check(
                "puts work again after space is freed, without a restart", False, f"{error}\n{server.log_tail()}"
            )
    server.kill()
    server.start()
    with server.client() as client:
        reply = client.range(**prefix(b"full/"), keys_only=True)
        held = {item.key: item.mod_revision for item in reply.message.kvs}
        report.check(
            "after kill -9 everything acknowledged is there",
            held == acknowledged,
            lambda: f"missing {sorted(acknowledged.keys() - held)[:5]}, more {sorted(held.keys() - acknowledged)[:5]}",
        )
        filler = _fill(disk)
        _expect(report, "the alarm is raised again", lambda: _alarm(client), 60, server)
    server.kill()
    filler.unlink()
    server.start()
    with server.client() as client:
        _expect(
            report, "after a restart with space the alarm goes by itself", lambda: not _alarm(client), 60, server
        )
        report.check("puts work then", put_one(client).ok)
        _expect(report, "the ballast is laid by again", ballast.exists, 60, server)
    server.stop()


def put_one(client):
    return client.put(b"full/last", VALUE)


STORIES = [disk_full]
