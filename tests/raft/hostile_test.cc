// A member among liars: whatever the fields of a peer's message say, the member refuses or survives it.
//
// Two CHECKs are left on purpose, where etcd panics too: a leader that contradicts what is committed, and a commit
// index behind the end of the log. A correct peer sends neither unless this member lost what it acknowledged, and then
// it must not go on. The member may also be led to believe what is wrong (raft does not bear liars), never into another
// CHECK.
//
// TENON_SEED=n replays one seed, TENON_SEEDS=n tries more of them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <random>
#include <stdexcept>

#include "fmt/format.h"
#include "kernel/base/check.h"
#include "tests/raft/cluster.h"

namespace tenon::raft {
namespace {

class Victim {
 public:
  explicit Victim(uint64_t seed)
      : random_(seed),
        raft_({.id = 1,
               .election_ticks = 3,
               .pre_vote = Draw(2) == 0,
               .check_quorum = Draw(2) == 0,
               .max_size_per_message = 20,
               .max_inflight = 2,
               .max_inflight_bytes = Draw(2) * 30,
               .seed = Draw(1000),
               .conf = {.voters = {1, 2, 3}, .learners = {4}}}) {}

  void Step() {
    switch (Draw(12)) {
      case 0: return raft_.Tick();
      case 1: return raft_.Campaign();
      case 2: return raft_.Propose({Any(EntryType::kNormal)}).IgnoreError();
      case 3: return raft_.ReadIndex(++read_).IgnoreError();
      case 4: return Elect();
      case 5:
      case 6: return Work();
      case 7: return raft_.CompactLog(Index(Draw(raft_.applied().value + 1)));
      default: return Deliver(AnyMessage());
    }
  }

  uint64_t delivered = 0, refused = 0;
  std::map<Role, uint64_t> roles;

 private:
  uint64_t Draw(uint64_t below) { return random_() % below; }
  // A number around `n`, now and then one at the ends of what there is.
  uint64_t Near(uint64_t n) {
    static constexpr uint64_t kEnds[] = {0, 1, (1ull << 63) - 1, 1ull << 63, UINT64_MAX - 1, UINT64_MAX};
    return Draw(40) == 0 ? kEnds[Draw(6)] : n + Draw(5) - std::min<uint64_t>(n, 2);
  }

  Entry Any(EntryType type) {
    static constexpr const char* kWords[] = {"", "v5", "l2", "r3", "v5 r2", "explicit l3", "r1", "implicit r1 r2 r3"};
    Entry e = type == EntryType::kNormal ? Proposal(std::string(Draw(30), 'x')) : ConfProposal(kWords[Draw(8)]);
    e.type = type;
    return e;
  }
  Entry Any() { return Any(Draw(4) == 0 ? EntryType::kConfChangeV2 : EntryType::kNormal); }

  ConfState AnyConf() {
    ConfState conf;
    for (auto* list : {&conf.voters, &conf.voters, &conf.learners, &conf.voters_outgoing, &conf.learners_next})
      for (uint64_t n = Draw(3); n > 0; n--) list->push_back(Draw(6));
    conf.auto_leave = Draw(4) == 0;
    return Draw(2) == 0 ? conf : ConfState{.voters = {1, 2, 3}};
  }

  // Half of the fields fit what the member would expect, so that a message gets past the first look.
  Message AnyMessage() {
    Message m{.type = static_cast<MessageType>(Draw(25)), .to = 1, .from = Draw(20) == 0 ? Draw(7) : 2 + Draw(2)};
    m.term = Draw(2) == 0 ? raft_.term() : Term(Near(raft_.term().value));
    m.index = Index(Near(Draw(2) == 0 ? raft_.last_index().value : raft_.commit().value));
    const std::optional<Term> term = raft_.log().TermAt(m.index);
    m.log_term = term && Draw(4) != 0 ? *term : Term(Near(m.term.value));
    m.commit = Index(Near(raft_.commit().value));
    m.reject = Draw(3) == 0;
    m.reject_hint = Index(Near(m.index.value));
    m.context = Draw(3) == 0 ? Near(read_) : 0;
    const bool honest = Draw(4) != 0;
    for (uint64_t n = Draw(4), i = 1; i <= n; i++) {
      Entry e = Any();
      e.index = honest ? m.index + i : Index(Near(m.index.value));
      e.term = honest ? m.term : Term(Near(m.term.value));
      m.entries.push_back(std::move(e));
    }
    if (Draw(4) != 0) m.snapshot = SnapshotMeta{Index(Near(m.index.value)), Term(Near(m.log_term.value)), AnyConf()};
    return m;
  }

  void Deliver(Message m) {
    roles[raft_.role()]++;
    delivered++;
    if (m.from == 1) return;  // the caller of Step knows who sent a message
    if (!raft_.Step(std::move(m)).ok()) refused++;
  }

  // An honest election, or it would seldom lead.
  void Elect() {
    raft_.Campaign();
    for (const MessageType type : {MessageType::kPreVoteResp, MessageType::kVoteResp}) {
      Work();
      const Term term = type == MessageType::kPreVoteResp ? raft_.term() + 1 : raft_.term();
      Deliver({.type = type, .to = 1, .from = 2, .term = term});
    }
    Work();
  }

  // Some of what the member asks of disk and state machine, in order.
  void Work() {
    if (raft_.HasReady()) {
      Ready ready = raft_.TakeReady();
      if (ready.has_storage_work()) writes_.push_back(std::move(ready.after_append));
      if (!ready.committed.empty()) applies_.push_back(std::move(ready.committed));
    }
    if (!writes_.empty() && Draw(3) != 0) {
      for (Message& m : writes_.front()) {
        if (m.to != 1) continue;
        const Status own = raft_.Step(std::move(m));
        ASSERT_TRUE(own.ok()) << own;
      }
      writes_.pop_front();
    }
    if (!applies_.empty() && Draw(3) != 0) {
      for (const Entry& e : applies_.front()) {
        if (e.type == EntryType::kNormal) continue;
        // As the applier does: what does not fit is applied as nothing.
        const ConfChange change = ParseConfChange(e.bytes());
        raft_.ApplyConfChange(e.index, Apply(raft_.conf(), change).ok() ? change : ConfChange::Single({}, 0));
      }
      const Status applied = raft_.Step(raft_.AppliedMessage(applies_.front().back().index));
      ASSERT_TRUE(applied.ok());
      applies_.pop_front();
    }
  }

  std::mt19937_64 random_;
  Raft raft_;
  uint64_t read_ = 1000;
  std::deque<std::vector<Message>> writes_;
  std::deque<std::vector<Entry>> applies_;
};

struct Check : std::runtime_error {
  using std::runtime_error::runtime_error;
};

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Hostile, NoMessageOfAPeerEndsAMember) {
  SetCheckHandler([](const char* file, int line, const std::string& message) {
    throw Check(fmt::format("CHECK {}:{}: {}", file, line, message));
  });
  const uint64_t first = FromEnvironment("TENON_SEED", 1);
  const uint64_t last = std::getenv("TENON_SEED") ? first : FromEnvironment("TENON_SEEDS", 3000);
  uint64_t delivered = 0, refused = 0, safety = 0;
  std::map<Role, uint64_t> roles;
  for (uint64_t seed = first; seed <= last; seed++) {
    Victim victim(seed);
    try {
      for (int i = 0; i < 600; i++) victim.Step();
    } catch (const Check& check) {
      const std::string what = check.what();
      if (what.find("safety is gone") == what.npos && what.find("acknowledged entries are lost") == what.npos)
        FAIL() << what << "\nreplay: TENON_SEED=" << seed << " build/release/tests/raft_test --gtest_filter=Hostile.*";
      safety++;
    }
    delivered += victim.delivered;
    refused += victim.refused;
    for (const auto& [role, count] : victim.roles) roles[role] += count;
  }
  SetCheckHandler(nullptr);
  std::printf("%llu messages, %llu refused, %llu of %llu members ended because safety was gone\n",
              (unsigned long long)delivered, (unsigned long long)refused, (unsigned long long)safety,
              (unsigned long long)(last - first + 1));
  if (first == last) return;
  for (const Role role : {Role::kFollower, Role::kCandidate, Role::kLeader, Role::kPreCandidate})
    EXPECT_GT(roles[role], 1000u) << "role " << static_cast<int>(role) << " was hardly attacked";
}

}  // namespace
}  // namespace tenon::raft
