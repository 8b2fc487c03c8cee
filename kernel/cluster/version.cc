#include "kernel/cluster/version.h"

#include <algorithm>

namespace tenon::cluster {

std::optional<Version> DecideVersion(std::optional<Version> current, std::span<const std::optional<Version>> members) {
  std::optional<Version> least;
  for (const std::optional<Version>& member : members) {
    if (!member) return current ? std::nullopt : std::optional(kLeastVersion);
    least = least ? std::min(*least, *member) : *member;
  }
  return least && (!current || *current < *least) ? least : std::nullopt;
}

Status MayServe(Version own, Version cluster) {
  if (own >= cluster) return Ok();
  return absl::FailedPreconditionError(fmt::format(
      "invalid downgrade; server version is lower than determined cluster version: this server is of version {}.{}, "
      "the cluster of {}.{}; run a server of that version or a newer one",
      own.major, own.minor, cluster.major, cluster.minor));
}

}  // namespace tenon::cluster
