#include "tests/sim/mutants.h"

namespace tenon::sim {
namespace {

using K = tenon::Mutant;
using T = Mutant;

constexpr PlantedBug kBugs[] = {
    // ---- what is acknowledged is durable ----
    {"ack-before-sync", K::kNone, T::kAckBeforeSync, "a write is acknowledged before the log is synced",
     "etcd#14370 (M02)", 1, "", 1},
    {"event-before-sync", K::kNone, T::kEventBeforeSync, "a watcher is told of what the log may lose",
     "etcd#14370 (M02)", 1, "was known before, from an event", 1},
    {"append-unsynced", K::kAppendUnsynced, T::kNone, "a follower says it has entries before they are synced",
     "etcd#14143, Jepsen with LazyFS (M22)", 3, "", 1},
    {"damage-accepted", K::kNone, T::kDamageAccepted, "a damaged record is taken for the log's torn end",
     "etcd#14098, #11488 (M21)", 1, "", 1},
    {"log-released-early", K::kLogReleasedEarly, T::kNone,
     "the log forgets what the engine has applied and not persisted", "", 0, "", 1},
    // ---- state and its index ----
    {"index-outside-batch", K::kNone, T::kIndexOutsideBatch, "the applied index is stored apart from what it counts",
     "etcd#13766 (M01)", 1, "", 1},
    {"defrag-loses-index", K::kNone, T::kDefragLosesIndex, "a crash after a defragmentation resets the applied index",
     "etcd#14685 (M04)", 1, "", 2},
    {"compaction-mark-lost", K::kNone, T::kCompactionMarkLost, "a crash during a compaction forgets that it had begun",
     "etcd#17780 (M09)", 1, "", 1},
    {"tombstone-dropped", K::kNone, T::kTombstoneDropped, "a compaction removes a delete but not the put before it",
     "etcd#19179 (M10)", 1, "", 1},
    {"stale-index", K::kStaleIndex, T::kNone, "an index snapshot from before a compaction is loaded", "", 1, "", 3},
    {"txn-half-done", K::kTxnHalfDone, T::kNone, "an error in a transaction leaves what came before it done",
     "etcd#18667 (M12)", 1, "", 1},
    {"states-not-compared", K::kStatesNotCompared, T::kNone, "a member whose state differs counts as one that agrees",
     "", 3, "nobody raised CORRUPT", 1},
    {"corrupt-stays", K::kCorruptStays, T::kNone, "the alarm of a member that has healed is never taken back", "", 3,
     "the members that differ to heal", 1},
    // ---- elections ----
    {"votes-twice", K::kVotesTwice, T::kNone, "a member votes for two in one term", "", 3, "leads in term", 9},
    {"vote-forgotten", K::kVoteForgotten, T::kNone, "a vote is not written to the log", "", 3, "leads in term", 78},
    {"vote-unsynced", K::kVoteUnsynced, T::kNone, "a vote is given before it is synced", "", 3, "leads in term", 20},
    // ---- replication ----
    {"conflict-kept", K::kConflictKept, T::kNone, "a follower keeps entries that contradict the leader's", "", 3, "",
     1},
    {"applies-unsynced", K::kAppliesUnsynced, T::kNone, "an entry is applied before it is in the member's own log", "",
     3, "", 1},
    {"counts-unsent", K::kCountsUnsent, T::kNone, "an answer counts for more than was sent", "", 3, "", 1},
    {"heartbeat-commits-all", K::kHeartbeatCommitsAll, T::kNone,
     "a heartbeat commits what the follower is not known to have", "", 3, "", 1},
    {"forwards-twice", K::kForwardsTwice, T::kNone, "a forwarded write arrives twice", "", 3, "", 1},
    // ---- linearizable reads ----
    {"reads-without-quorum", K::kReadsWithoutQuorum, T::kNone, "a leader answers reads without asking a quorum",
     "etcd#741, Jepsen 2014", 3, "", 20},
    {"reads-before-own-commit", K::kReadsBeforeOwnCommit, T::kNone,
     "a new leader answers reads before it knows what is committed", "raft#397 (M15)", 3, "", 1},
    {"reads-by-old-answers", K::kReadsByOldAnswers, T::kNone, "an answer to an earlier round confirms a later read",
     "etcd#20418 (M15)", 3, "", 100},
    {"reads-before-apply", K::kReadsBeforeApply, T::kNone, "a read does not wait until its index is applied",
     "etcd#20418 (M15)", 3, "", 1},
    // ---- watches ----
    {"progress-first", K::kProgressFirst, T::kNone, "progress is promised while events are on their way",
     "etcd#15220 (M05)", 1, "progress of", 5},
    {"delete-lost", K::kDeleteLost, T::kNone, "the deletes of the compact revision are not told", "etcd#18089 (M10)", 1,
     "watch: ", 1},
    {"duplicate", K::kDuplicate, T::kNone, "what comes while history is read is told again", "etcd#17247 (M07)", 1,
     "after it was told of all", 1},
    {"parked-for-good", K::kParkedForGood, T::kNone, "a watcher whose stream was full is never read on",
     "etcd#17529 (M08)", 1, "the watchers to be told of everything", 1},
    {"future-tells-old", K::kFutureTellsOld, T::kNone, "a watch from a future revision is told of older ones",
     "etcd#20221 (M13)", 1, "", 1},
    {"fragment-dropped", K::kNone, T::kFragmentDropped, "the last fragment of a response does not arrive", "", 1,
     "is missing", 1},
    // ---- leases ----
    {"checkpoint-lost", K::kNone, T::kCheckpointLost, "a lease has all its time again after a change of leader",
     "etcd#13508 (M17)", 1, "s left after a start", 1},
    {"stale-lessor", K::kRevokeOfOldTerm, T::kStaleLessor, "a leader that was deposed without knowing it ends leases",
     "etcd#15247 (M16)", 3, "", 1},
    {"renews-what-is-gone", K::kNone, T::kRenewsWhatIsGone, "a renewal of a revoked lease is answered with OK",
     "etcd#20813 (M19)", 1, "", 1},
    {"moved-key-kept", K::kNone, T::kMovedKeyKept, "a key goes with the lease that it had before", "", 1, "", 1},
};

}  // namespace

std::span<const PlantedBug> PlantedBugs() { return kBugs; }

Found Find(const PlantedBug& bug, uint64_t first, uint64_t most) {
  Found found;
  for (uint64_t seed = first; seed < first + most; seed++) {
    planted_mutant = bug.kernel;
    const Outcome outcome = RunSeed(seed, bug.members > 0 ? bug.members : MembersOf(seed), bug.twin);
    planted_mutant = tenon::Mutant::kNone;
    if (outcome.violation.empty()) continue;
    if (outcome.violation.find(bug.words) == std::string::npos) {
      found.another = outcome.violation;
      continue;
    }
    found.seeds = seed - first + 1;
    found.seed = seed;
    found.violation = outcome.violation;
    break;
  }
  return found;
}

}  // namespace tenon::sim
