#include "kernel/cluster/ids.h"

#include <algorithm>

#include "kernel/base/coding.h"
#include "kernel/base/sha.h"

namespace tenon::cluster {
namespace {

uint64_t FirstEightOfSha1(const std::string& text) {
  const auto digest = Sha1(text);
  return GetBigEndian64(reinterpret_cast<const char*>(digest.data()));
}

}  // namespace

MemberId ComputeMemberId(std::vector<std::string> peer_urls, const std::string& token) {
  std::sort(peer_urls.begin(), peer_urls.end());
  std::string text;
  for (const std::string& url : peer_urls) text += url;
  return FirstEightOfSha1(text + token);
}

uint64_t ComputeClusterId(std::vector<MemberId> members) {
  std::sort(members.begin(), members.end());
  std::string text(8 * members.size(), '\0');
  for (size_t i = 0; i < members.size(); i++) PutBigEndian64(text.data() + 8 * i, members[i]);
  return FirstEightOfSha1(text);
}

}  // namespace tenon::cluster
