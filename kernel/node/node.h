// The only user of raft: an event loop that carries out Ready.
//
// Everything that happens to raft arrives in one inbox and is taken in one go: proposals, reads, ticks, and the answers
// of the log writer. All proposals that wait become one append; one turn makes one piece of work for the log writer.
// While the applier has entries waiting behind those it carries out, proposals wait too: an append of theirs could not
// be answered sooner, and the later one is larger, so there are fewer syncs. So do more than the applier should have
// before it: thousands of clients at once are served in several batches, none is refused.
// Nobody waits here for room: a full queue answers `too many requests`.
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernel/apply/applier.h"
#include "kernel/apply/proposal.h"
#include "kernel/base/status.h"
#include "kernel/metrics/metrics.h"
#include "kernel/node/log_writer.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/executor.h"
#include "kernel/raft/raft.h"
#include "kernel/wal/wal.h"

namespace tenon::node {

class Node {
 public:
  struct Options {
    uint64_t tick_ns = 100'000'000;               // --heartbeat-interval
    uint64_t request_timeout_ns = 7'000'000'000;  // 5 s + 2 x election timeout, as in etcd
    uint64_t max_unapplied = 5000;           // committed and not applied: beyond, proposals are refused, as in etcd
    uint64_t max_waiting_bytes = 256 << 20;  // of proposals in the inbox: beyond, they are refused too
    uint64_t max_batch = 1500;               // proposals in one append
    uint64_t max_ahead = 4500;               // appended and not applied: beyond, proposals wait in the inbox
    uint64_t log_entries_kept = 1000;        // in memory behind the applied index
  };
  struct Parts {
    std::unique_ptr<wal::Wal> wal;
    raft::Config raft;                                                              // what the disk held
    std::optional<std::pair<std::vector<raft::Entry>, raft::ConfState>> bootstrap;  // a new cluster's first entries
    apply::Applier& applier;
    Clock& clock;
    Executor& executor;  // the node thread
    Executor&
        wal_executor;  // the wal thread; may be the same: with one voter nothing waits for it but the disk's answer
    metrics::Registry& metrics;
    std::function<void(Status)> fatal;
  };
  using ReadDone = absl::AnyInvocable<void(Status)>;

  Node(Parts parts, Options options);

  // Called on the node thread when this member becomes the leader of a term, or no longer is it. Set before Start.
  void OnRole(std::function<void(bool leads, Term)> fn) { on_role_ = std::move(fn); }
  // Begins to tick; a sole voter campaigns at once. [main]
  void Start();
  // Refuses new work, answers what waits with `server stopped`, and leaves a log from which a start is quick. [main]
  void Stop();

  void Propose(std::shared_ptr<const apply::Proposal> proposal);  // [any]
  // `done` OK: what is applied now includes all that was acknowledged before this call. Often here and now. [any]
  void ReadBarrier(ReadDone done);
  // The engine holds everything up to `index` in a crash-proof way: the log before it may go. [any]
  void Persisted(Index index);
  // The same after Stop, and on disk when it returns. [main]
  void Checkpoint(Index index);

  struct State {
    MemberId leader = 0;
    raft::Role role = raft::Role::kFollower;
    Term term;
    Index commit;
  };
  State state() const;  // a little old [any]
  uint64_t log_bytes_written() const { return log_writer_.bytes_written(); }

 private:
  struct Inbox {
    std::vector<std::shared_ptr<const apply::Proposal>> proposals;
    uint64_t proposal_bytes = 0;
    std::vector<ReadDone> reads;
    std::vector<raft::Message> messages;
    bool tick = false;
    bool applied = false;
    std::optional<Index> persisted;
  };

  template <class Fn>
  void Put(Fn&& fn);  // changes the inbox, wakes the loop
  void Turn();
  void OnTick();
  void TakeProposals(std::vector<std::shared_ptr<const apply::Proposal>>& proposals);  // leaves what is too many
  bool IsAhead() const;  // of the applier, so far that proposals had better wait
  bool Hold(std::vector<std::shared_ptr<const apply::Proposal>>& proposals);
  void PutBack(std::vector<std::shared_ptr<const apply::Proposal>>& proposals, bool hold);
  void Release();
  void TakeReads(std::vector<ReadDone>& reads);
  void TakeApplied();
  void TakePersisted(Index index);
  void Carry(raft::Ready ready);
  void PublishState();
  bool IsSoleVoter() const;
  Term TermOf(Index index) const;

  raft::Raft raft_;
  apply::Applier& applier_;
  Clock& clock_;
  Executor& executor_;
  const std::function<void(Status)> fatal_;
  std::function<void(bool, Term)> on_role_;
  const Options options_;
  LogWriter log_writer_;

  std::mutex inbox_mutex_;
  Inbox inbox_;
  bool scheduled_ = false;
  bool holding_ = false;  // under inbox_mutex_: the inbox's proposals wait for Release or the next tick
  bool stopped_ = false;  // under inbox_mutex_

  // [node]
  std::deque<std::pair<uint64_t, std::shared_ptr<const apply::Proposal>>> waiting_;  // by deadline
  struct ReadRound {
    uint64_t deadline_ns;
    std::vector<ReadDone> reads;
  };
  std::map<uint64_t, ReadRound> reads_;  // by context
  uint64_t next_context_;
  std::optional<raft::HardState> deferred_state_;
  std::vector<std::pair<Index, Term>> terms_;  // first index of each term that the kept log may still name
  uint64_t leader_changes_ = 0;
  Term leads_;  // the term in which OnRole was told that we lead; 0: we do not

  // What others may look at.
  std::atomic<bool> reads_are_current_{false};  // sole voter, leader, and its term's first entry is applied
  std::atomic<uint64_t> leader_{0}, term_{0}, commit_{0};
  std::atomic<uint8_t> role_{0};

  metrics::Gauge committed_metric_, pending_metric_, has_leader_, is_leader_;
  metrics::Counter failed_metric_, leader_changes_metric_, reads_failed_metric_, slow_reads_metric_;
};

}  // namespace tenon::node
