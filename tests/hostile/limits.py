"""What each attack may cost: how far the server's anonymous memory may grow, in MiB. The one table of such numbers.

The default is for a flood, which a server must bear in what its connections and its allocator hold anyway. The others
say why they may have more.
"""

DEFAULT_MIB = 64

MEMORY_MIB = {
    # 20,000 connections: 6 KB each is transport-h2's goal, and what lies in an allocator's arenas comes on top.
    "idle": {"h2": 160, "grpc": 1400},
    "idle-silent": {"h2": 64, "grpc": 400},
    # 200 answers of 1 MB: they were asked for. Held as they are until the client takes them, and once more in pieces.
    "zero-window": {"h2": 450, "grpc": 450},
    "one-byte-windows": {"h2": 450, "grpc": 450},
    "never-read": {"h2": 450, "grpc": 450},
    # Streams that stay open: as many as max-concurrent-streams lets, at less than 3 KB each for transport-h2.
    "open-streams": {"h2": 320, "grpc": 900},
    # gRPC C++ 1.51 keeps some 12 kB of each stream that is reset at once for a while; it has no limit to set.
    "rapid-reset": {"h2": 64, "grpc": 700},
    "rapid-reset-open": {"h2": 64, "grpc": 700},
    "made-you-reset-window-zero": {"h2": 64, "grpc": 700},
    "made-you-reset-window-overflow": {"h2": 64, "grpc": 700},
    "made-you-reset-data": {"h2": 64, "grpc": 700},
    "made-you-reset-headers": {"h2": 64, "grpc": 700},
    "made-you-reset-priority": {"h2": 64, "grpc": 700},
    "made-you-reset-priority-size": {"h2": 64, "grpc": 700},
    "made-you-reset-content-length": {"h2": 64, "grpc": 700},
    # It answers whatever is asked, without a bound on the answers that nobody reads.
    "ping-unread": {"h2": 64, "grpc": 700},
    "settings-unread": {"h2": 64, "grpc": 700},
}

# Where a transport misses the doubled p99, and why that is borne. (transport, attack): reason.
SLOWER = {}


def memory_mib(transport, attack):
    return MEMORY_MIB.get(attack, {}).get(transport, DEFAULT_MIB)
