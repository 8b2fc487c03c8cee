"""The messages of proto/*.proto as Python classes, made by protoc into the build folder at the first import."""

import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
PROTO = ROOT / "proto"
FILES = ("kv", "auth", "rpc", "health", "v3lock", "v3election", "reflection_v1", "reflection_v1alpha")


def build_folder():
    return Path(os.environ.get("TENON_BUILD", ROOT / "build"))


def generate():
    """Returns a folder with up-to-date *_pb2.py files; safe when several tests begin at once."""
    out = build_folder() / "py-proto"
    newest = max((PROTO / f"{name}.proto").stat().st_mtime for name in FILES)
    marks = [out / f"{name}_pb2.py" for name in FILES]
    if all(mark.exists() and mark.stat().st_mtime >= newest for mark in marks):
        return out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as fresh:
        subprocess.run(
            ["protoc", f"--python_out={fresh}", f"-I{PROTO}", *[f"{name}.proto" for name in FILES]], check=True
        )
        for name in FILES:
            os.replace(Path(fresh) / f"{name}_pb2.py", out / f"{name}_pb2.py")
    return out


sys.path.insert(0, str(generate()))
try:
    rpc = importlib.import_module("rpc_pb2")
except ModuleNotFoundError as missing:
    sys.exit(f"{sys.executable} has no module {missing.name!r}: the suites want Debian's /usr/bin/python3 and its "
             "packages (./dev install-deps)")
kv = importlib.import_module("kv_pb2")
health = importlib.import_module("health_pb2")
lock = importlib.import_module("v3lock_pb2")
election = importlib.import_module("v3election_pb2")
reflection = importlib.import_module("reflection_v1_pb2")
reflection_alpha = importlib.import_module("reflection_v1alpha_pb2")


def message_class(descriptor):
    return descriptor._concrete_class


# "/etcdserverpb.KV/Range" -> its MethodDescriptor.
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for module in (rpc, health, lock, election, reflection, reflection_alpha)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}

# Methods whose answer is a stream (python's descriptors of protobuf 3.21 do not tell).
STREAMING = {
    "/etcdserverpb.KV/RangeStream",
    "/etcdserverpb.Watch/Watch",
    "/etcdserverpb.Lease/LeaseKeepAlive",
    "/etcdserverpb.Maintenance/Snapshot",
    "/grpc.health.v1.Health/Watch",
    "/v3electionpb.Election/Observe",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
}

# Short names for the calls that tests make all the time.
KV = "/etcdserverpb.KV/"
LEASE = "/etcdserverpb.Lease/"
LOCK = "/v3lockpb.Lock/"
ELECTION = "/v3electionpb.Election/"
MAINTENANCE = "/etcdserverpb.Maintenance/"
WATCH = "/etcdserverpb.Watch/"
CLUSTER = "/etcdserverpb.Cluster/"
