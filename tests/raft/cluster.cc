#include "tests/raft/cluster.h"

#include <algorithm>
#include <sstream>

#include "kernel/base/check.h"

namespace tenon::raft {

Entry Proposal(const std::string& text) { return {.payload = std::make_shared<const Payload>(text)}; }

Entry ConfProposal(const std::string& words) {
  Entry e{.type = EntryType::kConfChangeV2};
  if (!words.empty()) e.payload = std::make_shared<const Payload>(words);
  return e;
}

ConfChange ParseConfChange(std::string_view words) {
  ConfChange change;
  std::istringstream in{std::string(words)};
  for (std::string word; in >> word;) {
    if (word == "implicit")
      change.transition = ConfChangeTransition::kJointImplicit;
    else if (word == "explicit")
      change.transition = ConfChangeTransition::kJointExplicit;
    else {
      const auto type = word[0] == 'v'   ? ConfChangeType::kAddNode
                        : word[0] == 'l' ? ConfChangeType::kAddLearnerNode
                        : word[0] == 'r' ? ConfChangeType::kRemoveNode
                                         : ConfChangeType::kUpdateNode;
      change.changes.push_back({type, std::stoull(word.substr(1))});
    }
  }
  return change;
}

Member& Cluster::Add(Config config) {
  const MemberId id = config.id;
  Member& member = members_[id];
  member.persisted.conf = Sorted(config.conf);
  member.config = std::move(config);
  Restart(id);
  return member;
}

void Cluster::Post(Member& from, Message m) {
  if (m.type == MessageType::kSnap) {
    CHECK_GE(from.state.applied, m.snapshot->index);
    m.snapshot = SnapshotMeta{from.state.applied, from.state.term, from.state.conf};
    snapshots_[from.state.applied] = from.state;
  }
  on_send(from, m);
  network_.push_back(std::move(m));
}

void Cluster::ProcessReady(MemberId id) {
  Member& member = members_.at(id);
  Ready ready = member->TakeReady();
  on_ready(member, ready);
  for (Message& m : ready.messages) Post(member, std::move(m));
  if (ready.has_storage_work())
    member.writes.push_back(
        {ready.hard_state, std::move(ready.entries), ready.snapshot, std::move(ready.after_append)});
  if (!ready.committed.empty()) member.applies.push_back(std::move(ready.committed));
}

void Cluster::MakeDurable(Member& member, const Write& write) {
  if (write.snapshot) {
    member.compacted = *write.snapshot;
    member.entries.clear();
    member.persisted = member.state = snapshots_.at(write.snapshot->index);
  }
  if (!write.entries.empty()) {
    const Index first = write.entries.front().index;
    CHECK_GT(first, member.compacted.index);
    const size_t keep = first - member.compacted.index - 1;
    CHECK_LE(keep, member.entries.size());
    member.entries.resize(keep);
    member.entries.insert(member.entries.end(), write.entries.begin(), write.entries.end());
  }
  if (write.hard_state) member.hard_state = *write.hard_state;
}

void Cluster::ProcessAppend(MemberId id) {
  Member& member = members_.at(id);
  Write write = std::move(member.writes.front());
  member.writes.pop_front();
  MakeDurable(member, write);
  for (Message& m : write.after) {
    if (m.to == id)
      CHECK(member->Step(std::move(m)).ok());
    else
      Post(member, std::move(m));
  }
}

void Cluster::ProcessApply(MemberId id) {
  Member& member = members_.at(id);
  const std::vector<Entry> batch = std::move(member.applies.front());
  member.applies.pop_front();
  for (const Entry& e : batch) {
    if (e.index <= member.state.applied) continue;  // a snapshot was faster
    CHECK_EQ(e.index, member.state.applied + 1);
    member.state.applied = e.index;
    member.state.term = e.term;
    member.state.hash = (member.state.hash ^ e.term.value) * 0x100000001b3u + std::hash<std::string_view>()(e.bytes());
    if (e.type != EntryType::kNormal) member.state.conf = member->ApplyConfChange(e.index, ParseConfChange(e.bytes()));
    on_apply(member, e);
  }
  CHECK(member->Step(member->AppliedMessage(batch.back().index)).ok());
}

Status Cluster::Deliver(Message m) {
  const auto it = members_.find(m.to);
  if (it == members_.end() || !it->second.up()) return Ok();
  return it->second->Step(std::move(m));
}

void Cluster::Stabilize() {
  for (bool busy = true; busy;) {
    busy = false;
    for (auto& [id, member] : members_) {
      if (!member.up()) continue;
      for (; member->HasReady(); busy = true) ProcessReady(id);
      for (; !member.writes.empty(); busy = true) ProcessAppend(id);
      for (; !member.applies.empty(); busy = true) ProcessApply(id);
    }
    for (; !network_.empty(); busy = true) {
      Message m = std::move(network_.front());
      network_.pop_front();
      Deliver(std::move(m)).IgnoreError();
    }
  }
}

void Cluster::Crash(MemberId id, size_t finished, size_t torn) {
  Member& member = members_.at(id);
  for (; finished > 0 && !member.writes.empty(); finished--) {
    MakeDurable(member, member.writes.front());
    member.writes.pop_front();
  }
  if (torn > 0 && !member.writes.empty() && !member.writes.front().snapshot) {
    // The writer puts entries in front of the hard state: a torn write has some of the first and nothing of the second.
    Write part{.entries = std::move(member.writes.front().entries)};
    part.entries.resize(std::min(torn, part.entries.size()));
    MakeDurable(member, part);
  }
  member.writes.clear();
  member.applies.clear();
  member.raft.reset();
  member.state = member.persisted;
}

void Cluster::Restart(MemberId id) {
  Member& member = members_.at(id);
  Config config = member.config;
  config.hard_state = member.hard_state;
  config.compacted = member.compacted;
  config.entries = member.entries;
  config.conf = member.persisted.conf;
  config.applied = member.persisted.applied;
  member.state = member.persisted;
  member.config.seed++;
  member.raft = std::make_unique<Raft>(std::move(config));
}

void Cluster::Compact(MemberId id, Index index) {
  Member& member = members_.at(id);
  CHECK_LE(index, member.persisted.applied);
  if (index <= member.compacted.index) return;
  member->CompactLog(index);
  const size_t count = index - member.compacted.index;
  member.compacted = {index, member.entries[count - 1].term, {}};
  member.entries.erase(member.entries.begin(), member.entries.begin() + static_cast<ptrdiff_t>(count));
}

}  // namespace tenon::raft
