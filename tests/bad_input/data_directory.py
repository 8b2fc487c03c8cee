"""Data directories that are not this server's to open."""

import hashlib
import tarfile
from pathlib import Path

from harness.server import Server

ETCD_DATA = Path(__file__).with_name("etcd-data.tar.xz")  # made by etcd_data.py


def _digest(folder):
    """{relative path: content's digest}"""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def second_process(report, binary, folder, storage):
    """A second process on a data directory in use ends with an error; the first one does not notice."""
    with Server(binary, folder / "first", storage=storage) as first:
        if first.is_etcd:
            report.skip("a second process", "etcd waits for the lock and does not end")
            return
        first.start()
        with first.client() as client:
            assert client.put(b"mine", b"1").ok
            with Server(binary, folder / "second", storage=storage) as second:
                second.data_dir = first.data_dir
                second.launch()
                code = second.wait_exit()
                text = second.log_tail()
            report.check(
                "a second process on the data directory is refused",
                code not in (0, None) and code > 0,
                f"exit code {code}\n{text}",
            )
            report.check("and says which directory", str(first.data_dir) in text, text)
            report.check("the first one goes on", client.put(b"mine", b"2").ok and client.range(b"mine").ok)
        first.kill()
        first.start()
        with first.client() as client:
            report.check("and restarts with its data", client.range(b"mine").message.kvs[0].value == b"2")
        first.stop()


def etcd_directory(report, binary, folder, storage):
    """etcd's data directory is refused and left as it was."""
    with Server(binary, folder, storage=storage) as server:
        if server.is_etcd:
            report.skip("etcd's data directory", "this is etcd")
            return
        server.data_dir.mkdir(mode=0o700, parents=True)
        with tarfile.open(ETCD_DATA) as archive:
            archive.extractall(server.data_dir)
        before = _digest(server.data_dir)
        server.launch()
        code = server.wait_exit()
        report.check("etcd's data directory is refused", code > 0, f"exit code {code}\n{server.log_tail()}")
        report.check("and the text names etcd", "etcd" in server.log_tail().lower(), server.log_tail())
        report.equal("and no file of it has changed", _digest(server.data_dir), before)


def damaged_engine(report, binary, folder, storage):
    """An engine that cannot be opened ends the start with an error that names the file, not with a crash."""
    with Server(binary, folder, storage=storage) as server:
        if server.is_etcd or storage == "memory":
            report.skip("a damaged engine", "this damages a file of WiredTiger")
            return
        server.start()
        server.stop()
        turtle = server.data_dir / "member/engine/wt/WiredTiger.turtle"
        turtle.write_bytes(b"")
        server.launch()
        code = server.wait_exit()
        report.equal("a damaged engine is refused", code, 1)
        report.check("and the text names its file", str(turtle) in server.log_tail(), server.log_tail())


STORIES = [second_process, etcd_directory, damaged_engine]
