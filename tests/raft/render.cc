#include "tests/raft/render.h"

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace tenon::raft {
namespace {

const char* Name(MessageType type) {
  static constexpr const char* kNames[] = {"Hup",
                                           "Beat",
                                           "Prop",
                                           "App",
                                           "AppResp",
                                           "Vote",
                                           "VoteResp",
                                           "Snap",
                                           "Heartbeat",
                                           "HeartbeatResp",
                                           "Unreachable",
                                           "SnapStatus",
                                           "CheckQuorum",
                                           "TransferLeader",
                                           "TimeoutNow",
                                           "ReadIndex",
                                           "ReadIndexResp",
                                           "PreVote",
                                           "PreVoteResp",
                                           "StorageAppend",
                                           "StorageAppendResp",
                                           "StorageApply",
                                           "StorageApplyResp",
                                           "ForgetLeader"};
  return kNames[static_cast<int>(type)];
}

std::string Ids(const std::vector<MemberId>& ids) { return fmt::format("({})", fmt::join(ids, " ")); }

std::string Render(const SnapshotMeta& s) {
  return fmt::format("{}/{} {}", s.term.value, s.index.value, Render(s.conf));
}

}  // namespace

std::string RoleName(Role role) {
  static constexpr const char* kNames[] = {"StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate"};
  return kNames[static_cast<int>(role)];
}

std::string Render(const Entry& e) {
  if (e.type == EntryType::kNormal)
    return fmt::format("{}/{} EntryNormal \"{}\"", e.term.value, e.index.value, e.bytes());
  const std::string type = e.type == EntryType::kConfChange ? "EntryConfChange" : "EntryConfChangeV2";
  return fmt::format("{}/{} {}{}{}", e.term.value, e.index.value, type, e.bytes().empty() ? "" : " ", e.bytes());
}

std::string Render(const std::vector<Entry>& entries) {
  std::string out;
  for (const Entry& e : entries) out += (out.empty() ? "" : ", ") + Render(e);
  return "[" + out + "]";
}

std::string Render(const Message& m) {
  std::string out = fmt::format("{}->{} Msg{}", m.from, m.to, Name(m.type));
  if (m.term > Term(0)) out += fmt::format(" Term:{}", m.term.value);
  if (m.log_term > Term(0) || m.index > Index(0)) out += fmt::format(" Log:{}/{}", m.log_term.value, m.index.value);
  if (m.reject) out += fmt::format(" Rejected (Hint: {})", m.reject_hint.value);
  if (m.commit > Index(0)) out += fmt::format(" Commit:{}", m.commit.value);
  if (m.context != 0) out += fmt::format(" Context:{}", m.context);
  if (!m.entries.empty()) out += " Entries:" + Render(m.entries);
  if (m.snapshot) out += " Snapshot:" + Render(*m.snapshot);
  return out;
}

std::string Render(const ConfState& conf) {
  std::string out = "voters=" + Ids(conf.voters);
  if (!conf.voters_outgoing.empty()) out += "&" + Ids(conf.voters_outgoing);
  if (!conf.learners.empty()) out += " learners=" + Ids(conf.learners);
  if (!conf.learners_next.empty()) out += " learners_next=" + Ids(conf.learners_next);
  if (conf.auto_leave) out += " autoleave";
  return out;
}

std::string Render(const HardState& h) {
  return fmt::format("Term:{} Vote:{} Commit:{}", h.term.value, h.vote, h.commit.value);
}

std::string Render(const Ready& ready) {
  std::string out = fmt::format("Ready MustSync={}:\n", ready.must_sync);
  if (ready.soft_state)
    out += fmt::format("  Lead:{} State:{}\n", ready.soft_state->leader, RoleName(ready.soft_state->role));
  if (ready.hard_state) out += "  HardState " + Render(*ready.hard_state) + "\n";
  if (!ready.entries.empty()) out += "  Entries " + Render(ready.entries) + "\n";
  if (ready.snapshot) out += "  Snapshot " + Render(*ready.snapshot) + "\n";
  for (const Message& m : ready.messages) out += "  send " + Render(m) + "\n";
  for (const Message& m : ready.after_append) out += "  after append " + Render(m) + "\n";
  if (!ready.committed.empty()) out += "  CommittedEntries " + Render(ready.committed) + "\n";
  for (const ReadState& r : ready.reads) out += fmt::format("  Read Context:{} Index:{}\n", r.context, r.index.value);
  return out;
}

}  // namespace tenon::raft
