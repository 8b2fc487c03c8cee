"""Groups of cases. A group gets fresh servers; its cases run in order on them, each on an empty key space."""

import importlib

GROUPS = ("range", "put_delete", "txn", "compact", "stream", "lease", "maintenance", "cluster", "watch", "wire", "quota", "concurrency")
_cases = {}


def case(function):
    _cases.setdefault(function.__module__, []).append(function)
    return function


def settings(group):
    """What the group's servers are started with beside the usual: FLAGS for both, MODULES for Tenon."""
    module = importlib.import_module(f"cases_{group}")
    return {"flags": getattr(module, "FLAGS", None), "modules": getattr(module, "MODULES", None)}


def cases(group):
    module = importlib.import_module(f"cases_{group}")
    return _cases.get(module.__name__, [])
