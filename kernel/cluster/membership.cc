#include "kernel/cluster/membership.h"

#include <algorithm>
#include <charconv>

#include "absl/functional/function_ref.h"
#include "kernel/base/errors.h"
#include "kernel/cluster/version.h"

namespace tenon::cluster {
namespace {

constexpr std::string_view kVersionKey = "clusterVersion";

std::string RowKey(MemberId id) { return fmt::format("{:x}", id); }

Status ForEachRow(storage::Snapshot& snapshot, uint32_t table, absl::FunctionRef<Status(const tenon_kv&)> fn) {
  ASSIGN_OR_RETURN(storage::Cursor cursor, snapshot.OpenCursor(table, {}, {}));
  tenon_kv rows[16];
  for (;;) {
    ASSIGN_OR_RETURN(const size_t n, cursor.Next(rows, 1 << 20));
    if (n == 0) return Ok();
    for (size_t i = 0; i < n; i++) RETURN_IF_ERROR(fn(rows[i]));
  }
}

}  // namespace

Status Membership::Restore(storage::Engine& engine, const storage::Tables& tables) {
  tables_ = tables;
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, engine.OpenSnapshot());
  MutexLock lock(&mutex_);
  const Result<std::string_view> version = snapshot.Get(tables.cluster, kVersionKey);
  if (version.ok()) {
    version_ = ParseVersion(*version);
    if (!version_) return absl::DataLossError(fmt::format("store: table cluster: {} is no version", *version));
    RETURN_IF_ERROR(MayServe(server_version_, *version_));
  } else if (!absl::IsNotFound(version.status())) {
    return version.status();
  }
  RETURN_IF_ERROR(ForEachRow(snapshot, tables.members, [&](const tenon_kv& row) -> Status {
    Result<Member> member = FromJson(storage::View(row.val));
    if (!member.ok()) return absl::DataLossError(fmt::format("store: table members: {}", Message(member.status())));
    if (member->id == self_) is_learner_ = member->learner;
    members_[member->id] = *std::move(member);
    return Ok();
  }));
  return ForEachRow(snapshot, tables.members_removed, [&](const tenon_kv& row) -> Status {
    const std::string_view text = storage::View(row.key);
    MemberId id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id, 16);
    if (error != std::errc() || end != text.data() + text.size()) {
      return absl::DataLossError(fmt::format("store: table members_removed: {} is no member id", text));
    }
    removed_.insert(id);
    return Ok();
  });
}

void Membership::Assume(const std::vector<Member>& members) {
  MutexLock lock(&mutex_);
  for (const Member& member : members) members_[member.id] = member;
}

void Membership::Apply(const MemberChange& change, storage::Batch& batch) {
  const MemberId id = change.member.id;
  MutexLock lock(&mutex_);
  if (change.type == raft::ConfChangeType::kRemoveNode) {
    members_.erase(id);
    removed_.insert(id);  // for ever: who comes back with its old disk must not vote
    batch.Delete(tables_.members, RowKey(id));
    batch.Put(tables_.members_removed, RowKey(id), "removed");
    return;
  }
  Member& member = members_[id];
  if (change.promote) {
    member.learner = false;
  } else if (change.type == raft::ConfChangeType::kUpdateNode) {
    member.peer_urls = change.member.peer_urls;  // and nothing else: etcd#21736 made a voter of a learner here
  } else {
    member = change.member;
    member.learner = change.type == raft::ConfChangeType::kAddLearnerNode;
  }
  if (id == self_) is_learner_ = member.learner;
  batch.Put(tables_.members, RowKey(id), ToJson(member));
}

void Membership::SetAttributes(MemberId id, std::string name, std::vector<std::string> client_urls,
                               storage::Batch& batch) {
  MutexLock lock(&mutex_);
  const auto it = members_.find(id);
  if (it == members_.end()) return;  // removed while its announcement was on the way
  it->second.name = std::move(name);
  it->second.client_urls = std::move(client_urls);
  batch.Put(tables_.members, RowKey(id), ToJson(it->second));
}

Status Membership::SetVersion(Version version, storage::Batch& batch) {
  RETURN_IF_ERROR(MayServe(server_version_, version));
  MutexLock lock(&mutex_);
  if (version_ && version <= *version_) return Ok();
  batch.Put(tables_.cluster, kVersionKey, ToString(version));
  version_ = version;
  return Ok();
}

std::vector<Member> Membership::List() const {
  std::vector<Member> out;
  MutexLock lock(&mutex_);
  for (const auto& [id, member] : members_) out.push_back(member);
  return out;
}

std::vector<Member> Membership::Voters() const {
  std::vector<Member> out = List();
  std::erase_if(out, [](const Member& m) { return m.learner; });
  return out;
}

std::optional<Member> Membership::Find(MemberId id) const {
  MutexLock lock(&mutex_);
  const auto it = members_.find(id);
  if (it == members_.end()) return std::nullopt;
  return it->second;
}

bool Membership::IsRemoved(MemberId id) const {
  MutexLock lock(&mutex_);
  return removed_.contains(id);
}

Status Membership::Validate(const MemberChange& change) const {
  const MemberId id = change.member.id;
  MutexLock lock(&mutex_);
  if (removed_.contains(id)) return errors::MemberRemoved();
  const auto it = members_.find(id);
  const bool found = it != members_.end();
  const auto is_taken = [&](const std::string& url) {
    return std::any_of(members_.begin(), members_.end(), [&](const auto& entry) {
      const auto& [other, member] = entry;
      return other != id && std::find(member.peer_urls.begin(), member.peer_urls.end(), url) != member.peer_urls.end();
    });
  };
  const auto& urls = change.member.peer_urls;
  const bool taken = std::any_of(urls.begin(), urls.end(), is_taken);

  switch (change.type) {
    case raft::ConfChangeType::kRemoveNode: return found ? Ok() : errors::MemberNotFound();
    case raft::ConfChangeType::kUpdateNode:
      if (!found) return errors::MemberNotFound();
      return taken ? errors::PeerUrlExists() : Ok();
    case raft::ConfChangeType::kAddNode:
    case raft::ConfChangeType::kAddLearnerNode: break;
  }
  if (change.promote) {
    if (!found) return errors::MemberNotFound();
    return it->second.learner ? Ok() : errors::NotLearner();
  }
  if (found) return errors::MemberExists();
  if (taken) return errors::PeerUrlExists();
  const auto learners = std::count_if(members_.begin(), members_.end(), [](const auto& m) { return m.second.learner; });
  const bool full = static_cast<size_t>(learners) >= kMaxLearners;
  return change.type == raft::ConfChangeType::kAddLearnerNode && full ? errors::TooManyLearners() : Ok();
}

bool Membership::IsReadyToAddVoter() const {
  size_t members = 1, started = 0;  // the new one counts, and has not started
  for (const Member& m : Voters()) {
    members++;
    started += !m.name.empty();
  }
  // A cluster of one may grow: its only member is the quorum until the second one has come.
  return (started == 1 && members == 2) || started >= members / 2 + 1;
}

bool Membership::IsReadyToRemove(MemberId voter) const {
  size_t members = 0, started = 0;
  for (const Member& m : Voters()) {
    if (m.id == voter) continue;
    members++;
    started += !m.name.empty();
  }
  return members > 0 && started >= members / 2 + 1;
}

bool Membership::IsReadyToPromote(MemberId learner) const {
  size_t members = 1, started = 1;  // who is to be promoted has caught up, so it has started
  for (const Member& m : Voters()) {
    if (m.id == learner) continue;
    members++;
    started += !m.name.empty();
  }
  return started >= members / 2 + 1;
}

std::optional<Version> Membership::version() const {
  MutexLock lock(&mutex_);
  return version_;
}

}  // namespace tenon::cluster
