#include "kernel/cluster/membership.h"

#include <nlohmann/json.hpp>

namespace tenon::cluster {
namespace {

constexpr std::string_view kVersionKey = "clusterVersion";

std::string RowKey(MemberId id) { return fmt::format("{:x}", id); }

}  // namespace

std::string ToJson(const Member& m) {
  nlohmann::ordered_json json;
  json["id"] = m.id;
  json["peerURLs"] = m.peer_urls;
  if (m.learner) json["isLearner"] = true;
  if (!m.name.empty()) json["name"] = m.name;
  if (!m.client_urls.empty()) json["clientURLs"] = m.client_urls;
  // A name may be any bytes: what is no text is replaced, as in etcd.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<Member> FromJson(std::string_view text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  Member m;
  try {
    m.id = json.at("id").get<uint64_t>();
    m.peer_urls = json.at("peerURLs").get<std::vector<std::string>>();
    m.learner = json.value("isLearner", false);
    m.name = json.value("name", "");
    if (json.contains("clientURLs")) m.client_urls = json.at("clientURLs").get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception& e) {
    return absl::InvalidArgumentError(fmt::format("cluster: not a member's record: {}", e.what()));
  }
  return m;
}

Status Membership::Restore(storage::Engine& engine, const storage::Tables& tables) {
  tables_ = tables;
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, engine.OpenSnapshot());
  MutexLock lock(&mutex_);
  const Result<std::string_view> version = snapshot.Get(tables.cluster, kVersionKey);
  if (version.ok()) {
    version_ = std::string(*version);
  } else if (!absl::IsNotFound(version.status())) {
    return version.status();
  }
  ASSIGN_OR_RETURN(storage::Cursor cursor, snapshot.OpenCursor(tables.members, {}, {}));
  tenon_kv rows[16];
  for (;;) {
    ASSIGN_OR_RETURN(const size_t n, cursor.Next(rows, 1 << 20));
    if (n == 0) return Ok();
    for (size_t i = 0; i < n; i++) {
      Result<Member> member = FromJson(storage::View(rows[i].val));
      if (!member.ok()) return absl::DataLossError(fmt::format("store: table members: {}", Message(member.status())));
      members_[member->id] = *std::move(member);
    }
  }
}

void Membership::Add(Member member, storage::Batch& batch) {
  batch.Put(tables_.members, RowKey(member.id), ToJson(member));
  MutexLock lock(&mutex_);
  members_[member.id] = std::move(member);
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

void Membership::SetVersion(std::string version, storage::Batch& batch) {
  batch.Put(tables_.cluster, kVersionKey, version);
  MutexLock lock(&mutex_);
  version_ = std::move(version);
}

std::vector<Member> Membership::List() const {
  std::vector<Member> out;
  MutexLock lock(&mutex_);
  for (const auto& [id, member] : members_) out.push_back(member);
  return out;
}

std::string Membership::version() const {
  MutexLock lock(&mutex_);
  return version_;
}

}  // namespace tenon::cluster
