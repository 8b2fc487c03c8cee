// Raft, pure: messages and ticks in, Ready out. See README.md for the order in which a caller does things.
//
// No I/O, no clock, no threads; the same calls in the same order give the same answers. One caller, who owns the
// object. Disk and state machine are peers like the others: what they must do is in a Ready, what they did comes back
// through Step, in any number of turns later, in order.
//
// Step and the term gate are in raft.cc; what each role does with each message stands in follower.cc, candidate.cc and
// leader.cc in a function with the message's name.
#pragma once
#include <random>
#include <variant>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/raft/conf_change.h"
#include "kernel/raft/log.h"
#include "kernel/raft/progress.h"
#include "kernel/raft/quorum.h"
#include "kernel/raft/read_only.h"
#include "kernel/raft/types.h"

namespace tenon::raft {

struct Config {
  MemberId id = 0;
  int election_ticks = 10;  // without word from a leader for this long (up to twice, at random) a member campaigns
  int heartbeat_ticks = 1;
  bool pre_vote = true;      // ask before raising the term, so that a member cut off does no harm when it returns (9.6)
  bool check_quorum = true;  // a leader that hears no quorum for election_ticks steps down (6.2)
  uint64_t max_size_per_message = 1 << 20;      // payload bytes in an append; one entry may be larger
  size_t max_inflight = 512;                    // append messages to one member without an answer
  uint64_t max_inflight_bytes = 64 << 20;       // payload bytes in them, the last message not counted; 0: no limit
  uint64_t max_uncommitted_bytes = 1ull << 30;  // proposed and not yet applied; beyond it proposals are refused
  uint64_t seed = 0;                            // of the election timeouts

  // What the disk holds. All zero and empty: a member that never ran.
  HardState hard_state;
  SnapshotMeta compacted;      // the log starts after it; its conf is not used
  std::vector<Entry> entries;  // behind `compacted`, all durable
  ConfState conf;              // as of `applied`
  Index applied;               // what the state machine has, durable or not; >= compacted.index
};

// What a member is. State that only one role needs lives in its arm, so that nobody can read a stale one.
struct Follower {
  MemberId leader = 0;  // 0: none known in this term
};
struct Candidate {
  bool pre = false;  // asks whether it would win; its term is not raised yet
  std::map<MemberId, bool> votes;
};
struct Leader {
  Tracker tracker;
  ReadOnly reads;
  std::vector<Message> pending_reads;  // came before we committed an entry of our term
  MemberId transferee = 0;             // leadership moves there; proposals are refused meanwhile (thesis 3.10)
  Index pending_conf;                  // at or behind the newest change of members that may not be applied yet
  uint64_t uncommitted_bytes = 0;
  int heartbeat_elapsed = 0;
};

// In a vote request's context: the leader asked for this election, answer even though you hear from it (thesis 4.2.3).
inline constexpr uint64_t kCampaignTransfer = 1;

class Raft {
 public:
  // Continues from what the disk holds. CHECKs that it is one log: no gaps, and commit and applied lie inside.
  explicit Raft(Config config);

  // First start of a new cluster, on an empty member, before anything else: every founding member appends the same
  // entries, one kConfChange per founder, as term 1 and committed. `conf` is what they amount to. They reach apply like
  // all others, where ApplyConfChange finds their members present already.
  void Bootstrap(std::vector<Entry> entries, ConfState conf);

  void Tick();
  // Stands for election now. Ignored as leader, as learner, and while a committed change of members is not applied.
  void Campaign();
  // A message from a peer, or an answer of our own log writer or apply (those have from == to == id(): the caller lets
  // no peer say that it is us). InvalidArgument: a message that only travels inside a member, or that no correct member
  // sends. NotFound: an answer from someone who is no member. For a forwarded proposal the status of Propose.
  Status Step(Message m);

  // Appends, or forwards to the leader; only payload and type are read. One call for all that wait is the cheap way.
  // Unavailable: no leader, or it moves. ResourceExhausted: too much is not applied yet. FailedPrecondition: a change
  // of members that may not be now (one is pending, or joint consensus forbids it): propose it in a call of its own. On
  // an error nothing was appended; on OK it is not known yet whether it will commit, for a forwarded proposal not even
  // whether it was appended.
  Status Propose(std::vector<Entry> entries);

  // Asks for an index at which reads are linearizable: a ReadState with `context` in some later Ready, or nothing at
  // all (leader lost, message lost): retry with a new context. One context serves all reads that wait when it is sent.
  // `context` is not 0 and never repeats for this member, also not after a restart: begin with a random or timed
  // number. Unavailable: no leader is known.
  Status ReadIndex(uint64_t context);

  // The applier reached a change of members at `index` of the log. Returns the configuration from then on, to be stored
  // with the applied index. Call it before the AppliedMessage that covers the entry. A change that the applier refuses
  // is applied as one with node 0. No effect if a snapshot behind `index` was restored meanwhile.
  ConfState ApplyConfChange(Index index, const ConfChange& change);

  // The answer of apply: everything up to `last` is applied.
  Message AppliedMessage(Index last) const;

  void TransferLeader(MemberId to);                  // by the leader, or forwarded to it
  void ReportUnreachable(MemberId peer);             // the transport lost messages to it
  void ReportSnapshot(MemberId peer, bool success);  // the snapshot sent to it has arrived, or not
  void StepDown();                                   // a leader that cannot do its work leads no more
  // From now on this member votes and appends, and never leads: for who has no state to serve. A leader goes on until
  // it steps down or hands over.
  void Abstain() { abstains_ = true; }
  void ForgetLeader();  // a follower may vote again at once

  // Forgets entries up to `index`: applied, and persisted by the state machine. Followers behind it get a kSnap whose
  // snapshot says the least index and term that helps; the caller sends what it has at or behind it and puts that
  // one's index, term and configuration in.
  void CompactLog(Index index);

  bool HasReady() const;
  // Moves the work out. Several may be in flight: the log writer and apply each work in order.
  Ready TakeReady();

  MemberId id() const { return config_.id; }
  Role role() const;
  Term term() const { return term_; }
  MemberId vote() const { return vote_; }
  MemberId leader() const;  // 0: none known
  Index commit() const { return log_.committed(); }
  Index applied() const { return log_.applied(); }
  Index first_index() const { return log_.first_index(); }
  Index last_index() const { return log_.last_index(); }
  const Log& log() const { return log_; }
  const ConfState& conf() const { return conf_; }
  HardState hard_state() const { return {term_, vote_, log_.committed()}; }
  MemberId transferee() const;      // leader: where leadership moves, else 0
  const Tracker* progress() const;  // leader: of all members, else null
  bool committed_in_term() const;   // leader: may answer reads
  int election_elapsed() const { return election_elapsed_; }
  // For tests and transcripts: ticks until this member campaigns.
  void SetElectionTimeout(int ticks) { election_timeout_ = ticks; }

 private:
  enum class Campaigning { kPreElection, kElection, kTransfer };

  // raft.cc
  void Send(Message m);
  bool IgnoresVote(const Message& m) const;
  bool OnHigherTerm(const Message& m);
  void OnLowerTerm(const Message& m);
  void OnVote(const Message& m);
  void OnStorageAppendResp(const Message& m);
  void OnStorageApplyResp(const Message& m);
  void OnSnapshotInstalled(Index index);
  void AppliedTo(Index index);
  void Reset(Term term);
  void SwitchTo(ConfState conf);
  bool promotable() const;
  bool sole_voter() const;
  bool leaving() const;  // no voter of the incoming configuration
  bool HasUnappliedConfChange() const;
  SoftState soft_state() const { return {leader(), role()}; }

  // follower.cc
  void BecomeFollower(Term term, MemberId leader);
  Status StepFollower(Follower& follower, Message& m);
  Status ForwardToLeader(const Follower& follower, Message& m);
  void OnAppend(Message& m);
  void OnHeartbeat(const Message& m);
  void OnSnapshot(const Message& m);
  bool Restore(const SnapshotMeta& snapshot);
  void OnTimeoutNow(const Message& m);
  void OnReadIndexResp(const Message& m);

  // candidate.cc
  void Hup(Campaigning kind);
  void BecomeCandidate();
  void BecomePreCandidate();
  void StartCampaign(Campaigning kind);
  Status StepCandidate(Candidate& candidate, Message& m);
  void OnVoteResp(Candidate& candidate, const Message& m);

  // leader.cc
  void BecomeLeader();
  Status StepLeader(Leader& leader, Message& m);
  void TickLeader(Leader& leader);
  void OnCheckQuorum(Leader& leader);
  Status OnPropose(Leader& leader, std::vector<Entry>&& entries);
  Result<Index> AdmitConfChanges(const Leader& leader, const std::vector<Entry>& entries);
  Status AppendAsLeader(Leader& leader, std::vector<Entry>&& entries);
  void OnReadIndex(Leader& leader, const Message& m);
  void StartRead(Leader& leader, const Message& m);
  void AnswerRead(const ReadRequest& request);
  void OnAppendResp(Leader& leader, const Message& m);
  void OnAppendRejected(Leader& leader, Progress& progress, const Message& m);
  void OnHeartbeatResp(Leader& leader, const Message& m);
  void OnSnapStatus(Leader& leader, MemberId from, bool success);
  void OnUnreachable(Leader& leader, MemberId from);
  void OnTransferLeader(Leader& leader, MemberId to);
  bool MaybeSendTimeoutNow(Leader& leader);
  void HandOver(Leader& leader);
  void MaybeLeaveJoint(Leader& leader);
  bool MaybeCommit(Leader& leader);
  void BroadcastAppend(Leader& leader);
  void BroadcastHeartbeat(Leader& leader);
  bool MaybeSendAppend(MemberId to, Progress& progress, bool even_if_empty);
  bool MaybeSendSnapshot(MemberId to, Progress& progress);
  void OnConfSwitched(Leader& leader);

  Config config_;  // without the parts that moved into log_ and conf_
  Term term_;
  MemberId vote_ = 0;
  Log log_;
  ConfState conf_;  // sorted
  std::variant<Follower, Candidate, Leader> role_;

  int election_elapsed_ = 0;
  bool abstains_ = false;     // never stands for election
  int election_timeout_ = 0;  // in [election_ticks, 2 * election_ticks), anew for every term and campaign
  std::mt19937_64 random_;

  // The next Ready.
  std::vector<Message> messages_;
  std::vector<Message> after_append_;
  std::vector<ReadState> reads_;
  SoftState last_soft_state_;
  HardState last_hard_state_;
};

}  // namespace tenon::raft
