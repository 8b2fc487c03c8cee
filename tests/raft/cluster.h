// Members of a cluster in memory: each a Raft with a disk, a log writer and a state machine that work when told to.
//
// The second user of kernel/raft, beside kernel/node, and as strict as a crash: what the writer has not finished is
// lost, what it finished may be there although nobody was told. Transcripts and the random checker drive it step by
// step.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernel/raft/raft.h"

namespace tenon::raft {

// A proposal of `text`, or of a change of members: its words as its bytes ("v2 l3 r4", "explicit v2", "" leaves joint).
Entry Proposal(const std::string& text);
Entry ConfProposal(const std::string& words);
ConfChange ParseConfChange(std::string_view words);

// The state machine: which entries it has applied, as a number, and the configuration they led to.
struct State {
  Index applied;
  Term term;          // of the entry at `applied`
  uint64_t hash = 0;  // of all applied entries in order
  ConfState conf;
};

// What one Ready wants on disk.
struct Write {
  std::optional<HardState> hard_state;
  std::vector<Entry> entries;
  std::optional<SnapshotMeta> snapshot;
  std::vector<Message> after;
};

struct Member {
  Config config;               // as configured; what the disk holds is filled in at each start
  std::unique_ptr<Raft> raft;  // null: down

  // On disk.
  HardState hard_state;
  SnapshotMeta compacted;
  std::vector<Entry> entries;
  State persisted;

  // In memory.
  State state;
  std::deque<Write> writes;
  std::deque<std::vector<Entry>> applies;

  bool up() const { return raft != nullptr; }
  Raft* operator->() const { return raft.get(); }
};

class Cluster {
 public:
  // A member with an empty log that takes `config.conf` for granted.
  Member& Add(Config config);
  Member& operator[](MemberId id) { return members_.at(id); }
  std::map<MemberId, Member>& members() { return members_; }
  std::deque<Message>& network() { return network_; }

  void ProcessReady(MemberId id);
  void ProcessAppend(MemberId id);  // the writer finishes its oldest write and answers
  void ProcessApply(MemberId id);   // apply finishes its oldest batch and answers
  Status Deliver(Message m);        // to a member that is down: lost
  void Send(MemberId from, Message m) { Post(members_.at(from), std::move(m)); }
  // Everything that can be done is done, until nothing is left to do.
  void Stabilize();

  // Power fails. The first `finished` writes reached the disk, and `torn` entries of the next one.
  void Crash(MemberId id, size_t finished = 0, size_t torn = 0);
  void Restart(MemberId id);
  void Persist(MemberId id) { members_.at(id).persisted = members_.at(id).state; }
  // Forgets the log up to `index`, which is persisted.
  void Compact(MemberId id, Index index);

  // What an observer may see.
  std::function<void(Member&, const Ready&)> on_ready = [](Member&, const Ready&) {};
  std::function<void(Member&, const Entry&)> on_apply = [](Member&, const Entry&) {};
  std::function<void(Member&, const Message&)> on_send = [](Member&, const Message&) {};

 private:
  void Post(Member& from, Message m);
  void MakeDurable(Member& member, const Write& write);

  std::map<MemberId, Member> members_;
  std::deque<Message> network_;
  std::map<Index, State> snapshots_;  // what a kSnap's data stream brings
};

}  // namespace tenon::raft
