// Mistakes that can be planted in the kernel: the simulator must find each of them, or it proves nothing
// (tests/sim/mutants.h says what each does and whose it was).
//
// No server holds them: without TENON_MUTANTS Planted is a constant, and the places that ask for it are gone. Only the
// sources that tests/sim/CMakeLists.txt names are compiled a second time with it, for sim_mutant_test and sim-mutants.
#pragma once
#include <cstdint>

namespace tenon {

enum class Mutant : uint8_t {
  kNone,
  // raft
  kVotesTwice,
  kVoteForgotten,
  kVoteUnsynced,
  kAppendUnsynced,
  kConflictKept,
  kAppliesUnsynced,
  kCountsUnsent,
  kHeartbeatCommitsAll,
  kReadsWithoutQuorum,
  kReadsBeforeOwnCommit,
  kReadsByOldAnswers,
  // node, apply
  kReadsBeforeApply,
  kForwardsTwice,
  kLogReleasedEarly,
  kRevokeOfOldTerm,
  kTxnHalfDone,
  kStatesNotCompared,
  kCorruptStays,
  // mvcc
  kStaleIndex,
  kProgressFirst,
  kDeleteLost,
  kDuplicate,
  kParkedForGood,
  kFutureTellsOld,
};

#ifdef TENON_MUTANTS
inline namespace with_mutants {
inline Mutant planted_mutant = Mutant::kNone;  // in the whole process; set before a seed runs
inline bool Planted(Mutant mutant) { return planted_mutant == mutant; }
}  // namespace with_mutants
#else
inline namespace without_mutants {
constexpr bool Planted(Mutant) { return false; }
}  // namespace without_mutants
#endif

}  // namespace tenon
