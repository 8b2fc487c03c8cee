#include "kernel/wal/wire.h"

#include <limits>
#include <utility>

namespace tenon::raft {
namespace {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

constexpr uint8_t Tag(uint32_t field, WireType type) { return static_cast<uint8_t>(field << 3 | type); }

Status Bad(std::string_view what, std::string_view why) {
  return Status(StatusCode::kInvalidArgument, ToAbsl(fmt::format("raftpb.{}: {}", what, why)));
}

// One field after the other of a message. Groups, which none of ours has, are an error.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  // False at the end and at an error: ask ok().
  bool Next() {
    if (!ok_ || rest_.empty()) return false;
    uint64_t tag = 0;
    ok_ = TakeVarint(rest_, tag) && tag >> 3 != 0 && tag <= std::numeric_limits<uint32_t>::max();
    if (!ok_) return false;
    field_ = static_cast<uint32_t>(tag >> 3);
    type_ = static_cast<WireType>(tag & 7);
    switch (type_) {
      case kVarint: return ok_ = TakeVarint(rest_, number_);
      case kBytes: return ok_ = TakeVarint(rest_, number_) && Take(number_);
      case kFixed64: return ok_ = Take(8);
      case kFixed32: return ok_ = Take(4);
    }
    return ok_ = false;
  }
  bool ok() const { return ok_; }

  bool Is(uint32_t field, WireType type) const { return field_ == field && type_ == type; }
  uint64_t number() const { return number_; }
  std::string_view bytes() const { return bytes_; }

 private:
  bool Take(uint64_t n) {
    if (n > rest_.size()) return false;
    bytes_ = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return true;
  }

  std::string_view rest_, bytes_;
  uint32_t field_ = 0;
  WireType type_ = kVarint;
  uint64_t number_ = 0;
  bool ok_ = true;
};

void PutNumber(std::string& to, uint32_t field, uint64_t v) {
  to.push_back(static_cast<char>(Tag(field, kVarint)));
  AppendVarint(to, v);
}
void PutBytes(std::string& to, uint32_t field, std::string_view v) {
  to.push_back(static_cast<char>(Tag(field, kBytes)));
  AppendVarint(to, v.size());
  to.append(v);
}
void PutMembers(std::string& to, uint32_t field, const std::vector<MemberId>& ids) {
  for (const MemberId id : ids) PutNumber(to, field, id);  // proto2: not packed
}

// A repeated number: one, or packed.
bool TakeMembers(const FieldReader& f, uint32_t field, std::vector<MemberId>& to) {
  if (f.Is(field, kVarint)) {
    to.push_back(f.number());
    return true;
  }
  if (!f.Is(field, kBytes)) return true;
  for (std::string_view packed = f.bytes(); !packed.empty();) {
    uint64_t id = 0;
    if (!TakeVarint(packed, id)) return false;
    to.push_back(id);
  }
  return true;
}

}  // namespace

EntryHead::EntryHead(const Entry& entry) {
  char* p = bytes_;
  *p++ = static_cast<char>(Tag(1, kVarint));
  *p++ = static_cast<char>(entry.type);
  *p++ = static_cast<char>(Tag(2, kVarint));
  p = PutVarint(p, entry.term.value);
  *p++ = static_cast<char>(Tag(3, kVarint));
  p = PutVarint(p, entry.index.value);
  if (entry.payload != nullptr) {
    *p++ = static_cast<char>(Tag(4, kBytes));
    p = PutVarint(p, entry.payload->bytes.size());
  }
  size_ = static_cast<size_t>(p - bytes_);
}

void AppendEntry(std::string& to, const Entry& entry) {
  to.append(EntryHead(entry).bytes());
  to.append(entry.bytes());
}

void AppendHardState(std::string& to, const HardState& state) {
  PutNumber(to, 1, state.term.value);
  PutNumber(to, 2, state.vote);
  PutNumber(to, 3, state.commit.value);
}

void AppendConfState(std::string& to, const ConfState& conf) {
  PutMembers(to, 1, conf.voters);
  PutMembers(to, 2, conf.learners);
  PutMembers(to, 3, conf.voters_outgoing);
  PutMembers(to, 4, conf.learners_next);
  PutNumber(to, 5, conf.auto_leave ? 1 : 0);
}

void AppendSnapshotMeta(std::string& to, const SnapshotMeta& meta) {
  std::string conf;
  AppendConfState(conf, meta.conf);
  PutBytes(to, 1, conf);
  PutNumber(to, 2, meta.index.value);
  PutNumber(to, 3, meta.term.value);
}

void AppendMessage(std::string& to, const Message& m) {
  PutNumber(to, 1, static_cast<uint64_t>(m.type));
  PutNumber(to, 2, m.to);
  PutNumber(to, 3, m.from);
  PutNumber(to, 4, m.term.value);
  PutNumber(to, 5, m.log_term.value);
  PutNumber(to, 6, m.index.value);
  for (const Entry& entry : m.entries) {
    const EntryHead head(entry);
    to.push_back(static_cast<char>(Tag(7, kBytes)));
    AppendVarint(to, head.bytes().size() + entry.bytes().size());
    to.append(head.bytes());
    to.append(entry.bytes());
  }
  PutNumber(to, 8, m.commit.value);
  if (m.snapshot) {
    std::string meta, snapshot;
    AppendSnapshotMeta(meta, *m.snapshot);
    PutBytes(snapshot, 2, meta);
    PutBytes(to, 9, snapshot);
  }
  PutNumber(to, 10, m.reject ? 1 : 0);
  PutNumber(to, 11, m.reject_hint.value);
  if (m.context != 0) {
    char context[8];
    PutBigEndian64(context, m.context);
    PutBytes(to, 12, {context, sizeof context});
  }
}

Result<Entry> DecodeEntry(std::string_view bytes) {
  Entry entry;
  FieldReader f(bytes);
  while (f.Next()) {
    if (f.Is(1, kVarint)) {
      if (f.number() > static_cast<uint64_t>(EntryType::kConfChangeV2)) return Bad("Entry", "unknown type");
      entry.type = static_cast<EntryType>(f.number());
    } else if (f.Is(2, kVarint)) {
      entry.term = Term(f.number());
    } else if (f.Is(3, kVarint)) {
      entry.index = Index(f.number());
    } else if (f.Is(4, kBytes)) {
      entry.payload = f.bytes().empty() ? nullptr : std::make_shared<Payload>(std::string(f.bytes()));
    }
  }
  if (!f.ok()) return Bad("Entry", "malformed");
  return entry;
}

Result<HardState> DecodeHardState(std::string_view bytes, bool strict) {
  HardState state;
  FieldReader f(bytes);
  while (f.Next()) {
    if (f.Is(1, kVarint)) {
      state.term = Term(f.number());
    } else if (f.Is(2, kVarint)) {
      state.vote = f.number();
    } else if (f.Is(3, kVarint)) {
      state.commit = Index(f.number());
    } else if (strict) {
      return Bad("HardState", "unknown field");
    }
  }
  if (!f.ok()) return Bad("HardState", "malformed");
  return state;
}

Result<ConfState> DecodeConfState(std::string_view bytes) {
  ConfState conf;
  FieldReader f(bytes);
  bool ok = true;
  while (ok && f.Next()) {
    ok = TakeMembers(f, 1, conf.voters) && TakeMembers(f, 2, conf.learners) &&
         TakeMembers(f, 3, conf.voters_outgoing) && TakeMembers(f, 4, conf.learners_next);
    if (f.Is(5, kVarint)) conf.auto_leave = f.number() != 0;
  }
  if (!ok || !f.ok()) return Bad("ConfState", "malformed");
  return conf;
}

Result<SnapshotMeta> DecodeSnapshotMeta(std::string_view bytes) {
  SnapshotMeta meta;
  FieldReader f(bytes);
  while (f.Next()) {
    if (f.Is(1, kBytes)) {
      ASSIGN_OR_RETURN(meta.conf, DecodeConfState(f.bytes()));
    } else if (f.Is(2, kVarint)) {
      meta.index = Index(f.number());
    } else if (f.Is(3, kVarint)) {
      meta.term = Term(f.number());
    }
  }
  if (!f.ok()) return Bad("SnapshotMetadata", "malformed");
  return meta;
}

namespace {

Result<SnapshotMeta> DecodeSnapshot(std::string_view bytes) {
  SnapshotMeta meta;
  FieldReader f(bytes);
  while (f.Next()) {
    if (f.Is(2, kBytes)) {
      ASSIGN_OR_RETURN(meta, DecodeSnapshotMeta(f.bytes()));
    }
  }
  if (!f.ok()) return Bad("Snapshot", "malformed");
  return meta;
}

}  // namespace

Result<Message> DecodeMessage(std::string_view bytes) {
  Message m;
  FieldReader f(bytes);
  while (f.Next()) {
    if (f.Is(1, kVarint)) {
      if (f.number() > static_cast<uint64_t>(MessageType::kForgetLeader)) return Bad("Message", "unknown type");
      m.type = static_cast<MessageType>(f.number());
    } else if (f.Is(2, kVarint)) {
      m.to = f.number();
    } else if (f.Is(3, kVarint)) {
      m.from = f.number();
    } else if (f.Is(4, kVarint)) {
      m.term = Term(f.number());
    } else if (f.Is(5, kVarint)) {
      m.log_term = Term(f.number());
    } else if (f.Is(6, kVarint)) {
      m.index = Index(f.number());
    } else if (f.Is(7, kBytes)) {
      ASSIGN_OR_RETURN(Entry entry, DecodeEntry(f.bytes()));
      m.entries.push_back(std::move(entry));
    } else if (f.Is(8, kVarint)) {
      m.commit = Index(f.number());
    } else if (f.Is(9, kBytes)) {
      ASSIGN_OR_RETURN(m.snapshot, DecodeSnapshot(f.bytes()));
    } else if (f.Is(10, kVarint)) {
      m.reject = f.number() != 0;
    } else if (f.Is(11, kVarint)) {
      m.reject_hint = Index(f.number());
    } else if (f.Is(12, kBytes) && !f.bytes().empty()) {
      if (f.bytes().size() != 8) return Bad("Message", "a context has 8 bytes");
      m.context = GetBigEndian64(f.bytes().data());
    }
  }
  if (!f.ok()) return Bad("Message", "malformed");
  return m;
}

}  // namespace tenon::raft

namespace tenon::wal {

void AppendSnapshotRecord(std::string& to, const raft::SnapshotMeta& meta) {
  raft::PutNumber(to, 1, meta.index.value);
  raft::PutNumber(to, 2, meta.term.value);
  if (meta.index == Index(0)) return;
  std::string conf;
  raft::AppendConfState(conf, meta.conf);
  raft::PutBytes(to, 3, conf);
}

Result<raft::SnapshotMeta> DecodeSnapshotRecord(std::string_view bytes) {
  raft::SnapshotMeta meta;
  raft::FieldReader f(bytes);
  while (f.Next()) {
    if (f.Is(1, raft::kVarint)) {
      meta.index = Index(f.number());
    } else if (f.Is(2, raft::kVarint)) {
      meta.term = Term(f.number());
    } else if (f.Is(3, raft::kBytes)) {
      ASSIGN_OR_RETURN(meta.conf, raft::DecodeConfState(f.bytes()));
    }
  }
  if (!f.ok()) return raft::Bad("Snapshot", "malformed");
  return meta;
}

}  // namespace tenon::wal
