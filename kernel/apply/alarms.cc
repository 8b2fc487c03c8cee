#include "kernel/apply/alarms.h"

namespace tenon::apply {
namespace {

using etcdserverpb::AlarmMember;
using etcdserverpb::AlarmRequest;
using etcdserverpb::AlarmType;

AlarmMember Make(int type, uint64_t member) {
  AlarmMember m;
  m.set_memberid(member);
  m.set_alarm(static_cast<AlarmType>(type));
  return m;
}

}  // namespace

Status Alarms::Restore(storage::Engine& engine, uint32_t table) {
  table_ = table;
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, engine.OpenSnapshot());
  ASSIGN_OR_RETURN(storage::Cursor cursor, snapshot.OpenCursor(table, {}, {}));
  tenon_kv rows[16];
  for (;;) {
    ASSIGN_OR_RETURN(const size_t n, cursor.Next(rows, 1 << 20));
    if (n == 0) return Ok();
    for (size_t i = 0; i < n; i++) {
      AlarmMember m;
      if (!m.ParseFromArray(rows[i].key.p, static_cast<int>(rows[i].key.n))) {
        return absl::DataLossError("store: a row of the table alarm is damaged");
      }
      MutexLock lock(&mutex_);
      raised_.emplace(m.alarm(), m.memberid());
    }
  }
}

std::vector<AlarmMember> Alarms::Apply(const AlarmRequest& request, storage::Batch& batch) {
  if (request.action() == AlarmRequest::GET) return List(request.alarm());
  if (request.alarm() == etcdserverpb::NONE) return {};
  const AlarmMember m = Make(request.alarm(), request.memberid());
  MutexLock lock(&mutex_);
  if (request.action() == AlarmRequest::ACTIVATE) {
    if (raised_.emplace(m.alarm(), m.memberid()).second) batch.Put(table_, m.SerializeAsString(), std::string_view());
    return {m};
  }
  if (raised_.erase({m.alarm(), m.memberid()}) == 0) return {};
  batch.Delete(table_, m.SerializeAsString());
  return {m};
}

bool Alarms::Has(AlarmType type) const {
  MutexLock lock(&mutex_);
  const auto it = raised_.lower_bound({type, 0});
  return it != raised_.end() && it->first == type;
}

std::vector<AlarmMember> Alarms::List(AlarmType type) const {
  std::vector<AlarmMember> out;
  MutexLock lock(&mutex_);
  for (const auto& [raised, member] : raised_) {
    if (type == etcdserverpb::NONE || type == raised) out.push_back(Make(raised, member));
  }
  return out;
}

}  // namespace tenon::apply
