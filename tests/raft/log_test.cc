#include <gtest/gtest.h>

#include <stdexcept>

#include "kernel/base/check.h"
#include "kernel/raft/log.h"
#include "kernel/raft/raft.h"

namespace tenon::raft {
namespace {

// The log whose entries have these terms, from index 1.
std::vector<Entry> Entries(std::vector<uint64_t> terms, uint64_t first = 1) {
  std::vector<Entry> out;
  for (uint64_t term : terms) out.push_back({Term(term), Index(first++)});
  return out;
}
Log Make(std::vector<uint64_t> terms, uint64_t committed = 0, uint64_t applied = 0) {
  return Log({}, Entries(std::move(terms)), Index(committed), Index(applied));
}
std::vector<uint64_t> Terms(const Log& log) {
  std::vector<uint64_t> out;
  for (Index i = log.first_index(); i <= log.last_index(); ++i) out.push_back(log.At(i).term.value);
  return out;
}
EntryId Id(uint64_t term, uint64_t index) { return {Term(term), Index(index)}; }
using Numbers = std::vector<uint64_t>;

TEST(Log, AnEmptyOneMatchesOnlyTheBeginning) {
  const Log log = Make({});
  EXPECT_EQ(log.last_index(), Index(0));
  EXPECT_TRUE(log.Matches(Id(0, 0)));
  EXPECT_EQ(log.TermAt(Index(1)), std::nullopt);
}

TEST(Log, CandidatesNeedAnEntryAtLeastAsNew) {
  const Log log = Make({1, 2, 2});
  EXPECT_TRUE(log.IsUpToDate(Id(2, 3)));
  EXPECT_TRUE(log.IsUpToDate(Id(3, 1)));
  EXPECT_FALSE(log.IsUpToDate(Id(2, 2)));
  EXPECT_FALSE(log.IsUpToDate(Id(1, 9)));
}

TEST(Log, AppendWithoutTheEntryBeforeIsRefused) {
  Log log = Make({1, 1});
  EXPECT_EQ(log.MaybeAppend(Id(1, 3), Entries({1}, 4), Index(4)), std::nullopt);
  EXPECT_EQ(log.MaybeAppend(Id(2, 2), Entries({2}, 3), Index(3)), std::nullopt);
  EXPECT_EQ(log.committed(), Index(0));
}

TEST(Log, ConflictCutsTheTail) {
  Log log = Make({1, 1, 1, 1});
  EXPECT_EQ(log.MaybeAppend(Id(1, 1), Entries({1, 2}, 2), Index(2)), Index(3));
  EXPECT_EQ(Terms(log), (Numbers{1, 1, 2}));
  EXPECT_EQ(log.committed(), Index(2));
  EXPECT_EQ(log.unstable().offset(), Index(3));
}

// Thesis 3.5: an old message must not cut off what a newer one brought.
TEST(Log, AnOldMessageCutsNothing) {
  Log log = Make({1, 1, 1, 1});
  EXPECT_EQ(log.MaybeAppend(Id(1, 1), Entries({1}, 2), Index(9)), Index(2));
  EXPECT_EQ(Terms(log), (Numbers{1, 1, 1, 1}));
  EXPECT_EQ(log.committed(), Index(2)) << "only what the message vouches for";
}

TEST(Log, ContradictingWhatIsCommittedAborts) {
  Log log = Make({1, 1}, 2);
  SetCheckHandler([](const char*, int, const std::string& m) { throw std::runtime_error(m); });
  EXPECT_THROW(log.MaybeAppend(Id(1, 1), Entries({2}, 2), Index(2)), std::runtime_error);
  SetCheckHandler(nullptr);
}

TEST(Log, ConflictIsSearchedByTerm) {
  const Log log = Make({1, 1, 1, 1, 2, 2});
  EXPECT_EQ(log.FindConflictByTerm(Index(6), Term(1)), Id(1, 4));
  EXPECT_EQ(log.FindConflictByTerm(Index(6), Term(5)), Id(2, 6));
  EXPECT_EQ(log.FindConflictByTerm(Index(9), Term(5)), Id(0, 9)) << "not there: unknown";
}

TEST(Log, OnlyOwnTermIsCommittedByCounting) {
  Log log = Make({1, 1, 2});
  EXPECT_FALSE(log.MaybeCommit(Id(2, 2)));
  EXPECT_TRUE(log.MaybeCommit(Id(2, 3)));
  EXPECT_FALSE(log.MaybeCommit(Id(2, 3)));
}

TEST(Log, ReadKeepsToTheSizeButGivesOne) {
  Log log = Make({});
  std::vector<Entry> entries(3);
  for (Entry& e : entries) e.payload = std::make_shared<const Payload>(std::string(84, 'x'));
  log.Append(std::move(entries), Term(1));
  EXPECT_EQ(log.Read(Index(1), Index(3), 10).size(), 1u);
  EXPECT_EQ(log.Read(Index(1), Index(3), 200).size(), 2u);
  EXPECT_EQ(log.Read(Index(1), Index(3), 300).size(), 3u);
  EXPECT_EQ(log.Read(Index(4), Index(3), 300).size(), 0u);
}

TEST(Log, CommittedIsAppliedOnlyFromDisk) {
  Log log = Make({});
  log.Append(std::vector<Entry>(2), Term(1));
  log.CommitTo(Index(2));
  EXPECT_FALSE(log.HasCommittedToApply());
  EXPECT_EQ(log.TakeUnstable().size(), 2u);
  log.StableTo(Id(1, 1));
  EXPECT_EQ(log.TakeCommitted().size(), 1u);
  log.StableTo(Id(1, 2));
  EXPECT_EQ(log.TakeCommitted().size(), 1u);
  EXPECT_FALSE(log.HasCommittedToApply());
}

TEST(Log, StabilityOfAnEntryThatWasReplacedIsIgnored) {
  Log log = Make({1});
  log.MaybeAppend(Id(1, 1), Entries({1}, 2), Index(0));
  log.TakeUnstable();
  log.MaybeAppend(Id(1, 1), Entries({2}, 2), Index(0));
  log.StableTo(Id(1, 2));
  EXPECT_EQ(log.unstable().offset(), Index(2));
  EXPECT_EQ(log.TakeUnstable().size(), 1u) << "the new one is to be written";
}

TEST(Log, CompactionKeepsTheTermOfTheLastForgotten) {
  Log log = Make({1, 2, 3}, 3, 3);
  log.CompactTo(Index(2));
  EXPECT_EQ(log.first_index(), Index(3));
  EXPECT_EQ(log.TermAt(Index(2)), Term(2));
  EXPECT_EQ(log.TermAt(Index(1)), std::nullopt);
  log.CompactTo(Index(1));
  EXPECT_EQ(log.first_index(), Index(3));
}

TEST(Log, NothingIsAppliedBeforeTheSnapshotIs) {
  Log log = Make({1});
  log.Restore({Index(5), Term(2), {}});
  log.MaybeAppend(Id(2, 5), Entries({2}, 6), Index(6));
  log.TakeUnstable();
  log.StableTo(Id(2, 6));
  EXPECT_FALSE(log.HasCommittedToApply());
  log.StableSnapshotTo(Index(5));
  log.AppliedTo(Index(5));
  EXPECT_EQ(log.TakeCommitted().size(), 1u);
}

TEST(Log, AGapAborts) {
  SetCheckHandler([](const char*, int, const std::string& m) { throw std::runtime_error(m); });
  EXPECT_THROW(Log({}, Entries({1}, 2), Index(0), Index(0)), std::runtime_error);
  EXPECT_THROW(Make({1}, 2), std::runtime_error) << "commit behind the end";
  SetCheckHandler(nullptr);
}

// An entry is replaced and then comes back, all while the first write of it is in flight: the second write will still
// overwrite it on disk for a moment, so the end of the first one proves nothing.
TEST(AsyncAppend, AnEntryThatCameBackIsNotYetOnDisk) {
  Raft raft({.id = 2, .conf = {.voters = {1, 2, 3}}});
  const auto append = [&](uint64_t term, MemberId leader, std::vector<uint64_t> terms) {
    Message m{.type = MessageType::kApp, .to = 2, .from = leader, .term = Term(term), .entries = Entries(terms)};
    EXPECT_TRUE(raft.Step(std::move(m)).ok());
    return raft.TakeReady();
  };
  std::vector<Ready> readies;
  readies.push_back(append(1, 1, {1}));
  readies.push_back(append(2, 3, {2}));
  readies.push_back(append(3, 1, {1, 3}));
  const auto finish = [&](const Ready& ready) {
    for (const Message& m : ready.after_append) {
      const bool own = m.to == 2;
      EXPECT_TRUE(!own || raft.Step(m).ok());
    }
    return raft.log().unstable().offset();
  };
  EXPECT_EQ(finish(readies[0]), Index(1)) << "written, and about to be overwritten";
  EXPECT_EQ(finish(readies[1]), Index(1));
  EXPECT_EQ(finish(readies[2]), Index(3));
}

}  // namespace
}  // namespace tenon::raft
