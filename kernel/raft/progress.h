// What the leader knows of each member's log, and how fast it may send.
//
//            first answer fits               the entries it needs are compacted
//   probe ----------------------> replicate ------------------------------------> snapshot
//     ^ <-----------rejected-------------'                                            |
//     '-----------------------------------------installed or failed-------------------'
//
// probe: one message at a time, to find where the logs agree. replicate: a window of messages in flight.
// snapshot: nothing but heartbeats until the member answers for the snapshot.
#pragma once
#include <deque>
#include <map>
#include <string>

#include "kernel/raft/types.h"

namespace tenon::raft {

// How much may be on its way to one member.
struct Window {
  size_t messages;
  uint64_t bytes = 0;  // of payload; the message that crosses it still leaves. 0: no limit
};

// The append messages on their way, by the last index that each carries.
class Inflights {
 public:
  explicit Inflights(Window window) : window_(window) {}
  bool full() const { return sent_.size() >= window_.messages || (window_.bytes != 0 && bytes_ >= window_.bytes); }
  size_t count() const { return sent_.size(); }
  uint64_t bytes() const { return bytes_; }
  void Add(Index last, uint64_t bytes);  // not when full; indexes grow
  void FreeUpTo(Index index);            // an answer for `index` answers all before it
  void Clear() { sent_.clear(), bytes_ = 0; }

 private:
  struct Sent {
    Index last;
    uint64_t bytes;
  };
  Window window_;
  std::deque<Sent> sent_;
  uint64_t bytes_ = 0;
};

enum class ProgressState : uint8_t { kProbe, kReplicate, kSnapshot };

struct Progress {
  Progress(Index next_index, Window window) : next(next_index), inflights(window) {}

  Index match;        // the member's log agrees up to here, on its disk
  Index next;         // the next entry to send; > match
  Index sent_commit;  // the highest commit index that is on its way
  ProgressState state = ProgressState::kProbe;
  Index pending_snapshot;      // kSnapshot: the least index that resumes appending
  bool recent_active = false;  // answered since the last check of the quorum
  bool append_paused = false;  // until the next answer or heartbeat answer
  bool is_learner = false;
  Inflights inflights;

  void BecomeProbe();
  void BecomeReplicate();
  void BecomeSnapshot(Index snapshot);
  void SentEntries(size_t entries, uint64_t bytes);
  // Whether telling `commit` now could move the member's commit index.
  bool CanBumpCommit(Index commit) const { return commit > sent_commit && sent_commit + 1 < next; }
  // An answer for `index`. False: an old one, nothing new in it.
  bool MaybeUpdate(Index index);
  // The member refused the message that follows `rejected` and guesses that logs agree up to `hint`. False: an old one.
  bool MaybeDecrease(Index rejected, Index hint);
  bool paused() const { return state == ProgressState::kSnapshot || append_paused; }
  std::string ToString() const;  // in etcd's words, for status and transcripts
};

// The progress of every member, the leader's own among them. Lives in Leader and dies with it.
class Tracker {
 public:
  explicit Tracker(Window window) : window_(window) {}

  Progress* Find(MemberId id);
  const Progress* Find(MemberId id) const;
  // Adds who is new in `conf`, to be probed from `next`; removes who is gone; marks learners.
  void SwitchTo(const ConfState& conf, Index next);
  // The greatest index that a quorum has on disk.
  Index Committed(const ConfState& conf) const;
  bool QuorumActive(const ConfState& conf) const;

  std::map<MemberId, Progress>& all() { return members_; }
  const std::map<MemberId, Progress>& all() const { return members_; }

 private:
  Window window_;
  std::map<MemberId, Progress> members_;  // in order of id: messages leave in the same order in every run
};

}  // namespace tenon::raft
