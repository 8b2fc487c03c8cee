// What tenonpb.Peer looks like on the wire, for both of its ends and both transports.
#pragma once
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fmt/format.h"

namespace tenon::transport {

constexpr std::string_view kPeerService = "/tenonpb.Peer/";
constexpr std::string_view kPeerMessages = "/tenonpb.Peer/Messages";  // client stream; all else is unary
// Answered by the module itself, for transports whose library does not let them send HTTP/2's own pings.
constexpr std::string_view kPeerPing = "/tenonpb.Peer/Ping";
// What a request says of itself; the headers that take a stream of messages say kFromKey, too, and thereby differ from
// a refusal, which has none.
constexpr std::string_view kClusterKey = "tenon-cluster-id", kFromKey = "tenon-from", kToKey = "tenon-to";

// A snapshot is no message, so the largest are appends of one entry, which may be a request of etcd's largest kind.
constexpr size_t kMaxPeerMessage = (64 << 20) + (1 << 20);
// Of each direction's queue for one member. What waits longer than this is better lost: raft sends anew what counts.
constexpr size_t kMaxQueuedMessages = 4096, kMaxQueuedBytes = 64 << 20;
constexpr uint64_t kFirstBackoffNs = 10'000'000, kMaxBackoffNs = 1'000'000'000;
// A peer that says nothing for so long, though asked, is gone; so is one that does not answer a new connection.
constexpr uint64_t kPingNs = 1'000'000'000, kSilenceNs = 5'000'000'000;
constexpr int32_t kPeerStreamWindow = 4 << 20, kPeerConnectionWindow = 16 << 20;

// Large answers that may take a while share the connection of the entries.
inline bool IsBulkCall(std::string_view method) { return method == "OpenState" || method == "ReadState"; }

inline std::string PeerId(uint64_t id) { return fmt::format("{:x}", id); }
inline std::optional<uint64_t> ParsePeerId(std::string_view text) {
  uint64_t id = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, id, 16);
  if (text.empty() || text.size() > 16 || error != std::errc() || end != last) return std::nullopt;
  return id;
}

}  // namespace tenon::transport
