"""Requests over plain HTTP, and what of their replies is compared."""

import http.client
import json

# name, listener, method, target, headers
CASES = [
    ("health", "client", "GET", "/health", {}),
    ("health.serializable", "client", "GET", "/health?serializable=true", {}),
    ("health.post", "client", "POST", "/health", {}),
    ("health.head", "client", "HEAD", "/health", {}),
    ("health.slash", "client", "GET", "/health/", {}),
    ("health.escaped", "client", "GET", "/%68ealth", {}),
    ("health.bad-escape", "client", "GET", "/he%zz", {}),
    ("health.semicolon", "client", "GET", "/health?serializable=true;x", {}),
    ("livez", "client", "GET", "/livez", {}),
    ("livez.verbose", "client", "GET", "/livez?verbose", {}),
    ("livez.check", "client", "GET", "/livez/serializable_read?verbose", {}),
    ("livez.no-such-check", "client", "GET", "/livez/linearizable_read", {}),
    ("livez.head", "client", "HEAD", "/livez", {}),
    ("readyz", "client", "GET", "/readyz", {}),
    ("readyz.verbose", "client", "GET", "/readyz?verbose", {}),
    ("readyz.verbose-false", "client", "GET", "/readyz?verbose=false", {}),
    ("readyz.exclude", "client", "GET", "/readyz?verbose&exclude=serializable_read&exclude=linearizable_read", {}),
    ("readyz.exclude-all", "client", "GET",
     "/readyz?exclude=data_corruption&exclude=non_learner&exclude=serializable_read&exclude=linearizable_read", {}),
    ("readyz.exclude-unknown", "client", "GET", "/readyz?verbose&exclude=nosuch", {}),
    ("readyz.allowlist", "client", "GET", "/readyz?verbose&allowlist=non_learner", {}),
    ("readyz.data_corruption", "client", "GET", "/readyz/data_corruption", {}),
    ("readyz.serializable_read", "client", "GET", "/readyz/serializable_read?verbose", {}),
    ("readyz.linearizable_read", "client", "GET", "/readyz/linearizable_read?verbose", {}),
    ("readyz.non_learner", "client", "GET", "/readyz/non_learner?verbose", {}),
    ("readyz.slash", "client", "GET", "/readyz/", {}),
    ("readyz.delete", "client", "DELETE", "/readyz", {}),
    ("version", "client", "GET", "/version", {}),
    ("version.post", "client", "POST", "/version", {}),
    ("version.query", "client", "GET", "/version?x=y", {}),
    ("vars", "client", "GET", "/debug/vars", {}),
    ("vars.put", "client", "PUT", "/debug/vars", {}),
    ("metrics", "client", "GET", "/metrics", {}),
    ("metrics.post", "client", "POST", "/metrics", {}),
    ("metrics.head", "client", "HEAD", "/metrics", {}),
    ("root", "client", "GET", "/", {}),
    ("root.post", "client", "POST", "/", {}),
    ("root.options", "client", "OPTIONS", "/", {}),
    ("unknown", "client", "GET", "/nosuch", {}),
    ("unknown.options", "client", "OPTIONS", "/nosuch", {}),
    ("unknown.debug", "client", "GET", "/debug/", {}),
    ("unknown.v2", "client", "GET", "/v2/keys", {}),
    ("gateway.range", "client", "POST", "/v3/kv/range", {"content-type": "application/json"}),
    ("gateway.get", "client", "GET", "/v3/kv/range", {}),
    ("clean.double", "client", "GET", "//health", {}),
    ("clean.dot", "client", "GET", "/./health?a=1&b=<x>", {}),
    ("clean.dots", "client", "GET", "/health/../version", {}),
    ("clean.above", "client", "GET", "/../../a/", {}),
    ("clean.post", "client", "POST", "//health", {}),
    ("origin", "client", "GET", "/health", {"origin": "http://example.com"}),
    ("m.health", "metrics", "GET", "/health", {}),
    ("m.livez", "metrics", "GET", "/livez?verbose", {}),
    ("m.readyz", "metrics", "GET", "/readyz?verbose", {}),
    ("m.metrics", "metrics", "GET", "/metrics", {}),
    ("m.version", "metrics", "GET", "/version", {}),
    ("m.vars", "metrics", "GET", "/debug/vars", {}),
    ("m.root", "metrics", "GET", "/", {}),
    ("m.options", "metrics", "OPTIONS", "/health", {}),
    ("m.clean", "metrics", "GET", "//health", {}),
]

# The same requests while an alarm is raised.
ALARM_CASES = [
    ("health", "client", "GET", "/health", {}),
    ("health.exclude-nospace", "client", "GET", "/health?exclude=NOSPACE", {}),
    ("health.exclude-corrupt", "client", "GET", "/health?exclude=CORRUPT", {}),
    ("health.exclude-both", "client", "GET", "/health?exclude=NOSPACE&exclude=CORRUPT", {}),
    ("health.exclude-list", "client", "GET", "/health?exclude=NOSPACE,CORRUPT", {}),
    ("livez", "client", "GET", "/livez?verbose", {}),
    ("readyz", "client", "GET", "/readyz?verbose", {}),
    ("readyz.data_corruption", "client", "GET", "/readyz/data_corruption", {}),
    ("readyz.exclude", "client", "GET", "/readyz?exclude=data_corruption", {}),
    ("m.health", "metrics", "GET", "/health", {}),
]

HEADERS = (
    "content-type",
    "allow",
    "location",
    "x-content-type-options",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
)


def send(address, method, target, headers=None, timeout=20):
    """(status, {header: value}, body) of one request on a connection of its own."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if method in ("POST", "PUT"):
            connection.putheader("content-length", "2")
        connection.endheaders()
        if method in ("POST", "PUT"):
            connection.send(b"{}")
        response = connection.getresponse()
        body = response.read().decode()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, body
    finally:
        connection.close()


def comparable(target, reply):
    """What of a reply two servers must have in common."""
    status, headers, body = reply
    path = target.split("?")[0]
    if path == "/metrics" and status == 200:
        body = "(compared by names)"
    elif path == "/debug/vars" and status == 200:
        # Go's garbage collector has no counterpart.
        body = "keys: " + " ".join(sorted(set(json.loads(body)) - {"memstats"}))
    elif path in ("/readyz", "/livez"):
        # etcd runs the checks in another order each time.
        lines = body.splitlines(keepends=True)
        checks = sorted(line for line in lines if line.startswith("["))
        body = "".join(checks + [line for line in lines if not line.startswith("[")])
    return {"status": status, "headers": {n: headers[n] for n in HEADERS if n in headers}, "body": body}
