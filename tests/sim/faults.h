// What can go wrong, what can be planted, and how often each fault and each checker was at work.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace tenon::sim {

enum class Fault : int {
  kKill,        // kill -9 between two steps of the scheduler: the page cache stays, the engine's buffers do not
  kPowerLoss,   // the same, and writes that were not synced are lost, torn or reordered, names too
  kPowerCut,    // the power goes in the middle of a disk operation
  kWriteError,  // EIO from a write, a rename, a truncation
  kSyncError,   // EIO from fdatasync: what was to be made durable is forgotten
  kDiskFull,
  kSlowDisk,
  kClockJump,   // the machine stood still, or the wall clock was set
  kRestart,     // an orderly stop and a start
  kDamage,      // a flipped bit in the log while the member is down
  kDamageCopy,  // the same in an index snapshot, or in the newer of two streams: nothing may be lost
  kStuckDisk,   // a sync of the log does not return for seconds, or until the process is killed; often the leader's
  // Of several members.
  kPause,      // SIGSTOP of one of them: it stands still while the others go on
  kPartition,  // the members fall into two groups that do not hear each other
  kOneWay,     // one hears another and is not heard
  kLossy,      // a link loses much
  kSlowLink,   // a link is slow, at random: what is sent overtakes
  kRepeat,     // messages arrive twice, the second time late
  kKillAll,    // all members are killed at once
  kDarkness,   // all lose their power at once
  kHandOver,   // the leader is told to hand over
  kShift,      // one partition follows another without a pause, with kills between: logs come apart and meet others
  // Of one cluster in three (WithRareFaults).
  kDiffer,  // a member is killed, and what lies in its engine is another history's: rows, sums and hash
};
inline constexpr int kSingleFaults = 12;  // those that one member can have
inline constexpr int kOftenFaults = 22;   // those, and those that each cluster may have
inline constexpr int kFaults = 23;
inline constexpr std::string_view kFaultNames[kFaults] = {
    "kill",      "power-loss",  "power-cut",    "write-error", "sync-error", "disk-full", "slow-disk", "clock-jump",
    "restart",   "damaged-log", "damaged-copy", "stuck-disk",  "pause",      "partition", "one-way",   "lossy-link",
    "slow-link", "repeated",    "kill-all",     "darkness",    "hand-over",  "shifting",  "differing"};

enum class Check : int {
  kAnswers,      // a write's whole answer equals the model's
  kSurvival,     // after a start: nothing acknowledged or seen is missing, old revisions are as they were
  kDiscovered,   // a revision that nobody was told of is the whole work of one unanswered request
  kReadsNow,     // a read of now equals the model at its revision
  kReadsOld,     // a read of an old revision equals what it was
  kHeldViews,    // the same through a view that was kept open
  kRevisions,    // an answer's revision is not older than what was known before the question
  kCompacted,    // compacted revisions are refused, others are not
  kNotApplied,   // a refused request left no trace
  kHash,         // HashKV equals the model's
  kOtherEngine,  // the same log into the other engine: the same HashKV
  kSyncFatal,    // a failed sync stops the member at once, and nothing asked later is acknowledged
  kDamageSeen,   // a damaged log is not taken for a good one
  kRowSum,       // the stored sum over the rows is that of the rows which are there
  kAlarmGone,    // NOSPACE that the disk raised goes when there is space again, whatever restarts came between
  // Of several members' logs.
  kOneLeader,     // a term has one leader at most
  kLogsMatch,     // entries on disk of the same index and term are the same
  kStatesMatch,   // members that have applied the same are at the same term and revision
  kOnQuorum,      // an acknowledged write is on the disks of a quorum
  kConverged,     // after the faults all members have the same, without anybody's help
  kGaveUp,        // a leader whose log is stuck no longer leads two elections later
  kStateHashes,   // in the end the members' state hashes are the same, and nobody raised CORRUPT
  kDiffers,       // a member whose state differs gets the alarm CORRUPT within a second of an index that both have
  kDifferHealed,  // it fetches another one's state by itself, and the alarm goes
  // Of watches; the nine that etcd promises, unique being a part of ordered.
  kWatchOrdered,    // nothing that was told, or promised to be over, comes again; what comes is newer
  kWatchAtomic,     // a revision of several changes came in one response
  kWatchReliable,   // what came is what happened: nothing in between is left out
  kWatchResumed,    // from the revision that was asked for, on a new stream too
  kWatchBookmarks,  // a promised progress was true
  kWatchFiltered,   // a change that was not asked for did not come
  kWatchFormer,     // the former value is right; it is missing only after a compaction
  kWatchCreates,    // a put's create revision and version are right
  kWatchFuture,     // nothing came from before a start in the future
  kWatchCompacted,  // canceled for a compaction, which was made, and only if something is gone
  kWatchSurvived,   // kResumed, after the member was killed
  kWatchComplete,   // in the end everything was told, and a request for progress was answered
  kWatchFragments,  // the fragments of a response are the whole of it
  // Of leases.
  kLeaseReplicated,    // each member and each life applies the same to them, entry by entry
  kLeaseSurvived,      // a start has the leases of its applied index
  kLeaseCheckpointed,  // the same of those whose remaining time the log knows
  kLeaseNotEarly,      // none ends before the time that its holder was promised
  kLeaseInTime,        // in calm, none lives longer than its time to live and two election timeouts
  kLeaseOneRevision,   // an end with keys is the whole work of one revision
  kLeaseMoved,         // a key that moved to another lease, or to none, survives the former one's end
  kLeaseKeys,          // a lease has the keys that were put with it last
  kLeaseLeft,          // the time that is left is at most what its primary's clock can have made of it
  kLeaseExists,        // who finds a lease or misses it is right
  // Starts, to see that each way was gone.
  kFromIndex,           // with an index snapshot
  kFromIndexInRemoval,  // the same, in the middle of a compaction's removal
  kFromStream,          // with a stream
  kFetched,             // with the state of another member
};
inline constexpr int kChecks = 51;
inline constexpr std::string_view kCheckNames[kChecks] = {"answers",
                                                          "survival",
                                                          "discovered",
                                                          "reads-now",
                                                          "reads-old",
                                                          "held-views",
                                                          "revisions",
                                                          "compacted",
                                                          "not-applied",
                                                          "hash",
                                                          "other-engine",
                                                          "sync-fatal",
                                                          "damage-seen",
                                                          "row-sum",
                                                          "alarm-gone",
                                                          "one-leader",
                                                          "logs-match",
                                                          "states-match",
                                                          "on-quorum",
                                                          "converged",
                                                          "gave-up",
                                                          "state-hashes",
                                                          "differs",
                                                          "differ-healed",
                                                          "watch-ordered",
                                                          "watch-atomic",
                                                          "watch-reliable",
                                                          "watch-resumed",
                                                          "watch-bookmarks",
                                                          "watch-filtered",
                                                          "watch-former",
                                                          "watch-creates",
                                                          "watch-future",
                                                          "watch-compacted",
                                                          "watch-survived",
                                                          "watch-complete",
                                                          "watch-fragments",
                                                          "lease-replicated",
                                                          "lease-survived",
                                                          "lease-checkpointed",
                                                          "lease-not-early",
                                                          "lease-in-time",
                                                          "lease-one-revision",
                                                          "lease-moved",
                                                          "lease-keys",
                                                          "lease-left",
                                                          "lease-exists",
                                                          "from-index",
                                                          "from-index-in-removal",
                                                          "from-stream",
                                                          "fetched"};

struct Counts {
  std::array<uint64_t, kFaults> faults{};
  std::array<uint64_t, kChecks> checks{};
  uint64_t operations = 0, acknowledged = 0, unknown = 0, refused = 0, starts = 0, steps = 0, messages = 0,
           messages_lost = 0, messages_repeated = 0, calls = 0, simulated_ms = 0;

  uint64_t& operator[](Fault f) { return faults[static_cast<size_t>(f)]; }
  uint64_t& operator[](Check c) { return checks[static_cast<size_t>(c)]; }
  void Add(const Counts& o) {
    for (size_t i = 0; i < faults.size(); i++) faults[i] += o.faults[i];
    for (size_t i = 0; i < checks.size(); i++) checks[i] += o.checks[i];
    operations += o.operations, acknowledged += o.acknowledged, unknown += o.unknown, refused += o.refused;
    messages += o.messages, messages_lost += o.messages_lost, messages_repeated += o.messages_repeated;
    calls += o.calls;
    starts += o.starts, steps += o.steps, simulated_ms += o.simulated_ms;
  }
};

// Mistakes of the twins, which misbehave at a seam with the effect that a bug behind it would have. Those planted in
// the kernel itself are in kernel/base/mutant.h, all of them with their history in mutants.h.
enum class Mutant {
  kNone,
  // disk
  kAckBeforeSync,    // Sync of the log returns at once and does nothing
  kDamageAccepted,   // the log ends for the reader where a record is damaged
  kEventBeforeSync,  // as kAckBeforeSync, where no answer reaches anybody: only watchers know
  // engine
  kIndexOutsideBatch,   // the applied index is stored as a batch of its own
  kCompactionMarkLost,  // scheduledCompactRev and finishedCompactRev are lost
  kTombstoneDropped,    // compaction removes a tombstone at its boundary but not the put that it hides
  kDefragLosesIndex,    // what is rewritten has no applied index
  // clients' streams
  kFragmentDropped,  // the last fragment of a response does not arrive
  // the lease module's table
  kCheckpointLost,    // what is left of a lease is known in memory and not on disk
  kStaleLessor,       // who leads no more goes on ending leases, and nothing says that it decided so in an old term
  kMovedKeyKept,      // a lease keeps a key that moved to another one
  kRenewsWhatIsGone,  // a renewal of a lease that does not exist is answered as if it did
};

}  // namespace tenon::sim
