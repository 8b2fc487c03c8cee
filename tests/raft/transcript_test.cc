// Walks testdata/*.txt: commands to a cluster, each followed by what happened. `--rewrite` writes what happens now:
// then read the diff.
//
//   > COMMAND ARGUMENTS       until the next empty line: what it printed
//   # and everything else     for the reader
//
// The words and the rendering are those of etcd's raft (rafttest), as far as they go: there a Ready's answers are part
// of its messages, here they stand behind "after append", because that is where they are.
//
// add-nodes FROM-TO voters=1,2,3 [learners=4] [prevote] [checkquorum] [inflight=N] [inflight-bytes=N] [bytes=N]
//           [uncommitted=N]   with an empty log; an election timeout is 3 ticks, a heartbeat 1
// bootstrap ID v1 v2       the founding entries, on a member without a configuration
// campaign ID | tick-heartbeat ID | tick-election ID | tick ID N | set-randomized-election-timeout ID TICKS
// propose ID TEXT... | propose-conf-change ID [implicit|explicit] v2 l3 r4   nothing behind ID: leave joint
// read-index ID CONTEXT
// transfer-leadership ID TO | forget-leader ID | report-unreachable ID PEER | report-snapshot ID PEER ok|failed
// process-ready ID | process-append-thread ID | process-apply-thread ID
// deliver-msgs ID... [from=ID]   what waits for these members | drop FROM TO | drop-all
// duplicate FROM TO        what waits comes twice | delay FROM TO: the oldest that waits comes behind all others
// send-snapshot FROM TO    of what FROM has applied, unasked
// stabilize [ID...]        these members, or all, work until nothing is left to do
// crash ID [WRITES [TORN]] | restart ID | persist ID | compact ID INDEX
// status ID | raft-log ID | raft-state
// quietly COMMAND...       prints only that it is done
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "fmt/format.h"
#include "tests/raft/cluster.h"
#include "tests/raft/render.h"

namespace tenon::raft {
namespace {

bool rewrite = false;

class Transcript {
 public:
  Transcript() {
    cluster_.on_ready = [this](Member& m, const Ready& r) { out_ += fmt::format("{} ", m.config.id) + Render(r); };
    cluster_.on_apply = [this](Member& m, const Entry& e) {
      out_ += fmt::format("{} applied {}", m.config.id, Render(e));
      if (e.type != EntryType::kNormal) out_ += ": " + Render(m.state.conf);
      out_ += "\n";
    };
  }

  // Carries out one command and returns what it printed.
  std::string Run(const std::string& line) {
    out_.clear();
    words_.clear();
    std::istringstream in(line);
    std::string command;
    in >> command;
    const bool quietly = command == "quietly";
    if (quietly) in >> command;
    for (std::string word; in >> word;) words_.push_back(word);
    const auto it = kCommands.find(command);
    if (it == kCommands.end()) return "unknown command\n";
    it->second(this);
    return quietly || out_.empty() ? "ok\n" : out_;
  }

 private:
  static const std::map<std::string, std::function<void(Transcript*)>> kCommands;

  MemberId Id(size_t i = 0) const { return std::stoull(words_.at(i)); }
  Raft& raft() { return *cluster_[Id()].raft; }
  std::string Rest(size_t from) const { return fmt::format("{}", fmt::join(words_.begin() + from, words_.end(), " ")); }
  void Say(const Status& status) {
    if (!status.ok()) out_ += status.ToString() + "\n";
  }

  static std::vector<MemberId> Ids(const std::string& list) {
    std::vector<MemberId> ids;
    std::istringstream in(list);
    for (std::string id; std::getline(in, id, ',');) ids.push_back(std::stoull(id));
    return ids;
  }

  void AddNodes() {
    const MemberId first = Id();
    const size_t dash = words_[0].find('-');
    const MemberId last = dash == std::string::npos ? first : std::stoull(words_[0].substr(dash + 1));
    Config config{.election_ticks = 3, .pre_vote = false, .check_quorum = false};
    for (size_t i = 1; i < words_.size(); i++) {
      const std::string name = words_[i].substr(0, words_[i].find('='));
      const std::string value = name.size() < words_[i].size() ? words_[i].substr(name.size() + 1) : "";
      if (name == "voters")
        config.conf.voters = Ids(value);
      else if (name == "learners")
        config.conf.learners = Ids(value);
      else if (name == "prevote")
        config.pre_vote = true;
      else if (name == "checkquorum")
        config.check_quorum = true;
      else if (name == "inflight")
        config.max_inflight = std::stoull(value);
      else if (name == "inflight-bytes")
        config.max_inflight_bytes = std::stoull(value);
      else if (name == "uncommitted")
        config.max_uncommitted_bytes = std::stoull(value);
      else if (name == "bytes")
        config.max_size_per_message = std::stoull(value);
    }
    for (config.id = first; config.id <= last; config.id++) {
      config.seed = config.id;
      cluster_.Add(config);
    }
  }

  void Bootstrap() {
    std::vector<Entry> entries;
    ConfState conf;
    for (size_t i = 1; i < words_.size(); i++) {
      entries.push_back(ConfProposal(words_[i]));
      conf.voters.push_back(std::stoull(words_[i].substr(1)));
    }
    raft().Bootstrap(std::move(entries), std::move(conf));
  }

  void Propose() {
    std::vector<Entry> entries;
    for (size_t i = 1; i < words_.size(); i++) entries.push_back(Proposal(words_[i]));
    Say(raft().Propose(std::move(entries)));
  }

  void AppendThread(MemberId id) {
    Member& member = cluster_[id];
    if (member.writes.empty()) return void(out_ += "nothing to write\n");
    out_ += fmt::format("{} wrote\n", id);
    for (const Message& m : member.writes.front().after) out_ += "  answers " + Render(m) + "\n";
    cluster_.ProcessAppend(id);
  }

  void ApplyThread(MemberId id) {
    if (cluster_[id].applies.empty()) return void(out_ += "nothing to apply\n");
    cluster_.ProcessApply(id);
  }

  // From everyone, or from one member only.
  bool Deliver(MemberId to, MemberId from = 0) {
    auto& network = cluster_.network();
    bool any = false;
    std::deque<Message> all = std::exchange(network, {});
    for (Message& m : all) {
      if (m.to != to || (from != 0 && m.from != from)) {
        network.push_back(std::move(m));
        continue;
      }
      any = true;
      out_ += Render(m) + "\n";
      if (!cluster_[to].up()) out_ += "  lost\n";
      Say(cluster_.Deliver(std::move(m)));
    }
    return any;
  }

  void Drop(MemberId from, MemberId to) {
    std::erase_if(cluster_.network(), [&](const Message& m) {
      if (from != 0 && (m.from != from || m.to != to)) return false;
      out_ += "dropped " + Render(m) + "\n";
      return true;
    });
  }

  void DeliverMsgs() {
    MemberId from = 0;
    if (words_.back().starts_with("from=")) {
      from = std::stoull(words_.back().substr(5));
      words_.pop_back();
    }
    for (size_t i = 0; i < words_.size(); i++) Deliver(Id(i), from);
  }

  void Duplicate(MemberId from, MemberId to) {
    auto& network = cluster_.network();
    for (size_t i = network.size(); i > 0; i--)
      if (network[i - 1].from == from && network[i - 1].to == to) network.push_back(network[i - 1]);
  }

  void SendSnapshot(MemberId from, MemberId to) {
    const State& state = cluster_[from].state;
    cluster_.Send(from, {.type = MessageType::kSnap,
                         .to = to,
                         .from = from,
                         .term = raft().term(),
                         .snapshot = SnapshotMeta{state.applied, state.term, state.conf}});
  }

  void Stabilize() {
    std::vector<MemberId> ids;
    for (size_t i = 0; i < words_.size(); i++) ids.push_back(Id(i));
    if (ids.empty())
      for (auto& [id, member] : cluster_.members()) ids.push_back(id);
    for (bool busy = true; busy;) {
      busy = false;
      for (MemberId id : ids) {
        Member& member = cluster_[id];
        if (!member.up()) continue;
        for (; member->HasReady(); busy = true) cluster_.ProcessReady(id);
        for (; !member.writes.empty(); busy = true) AppendThread(id);
        for (; !member.applies.empty(); busy = true) ApplyThread(id);
      }
      for (MemberId id : ids) busy = Deliver(id) || busy;
    }
  }

  void Status_() {
    if (raft().progress() == nullptr) return void(out_ += "not a leader\n");
    for (const auto& [id, progress] : raft().progress()->all())
      out_ += fmt::format("{}: {}\n", id, progress.ToString());
  }

  void RaftLog() {
    const Log& log = raft().log();
    out_ += fmt::format("first={} last={} committed={} applied={} stable={}\n", log.first_index().value,
                        log.last_index().value, log.committed().value, log.applied().value,
                        log.unstable().offset().value - 1);
    for (Index i = log.first_index(); i <= log.last_index(); ++i) out_ += Render(log.At(i)) + "\n";
  }

  void RaftState() {
    for (auto& [id, m] : cluster_.members()) {
      if (!m.up())
        out_ += fmt::format("{}: down\n", id);
      else
        out_ += fmt::format("{}: {} ({}) Term:{} Lead:{} Commit:{} {}\n", id, RoleName(m->role()),
                            IsVoter(m->conf(), id) ? "Voter" : "Non-Voter", m->term().value, m->leader(),
                            m->commit().value, Render(m->conf()));
    }
  }

  Cluster cluster_;
  std::vector<std::string> words_;
  std::string out_;
};

const std::map<std::string, std::function<void(Transcript*)>> Transcript::kCommands = {
    {"add-nodes", [](Transcript* t) { t->AddNodes(); }},
    {"bootstrap", [](Transcript* t) { t->Bootstrap(); }},
    {"campaign", [](Transcript* t) { t->raft().Campaign(); }},
    {"tick",
     [](Transcript* t) {
       for (MemberId i = t->Id(1); i > 0; i--) t->raft().Tick();
     }},
    {"tick-heartbeat", [](Transcript* t) { t->raft().Tick(); }},
    {"tick-election",
     [](Transcript* t) {
       for (int i = 0; i < t->cluster_[t->Id()].config.election_ticks; i++) t->raft().Tick();
     }},
    {"set-randomized-election-timeout",
     [](Transcript* t) { t->raft().SetElectionTimeout(static_cast<int>(t->Id(1))); }},
    {"propose", [](Transcript* t) { t->Propose(); }},
    {"propose-conf-change", [](Transcript* t) { t->Say(t->raft().Propose({ConfProposal(t->Rest(1))})); }},
    {"read-index", [](Transcript* t) { t->Say(t->raft().ReadIndex(t->Id(1))); }},
    {"transfer-leadership", [](Transcript* t) { t->raft().TransferLeader(t->Id(1)); }},
    {"forget-leader", [](Transcript* t) { t->raft().ForgetLeader(); }},
    {"report-unreachable", [](Transcript* t) { t->raft().ReportUnreachable(t->Id(1)); }},
    {"report-snapshot", [](Transcript* t) { t->raft().ReportSnapshot(t->Id(1), t->words_.at(2) == "ok"); }},
    {"process-ready",
     [](Transcript* t) {
       if (t->raft().HasReady())
         t->cluster_.ProcessReady(t->Id());
       else
         t->out_ += "no Ready\n";
     }},
    {"process-append-thread", [](Transcript* t) { t->AppendThread(t->Id()); }},
    {"process-apply-thread", [](Transcript* t) { t->ApplyThread(t->Id()); }},
    {"deliver-msgs", [](Transcript* t) { t->DeliverMsgs(); }},
    {"duplicate", [](Transcript* t) { t->Duplicate(t->Id(0), t->Id(1)); }},
    {"delay",
     [](Transcript* t) {
       auto& network = t->cluster_.network();
       const auto first = std::find_if(network.begin(), network.end(),
                                       [&](const Message& m) { return m.from == t->Id(0) && m.to == t->Id(1); });
       std::rotate(first, std::next(first), network.end());
     }},
    {"send-snapshot", [](Transcript* t) { t->SendSnapshot(t->Id(0), t->Id(1)); }},
    {"drop", [](Transcript* t) { t->Drop(t->Id(0), t->Id(1)); }},
    {"drop-all", [](Transcript* t) { t->Drop(0, 0); }},
    {"stabilize", [](Transcript* t) { t->Stabilize(); }},
    {"crash",
     [](Transcript* t) {
       const size_t n = t->words_.size();
       t->cluster_.Crash(t->Id(), n > 1 ? t->Id(1) : 0, n > 2 ? t->Id(2) : 0);
     }},
    {"restart", [](Transcript* t) { t->cluster_.Restart(t->Id()); }},
    {"persist", [](Transcript* t) { t->cluster_.Persist(t->Id()); }},
    {"compact", [](Transcript* t) { t->cluster_.Compact(t->Id(), Index(t->Id(1))); }},
    {"status", [](Transcript* t) { t->Status_(); }},
    {"raft-log", [](Transcript* t) { t->RaftLog(); }},
    {"raft-state", [](Transcript* t) { t->RaftState(); }},
};

std::string Play(std::istream& in) {
  Transcript transcript;
  std::string out;
  for (std::string line; std::getline(in, line);) {
    out += line + "\n";
    if (!line.starts_with("> ")) continue;
    out += transcript.Run(line.substr(2)) + "\n";
    while (std::getline(in, line) && !line.empty()) {
    }
  }
  if (out.ends_with("\n\n")) out.pop_back();
  return out;
}

class TranscriptTest : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(TranscriptTest, IsWhatHappens) {
  std::ifstream file(GetParam());
  const std::string expected{std::istreambuf_iterator<char>(file), {}};
  std::istringstream in(expected);
  const std::string actual = Play(in);
  if (rewrite)
    std::ofstream(GetParam()) << actual;
  else
    EXPECT_EQ(actual, expected);
}

std::vector<std::filesystem::path> Files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(TENON_RAFT_TESTDATA)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Testdata, TranscriptTest, testing::ValuesIn(Files()),
                         [](const auto& info) { return info.param.stem().string(); });

}  // namespace
}  // namespace tenon::raft

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; i++) tenon::raft::rewrite |= std::string_view(argv[i]) == "--rewrite";
  return RUN_ALL_TESTS();
}
