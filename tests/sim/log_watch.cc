#include "tests/sim/log_watch.h"

#include "fmt/format.h"
#include "kernel/wal/record.h"
#include "proto/raft.pb.h"
#include "tests/sim/random.h"

namespace tenon::sim {

void LogWatch::Synced(size_t machine, const std::string& path, Reader read) {
  Log& log = logs_[machine];
  uint64_t& at = log.read[path];
  for (;;) {
    // A frame begins with its length: 7 bytes, and how much of it is padding.
    const std::string head = read(at, 8);
    uint64_t length = 0;
    for (size_t i = 0; i < 7 && i < head.size(); i++) length |= uint64_t{static_cast<unsigned char>(head[i])} << 8 * i;
    if (length == 0) return;
    const std::string bytes = read(at, 8 + length + 8);
    const wal::Frame frame = wal::LookAt(bytes, 0);
    if (frame.kind != wal::Frame::Kind::kRecord) return;
    at += frame.size;
    if (frame.type != wal::RecordType::kEntry) continue;
    raftpb::Entry entry;
    if (!entry.ParseFromArray(frame.data.data(), static_cast<int>(frame.data.size()))) continue;  // damaged, by us
    Trace hash;
    hash.Add(frame.data);
    const auto [known, is_new] = entries_.emplace(std::pair{entry.index(), entry.term()}, hash.hash());
    counts_[Check::kLogsMatch] += !is_new;
    if (known->second != hash.hash()) {
      return Fail(fmt::format("logs: two entries have the index {} and the term {}", entry.index(), entry.term()));
    }
    // What came behind it belongs to nobody any more.
    log.terms.erase(log.terms.lower_bound(entry.index()), log.terms.end());
    log.terms[entry.index()] = entry.term();
  }
}

void LogWatch::Leads(Term term, MemberId member) {
  const auto [leader, is_new] = leaders_.emplace(term.value, member);
  counts_[Check::kOneLeader] += is_new;
  if (leader->second != member) {
    Fail(fmt::format("logs: {:x} leads in term {}, and so did {:x}", member, term.value, leader->second));
  }
}

void LogWatch::Applied(size_t machine, Index index, Term term, int64_t revision) {
  const auto [state, is_new] = applied_.emplace(index.value, State{term.value, revision, machine});
  if (is_new || state->second.machine == machine) return;
  counts_[Check::kStatesMatch]++;
  if (state->second.term == term.value && state->second.revision == revision) return;
  Fail(fmt::format("logs: at index {} member {} has term {} and revision {}, member {} had {} and {}", index.value,
                   machine, term.value, revision, state->second.machine, state->second.term, state->second.revision));
}

void LogWatch::Acknowledged(size_t machine, Index index, Term term, size_t quorum) {
  size_t have = 0;
  for (const Log& log : logs_) {
    const auto entry = log.terms.find(index.value);
    have += entry != log.terms.end() && entry->second == term.value;
  }
  counts_[Check::kOnQuorum]++;
  if (have >= quorum) return;
  Fail(fmt::format("logs: member {} acknowledged a write at index {} of term {}, which {} of {} have on disk", machine,
                   index.value, term.value, have, logs_.size()));
}

}  // namespace tenon::sim
