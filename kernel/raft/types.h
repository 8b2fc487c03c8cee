// The words of raft: entries, states, messages, Ready. Values only.
//
// Names and meanings are those of etcd-io/raft's raftpb; kernel/raft/wire.h turns them into its bytes.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/ids.h"

namespace tenon::raft {

// What an entry carries. Raft sees bytes only. The member that proposed the entry may derive from it and keep the
// decoded request and the waiting caller beside the bytes: apply then needs no second decode and no lookup.
// Immutable once proposed; shared by the log, the WAL writer, the peers' queues and apply.
class Payload {
 public:
  explicit Payload(std::string b) : bytes(std::move(b)) {}
  virtual ~Payload() = default;
  const std::string bytes;
};

enum class EntryType : uint8_t { kNormal = 0, kConfChange = 1, kConfChangeV2 = 2 };

struct Entry {
  Term term;
  Index index;
  EntryType type = EntryType::kNormal;
  std::shared_ptr<const Payload> payload;  // null: empty, the entry that a new leader appends

  std::string_view bytes() const { return payload == nullptr ? std::string_view() : std::string_view(payload->bytes); }
};

// What must be on disk before a member may answer for it (thesis 3.8). commit is a hint that saves work at restart.
struct HardState {
  Term term;
  MemberId vote = 0;
  Index commit;
  bool operator==(const HardState&) const = default;
};

// The voters and learners; outgoing and learners_next are used during joint consensus (thesis 4.3).
struct ConfState {
  std::vector<MemberId> voters, learners, voters_outgoing, learners_next;
  bool auto_leave = false;
  bool operator==(const ConfState&) const = default;
};

struct SnapshotMeta {
  Index index;
  Term term;
  ConfState conf;
  bool operator==(const SnapshotMeta&) const = default;
};

enum class MessageType : uint8_t {
  kHup = 0,
  kBeat = 1,
  kProp = 2,
  kApp = 3,
  kAppResp = 4,
  kVote = 5,
  kVoteResp = 6,
  kSnap = 7,
  kHeartbeat = 8,
  kHeartbeatResp = 9,
  kUnreachable = 10,
  kSnapStatus = 11,
  kCheckQuorum = 12,
  kTransferLeader = 13,
  kTimeoutNow = 14,
  kReadIndex = 15,
  kReadIndexResp = 16,
  kPreVote = 17,
  kPreVoteResp = 18,
  kStorageAppend = 19,
  kStorageAppendResp = 20,
  kStorageApply = 21,
  kStorageApplyResp = 22,
  kForgetLeader = 23,
};

struct Message {
  MessageType type = MessageType::kHup;
  MemberId to = 0, from = 0;
  Term term;      // 0: local message
  Term log_term;  // term of the entry at `index`
  Index index;
  std::vector<Entry> entries;
  Index commit;
  std::optional<SnapshotMeta> snapshot;
  bool reject = false;
  Index reject_hint;
  uint64_t context = 0;  // kReadIndex*: the asker's name for it; kHeartbeat*: the round of reads; votes:
                         // kCampaignTransfer; 0: none
};

enum class Role : uint8_t { kFollower = 0, kCandidate = 1, kLeader = 2, kPreCandidate = 3 };

// Volatile; for the outside to look at.
struct SoftState {
  MemberId leader = 0;
  Role role = Role::kFollower;
  bool operator==(const SoftState&) const = default;
};

// A read round that got its index: serve it once `index` is applied (thesis 6.4).
struct ReadState {
  uint64_t context = 0;
  Index index;
};

// Everything that the world must do next. Carry it out in this order:
//   send `messages` at once; hand hard_state, entries and snapshot to the log writer; hand `committed` to apply.
//   The log writer puts entries in front of hard_state: a torn write must not leave a commit index without its entries.
//   When the log writer has them on disk: Step each of `after_append` that is addressed to this member, send the rest.
//   When `committed` is applied: Step AppliedMessage(last of committed).
// Several Readys may be in the log writer and in apply at a time; each answers in order.
struct Ready {
  std::optional<SoftState> soft_state;  // changed
  std::optional<HardState> hard_state;  // changed: to be written
  std::vector<Entry> entries;           // to be appended; cuts off what the log has at and behind the first one's index
  std::optional<SnapshotMeta> snapshot;  // to be installed instead of the log before it
  bool must_sync = false;                // entries, snapshot, term or vote: fdatasync before after_append counts
  std::vector<Message> messages;         // to peers, now
  std::vector<Message> after_append;     // only once the above is durable
  std::vector<Entry> committed;          // to be applied; all of them are in this member's own log on disk
  std::vector<ReadState> reads;

  bool has_storage_work() const { return hard_state || !entries.empty() || snapshot || !after_append.empty(); }
};

}  // namespace tenon::raft
