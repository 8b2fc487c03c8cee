#include "kernel/member/healer.h"

#include <algorithm>

#include "kernel/base/log.h"

namespace tenon {

void Healer::Begin(std::string_view why) {
  if (healing_.exchange(true)) return;
  LOG_ERROR("the state of this member is not to be trusted: fetching that of another one", {"reason", why});
  p_.node.Abstain();
  p_.executor.Post([this] {
    p_.begun();
    Fetch();
  });
}

void Healer::Fetch() {
  if (stopped_) return;
  const MemberId from = NextSource();
  // Nothing behind it was ever made durable here, or the log might already go on from a later place.
  const Index least = std::max(p_.node.state().commit, p_.applier.applied());
  const bool begun = from != 0 && p_.fetch.Start(from, least, [this](Result<raft::SnapshotMeta> meta) {
    if (stopped_) return;
    if (meta.ok()) return p_.node.Adopt(*std::move(meta));
    LOG_WARN("cannot fetch a state: asking another member", {"error", meta.status()});
    p_.executor.PostAfter(kRetryNs, [this] { Fetch(); });
  });
  if (begun) {
    LOG_INFO("fetching the state of another member", LogField::Hex("from", from));
  } else {
    p_.executor.PostAfter(kRetryNs, [this] { Fetch(); });
  }
}

// The members in turn, the leader first.
MemberId Healer::NextSource() {
  const MemberId self = p_.membership.self(), leader = p_.node.state().leader;
  if (source_ == 0 && leader != 0 && leader != self) return source_ = leader;
  MemberId first = 0, next = 0;
  for (const cluster::Member& m : p_.membership.Voters()) {
    if (m.id == self) continue;
    if (first == 0) first = m.id;
    if (next == 0 && m.id > source_) next = m.id;
  }
  return source_ = next != 0 ? next : first;
}

}  // namespace tenon
