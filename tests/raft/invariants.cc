#include "tests/raft/invariants.h"

#include <algorithm>
#include <stdexcept>

#include "fmt/format.h"

namespace tenon::raft {
namespace {

Index DurableLast(const Member& member) { return member.compacted.index + member.entries.size(); }

// The term of the entry at `index` on the member's disk.
std::optional<Term> DurableTerm(const Member& member, Index index) {
  if (index <= member.compacted.index)
    return index == member.compacted.index ? std::optional(member.compacted.term) : std::nullopt;
  if (index > DurableLast(member)) return std::nullopt;
  return member.entries[index - member.compacted.index - 1].term;
}

}  // namespace

Invariants::Invariants(Cluster& cluster) : cluster_(cluster) {
  cluster.on_ready = [this](Member& m, const Ready& r) { OnReady(m, r); };
  cluster.on_send = [this](Member& m, const Message& x) { OnSend(m, x); };
  cluster.on_apply = [this](Member& m, const Entry& e) {
    const auto [it, first] = hashes_.try_emplace(e.index, m.state.hash);
    Hold(first || it->second == m.state.hash, "state machine safety",
         fmt::format("{} applied another entry at {}", m.config.id, e.index.value));
  };
}

void Invariants::Hold(bool holds, const std::string& rule, const std::string& what) {
  checks_[rule]++;
  if (!holds) throw std::runtime_error(rule + ": " + what);
}

// etcd#14370: what apply gets is committed and on this member's own disk.
void Invariants::OnReady(Member& member, const Ready& ready) {
  for (const Entry& e : ready.committed) {
    const bool durable = e.index <= member.compacted.index || DurableTerm(member, e.index) == e.term;
    Hold(durable, "applied is durable", fmt::format("{} applies {} from memory", member.config.id, e.index.value));
  }
  for (const ReadState& read : ready.reads) {
    const auto asked = reads_.find(read.context);
    Hold(asked != reads_.end() && read.index >= asked->second, "reads are linearizable",
         fmt::format("{} reads at {}", member.config.id, read.index.value));
  }
}

// Thesis 3.8: an answer promises what is on disk.
void Invariants::OnSend(Member& member, const Message& m) {
  if (m.type == MessageType::kVoteResp && !m.reject) {
    const HardState& disk = member.hard_state;
    Hold(disk.term > m.term || (disk.term == m.term && disk.vote == m.to), "votes are durable",
         fmt::format("{} votes for {} in {}", member.config.id, m.to, m.term.value));
    const auto [it, first] = votes_.try_emplace({member.config.id, m.term}, m.to);
    Hold(first || it->second == m.to, "one vote a term",
         fmt::format("{} votes for {} and {} in {}", member.config.id, it->second, m.to, m.term.value));
  }
  // In a later term what it promised may have been cut off again, by a leader who had the right to.
  if (m.type == MessageType::kAppResp && !m.reject && m.index > Index(0) && member.hard_state.term <= m.term)
    Hold(DurableLast(member) >= m.index, "answers are durable",
         fmt::format("{} answers for {} and has {}", member.config.id, m.index.value, DurableLast(member).value));
}

void Invariants::OnLeader(Member& member) {
  const Raft& raft = *member.raft;
  const auto [it, first] = leaders_.try_emplace(raft.term(), raft.id());
  Hold(first || it->second == raft.id(), "election safety",
       fmt::format("{} and {} lead in term {}", it->second, raft.id(), raft.term().value));
  if (!first) return;
  for (Index i = raft.first_index(); i <= max_commit_; ++i) {
    if (committed_[i.value].in_term >= raft.term()) continue;  // a leader of the past, elected late
    Hold(raft.log().TermAt(i) == committed_[i.value].term, "leader completeness",
         fmt::format("{} leads in term {} without {}", raft.id(), raft.term().value, i.value));
  }
}

void Invariants::OnCommit(Member& member, Index from, Index to) {
  const Raft& raft = *member.raft;
  for (Index i = std::max(from + 1, raft.first_index()); i <= to; ++i) {
    const Term term = *raft.log().TermAt(i);
    if (i <= max_commit_) {
      Hold(committed_[i.value].term == term, "committed never changes",
           fmt::format("{} has {} at {}", raft.id(), term.value, i.value));
      continue;
    }
    committed_.resize(i.value + 1);
    committed_[i.value] = {term, raft.term()};
  }
  if (to <= max_commit_) return;
  max_commit_ = to;
  if (raft.role() != Role::kLeader) return;
  // The moment of commit: a quorum has it on disk, or a crash can take it back.
  const uint64_t durable = JointReached(raft.conf(), [&](MemberId id) {
    const auto other = cluster_.members().find(id);
    if (other == cluster_.members().end()) return uint64_t{0};
    const Member& m = other->second;
    return m.compacted.index >= to || DurableTerm(m, to) == raft.log().TermAt(to) ? to.value : 0;
  });
  Hold(durable >= to.value, "committed is on a quorum's disks", fmt::format("{} commits {}", raft.id(), to.value));
}

void Invariants::Check() {
  // Leaders first: they learn of a commit before all others.
  for (const bool leaders : {true, false}) {
    for (auto& [id, member] : cluster_.members()) {
      if (!member.up() || (member->role() == Role::kLeader) != leaders) continue;
      if (leaders) OnLeader(member);
      Index& seen = seen_commit_[id];
      if (member->commit() > seen) OnCommit(member, seen, member->commit());
      seen = member->commit();  // may be lower after a restart
    }
  }
}

void Invariants::CheckLogMatching() {
  for (auto& [a, one] : cluster_.members()) {
    for (auto& [b, other] : cluster_.members()) {
      if (a >= b || !one.up() || !other.up()) continue;
      const Index first = std::max(one->first_index(), other->first_index());
      bool same = false;  // from the end: once terms agree they agree everywhere before
      for (Index i = std::min(one->last_index(), other->last_index()); i >= first && i > Index(0); i = i - 1) {
        const bool agree = one->log().TermAt(i) == other->log().TermAt(i);
        Hold(agree || !same, "log matching", fmt::format("{} and {} differ at {} and agree behind it", a, b, i.value));
        same = same || agree;
      }
    }
  }
}

}  // namespace tenon::raft
