#include "kernel/cluster/ids.h"

#include <openssl/sha.h>

#include <algorithm>

#include "kernel/base/coding.h"

namespace tenon::cluster {
namespace {

uint64_t FirstEightOfSha1(const std::string& text) {
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return GetBigEndian64(reinterpret_cast<const char*>(digest));
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
