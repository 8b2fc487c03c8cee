// Members with random luck, thousands of times: what must never happen does not, and in the end all agree.
//
// TENON_SEED=n replays one seed, TENON_SEEDS=n tries more of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>
#include <stdexcept>

#include "fmt/format.h"
#include "kernel/base/check.h"
#include "tests/raft/invariants.h"

namespace tenon::raft {
namespace {

class Chaos {
 public:
  explicit Chaos(uint64_t seed) : random_(seed), invariants_(cluster_) {
    const MemberId founders = 1 + Draw(5);
    const bool pre_vote = Draw(3) != 0, check_quorum = Draw(3) != 0;
    const uint64_t message_bytes = 20 + Draw(200);
    const size_t inflight = 1 + Draw(4);
    const uint64_t inflight_bytes = Draw(2) * (1 + Draw(30));
    ConfState conf;
    std::vector<Entry> founding;
    for (MemberId id = 1; id <= founders; id++) {
      conf.voters.push_back(id);
      founding.push_back(ConfProposal("v" + std::to_string(id)));
    }
    for (MemberId id = 1; id <= kMembers; id++) {
      Member& member = cluster_.Add({.id = id,
                                     .election_ticks = 4,
                                     .pre_vote = pre_vote,
                                     .check_quorum = check_quorum,
                                     .max_size_per_message = message_bytes,
                                     .max_inflight = inflight,
                                     .max_inflight_bytes = inflight_bytes,
                                     .max_uncommitted_bytes = 4000,
                                     .seed = Draw(1000000)});
      if (id > founders) continue;  // joins later, by a change of members
      member->Bootstrap(founding, conf);
      cluster_.ProcessReady(id);
      cluster_.ProcessAppend(id);
    }
  }

  void Run(int steps) {
    for (int i = 0; i < steps; i++) {
      Step();
      invariants_.Check();
      if (i % 64 == 0) invariants_.CheckLogMatching();
    }
    Heal();
  }

  const std::map<std::string, uint64_t>& faults() const { return faults_; }
  const std::map<std::string, uint64_t>& checks() const { return invariants_.checks(); }

 private:
  static constexpr MemberId kMembers = 5;

  uint64_t Draw(uint64_t below) { return random_() % below; }
  bool Chance(uint64_t in) { return Draw(in) == 0; }
  Member& Any() { return cluster_[1 + Draw(kMembers)]; }

  // Some member for which `fits` holds, or null.
  template <class Fits>
  Member* Find(Fits fits) {
    const MemberId first = Draw(kMembers);
    for (MemberId i = 0; i < kMembers; i++) {
      Member& member = cluster_[1 + (first + i) % kMembers];
      if (fits(member)) return &member;
    }
    return nullptr;
  }

  void Step() {
    const uint64_t dice = Draw(1000);
    if (dice < 400) return Deliver();
    if (dice < 600) {
      if (Member* m = Find([](Member& x) { return x.up() && x->HasReady(); })) cluster_.ProcessReady(m->config.id);
    } else if (dice < 760) {
      if (Member* m = Find([](Member& x) { return !x.writes.empty(); })) cluster_.ProcessAppend(m->config.id);
    } else if (dice < 820) {
      if (Member* m = Find([](Member& x) { return !x.applies.empty(); })) cluster_.ProcessApply(m->config.id);
    } else if (dice < 900) {
      if (Member* m = Find([](Member& x) { return x.up(); })) (*m)->Tick();
    } else if (dice < 940) {
      std::vector<Entry> batch(1 + Draw(4));
      for (Entry& e : batch) e = Proposal(std::to_string(proposals_++));
      if (Member* m = Find([](Member& x) { return x.up() && x->leader() != 0; }))
        (*m)->Propose(std::move(batch)).IgnoreError();
    } else if (dice < 970) {
      invariants_.ReadAsked(++reads_);
      if (Member* m = Find([](Member& x) { return x.up() && x->leader() != 0; })) (*m)->ReadIndex(reads_).IgnoreError();
    } else if (dice < 980) {
      if (Member* m = Find([](Member& x) { return !x.up(); })) cluster_.Restart(m->config.id);
    } else if (Member& member = Any(); member.up()) {
      Fault(member);
    }
  }

  void Deliver() {
    auto& network = cluster_.network();
    if (network.empty()) return;
    const size_t at = Chance(4) ? Draw(network.size()) : 0;
    if (at > 0) faults_["reordered"]++;
    Message m = network[at];
    if (Chance(20)) {
      faults_["duplicated"]++;
    } else {
      network.erase(network.begin() + static_cast<ptrdiff_t>(at));
    }
    if (Chance(20)) {
      faults_["dropped"]++;
      return;
    }
    if (cut_.count({m.from, m.to})) {
      faults_["cut off"]++;
      return;
    }
    cluster_.Deliver(std::move(m)).IgnoreError();
  }

  void Fault(Member& member) {
    const MemberId id = member.config.id;
    switch (Draw(14)) {
      case 0:
      case 1:
        faults_["crashed"]++;
        cluster_.Crash(id, Draw(3), Draw(3));
        break;
      case 2:
        cut_.clear();
        if (Chance(2)) break;
        faults_["partitioned"]++;
        for (MemberId other = 1; other <= kMembers; other++) {
          if (Chance(4)) continue;  // some links live on, some in one direction
          cut_.insert({id, other});
          if (!Chance(4)) cut_.insert({other, id});
        }
        break;
      case 3: cluster_.Persist(id); break;
      case 4:
        cluster_.Persist(id);
        if (member.persisted.applied > Index(2)) {
          faults_["compacted"]++;
          cluster_.Compact(id, member.persisted.applied - Draw(2));
        }
        break;
      case 5:
        faults_["transferred"]++;
        member->TransferLeader(1 + Draw(kMembers));
        break;
      case 6: member->ReportUnreachable(1 + Draw(kMembers)); break;
      case 7:
      case 8: member->ReportSnapshot(1 + Draw(kMembers), Chance(2)); break;
      case 9: member->Campaign(); break;
      case 10:
        faults_["forgot its leader"]++;
        member->ForgetLeader();
        break;
      case 11:
        if (member->role() != Role::kLeader) break;
        faults_["sent a snapshot unasked"]++;
        cluster_.Send(id, {.type = MessageType::kSnap,
                           .to = 1 + Draw(kMembers),
                           .from = id,
                           .term = member->term(),
                           .snapshot = SnapshotMeta{}});
        break;
      default:
        if (Member* leader = Find([](Member& m) { return m.up() && m->role() == Role::kLeader; }))
          ChangeMembers(*leader);
        break;
    }
  }

  void ChangeMembers(Member& member) {
    static constexpr char kKinds[] = {'v', 'v', 'l', 'r'};
    std::string words = Chance(6) ? "explicit" : Chance(4) ? "implicit" : "";
    for (uint64_t i = 1 + Draw(2); i > 0; i--) words += std::string(" ") + kKinds[Draw(4)] + char('1' + Draw(kMembers));
    if (IsJoint(member->conf())) words = "";
    // As a proposer must: what the present configuration refuses never gets into the log, and a leader that is to go
    // goes through a joint configuration.
    const ConfChange change = ParseConfChange(words);
    const Result<ConfState> after = Apply(member->conf(), change);
    if (!after.ok()) return;
    const bool stays = std::binary_search(after->voters.begin(), after->voters.end(), member->id());
    if (!stays && !change.enters_joint() && !change.leaves_joint()) return;
    if (member->Propose({ConfProposal(words)}).ok()) faults_["members changed"]++;
  }

  // All links work, everyone who belongs to the cluster is up: it must come to rest with all that was committed and
  // accept something new.
  void Heal() {
    cut_.clear();
    cluster_.network().clear();
    for (auto& [id, member] : cluster_.members())
      if (!member.up()) cluster_.Restart(id);
    for (int round = 0; round < 400; round++) {
      for (auto& [id, member] : cluster_.members()) {
        member->Tick();
        if (member->progress() == nullptr) continue;
        for (const auto& [peer, progress] : std::map(member->progress()->all()))  // a transport reports what it lost
          if (progress.state == ProgressState::kSnapshot) member->ReportSnapshot(peer, false);
      }
      Settle();
      if (Agreed()) return;
    }
    throw std::runtime_error("no progress after everything was healed" + Describe());
  }

  std::string Describe() {
    std::string out;
    for (auto& [id, m] : cluster_.members()) {
      out += fmt::format(
          "\n{}: role={} term={} vote={} leader={} first={} last={} commit={} applied={} "
          "voters=({})&({}) learners=({})",
          id, static_cast<int>(m->role()), m->term().value, m->vote(), m->leader(), m->first_index().value,
          m->last_index().value, m->commit().value, m->applied().value, fmt::join(m->conf().voters, " "),
          fmt::join(m->conf().voters_outgoing, " "), fmt::join(m->conf().learners, " "));
      if (m->progress() == nullptr) continue;
      for (const auto& [peer, progress] : m->progress()->all())
        out += fmt::format("\n   {}: {}", peer, progress.ToString());
    }
    return out;
  }

  // As Stabilize, checked at each step. Who was removed is not heard any more.
  void Settle() {
    const ConfState conf = Newest().conf();
    for (bool busy = true; busy;) {
      busy = false;
      for (auto& [id, member] : cluster_.members()) {
        for (; member->HasReady(); busy = true) cluster_.ProcessReady(id), invariants_.Check();
        for (; !member.writes.empty(); busy = true) cluster_.ProcessAppend(id), invariants_.Check();
        for (; !member.applies.empty(); busy = true) cluster_.ProcessApply(id), invariants_.Check();
      }
      for (; !cluster_.network().empty(); busy = true) {
        Message m = std::move(cluster_.network().front());
        cluster_.network().pop_front();
        if (IsMember(conf, m.from)) cluster_.Deliver(std::move(m)).IgnoreError();
        invariants_.Check();
      }
    }
    invariants_.CheckLogMatching();
  }

  Raft& Newest() {
    Raft* newest = nullptr;
    for (auto& [id, member] : cluster_.members())
      if (newest == nullptr || member->commit() > newest->commit()) newest = member.raft.get();
    return *newest;
  }

  bool Agreed() {
    Raft* leader = nullptr;
    for (auto& [id, member] : cluster_.members())
      if (member->role() == Role::kLeader && (leader == nullptr || member->term() > leader->term()))
        leader = member.raft.get();
    if (leader == nullptr || leader->commit() < invariants_.max_commit()) return false;
    if (IsJoint(leader->conf()) && !leader->conf().auto_leave) leader->Propose({ConfProposal("")}).IgnoreError();
    if (!leader->Propose({Proposal("last")}).ok()) return false;
    const Index last = leader->last_index();
    Settle();
    if (leader->role() != Role::kLeader) return false;
    for (MemberId id : Members(leader->conf()))
      if (cluster_[id]->applied() < last) return false;
    return true;
  }

  std::mt19937_64 random_;
  Cluster cluster_;
  Invariants invariants_;
  std::set<std::pair<MemberId, MemberId>> cut_;
  uint64_t proposals_ = 0, reads_ = 0;
  std::map<std::string, uint64_t> faults_;
};

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Random, NothingEverHappensThatMustNot) {
  SetCheckHandler([](const char* file, int line, const std::string& message) {
    throw std::runtime_error(fmt::format("CHECK {}:{}: {}", file, line, message));
  });
  const uint64_t first = FromEnvironment("TENON_SEED", 1);
  const uint64_t last = std::getenv("TENON_SEED") ? first : FromEnvironment("TENON_SEEDS", 4000);
  std::map<std::string, uint64_t> faults, checks;
  for (uint64_t seed = first; seed <= last; seed++) {
    try {
      Chaos chaos(seed);
      try {
        chaos.Run(1500);
      } catch (const std::exception& e) {
        FAIL() << e.what() << "\nreplay: TENON_SEED=" << seed << " build/release/tests/raft_random_test";
      }
      for (const auto& [name, count] : chaos.faults()) faults[name] += count;
      for (const auto& [name, count] : chaos.checks()) checks[name] += count;
    } catch (const std::exception& e) {
      FAIL() << "at start: " << e.what() << "\nreplay: TENON_SEED=" << seed;
    }
  }
  SetCheckHandler(nullptr);
  for (const auto& [name, count] : faults) std::printf("fault %-34s %10llu\n", name.c_str(), (unsigned long long)count);
  for (const auto& [name, count] : checks) std::printf("check %-34s %10llu\n", name.c_str(), (unsigned long long)count);
  if (last == first) return;
  EXPECT_EQ(faults.size(), 11u) << "a kind of fault never fired";
  EXPECT_EQ(checks.size(), 11u) << "a rule had nothing to check";
}

}  // namespace
}  // namespace tenon::raft
