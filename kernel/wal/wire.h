// raft's values as raftpb bytes (proto/raft.proto): in the log, and between members.
//
// Written by hand: an entry's payload goes from its own string straight into the target, with no protobuf message in
// between. Numbers are written even when they are zero, as etcd does. Reading accepts whatever protobuf accepts
// (any order, unknown fields, the last of several wins); InvalidArgument says what is wrong. Values only, no state.
#pragma once
#include <string>
#include <string_view>

#include "kernel/base/coding.h"
#include "kernel/base/status.h"
#include "kernel/raft/types.h"

namespace tenon::raft {

// The bytes of an entry up to its payload, which follows as it is.
class EntryHead {
 public:
  explicit EntryHead(const Entry& entry);
  std::string_view bytes() const { return {bytes_, size_}; }

 private:
  static constexpr size_t kMaxSize = 2 + (1 + 10) + (1 + 10) + (1 + 10);  // type, term, index, data's length
  char bytes_[kMaxSize];
  size_t size_;
};

void AppendEntry(std::string& to, const Entry& entry);
void AppendHardState(std::string& to, const HardState& state);
void AppendConfState(std::string& to, const ConfState& conf);
void AppendSnapshotMeta(std::string& to, const SnapshotMeta& meta);  // raftpb.SnapshotMetadata
void AppendMessage(std::string& to, const Message& message);

Result<Entry> DecodeEntry(std::string_view bytes);
// The log's checksum does not cover a record's type, so that one flipped bit turns an entry into a state: `strict`
// refuses fields that a HardState does not have.
Result<HardState> DecodeHardState(std::string_view bytes, bool strict = false);
Result<ConfState> DecodeConfState(std::string_view bytes);
Result<SnapshotMeta> DecodeSnapshotMeta(std::string_view bytes);
Result<Message> DecodeMessage(std::string_view bytes);

}  // namespace tenon::raft

namespace tenon::wal {

// walpb.Snapshot: the same values as SnapshotMetadata under other numbers. etcd wants conf_state in each but the first.
void AppendSnapshotRecord(std::string& to, const raft::SnapshotMeta& meta);
Result<raft::SnapshotMeta> DecodeSnapshotRecord(std::string_view bytes);

}  // namespace tenon::wal
