// A cluster, as its members answer for it.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/base/status.h"
#include "kernel/cluster/member_change.h"

namespace tenon::utl {

// Errors are the members' own. Unavailable and DeadlineExceeded: nobody answered, or it is not known what became of the
// request.
class Cluster {
 public:
  virtual ~Cluster() = default;
  struct View {
    uint64_t id = 0;
    std::vector<cluster::Member> members;

    const cluster::Member* Find(MemberId id) const;
  };
  virtual Result<View> Members() = 0;  // as a quorum knows them
  virtual Status Remove(MemberId id) = 0;
  virtual Status AddLearner(const std::vector<std::string>& peer_urls) = 0;
  virtual Status Promote(MemberId id) = 0;
  // The id of the member that serves at one of these URLs and knows a leader; 0: it knows none.
  virtual Result<MemberId> WhoServes(const std::vector<std::string>& client_urls) = 0;
};

// Over gRPC, without TLS and without a user; a call each connection. On the caller's thread.
class RemoteCluster final : public Cluster {
 public:
  // InvalidArgument: one of them cannot be reached by this version, or is no URL.
  static Status Check(const std::vector<std::string>& endpoints);
  // Tried in turn, from the one that answered last.
  RemoteCluster(std::vector<std::string> endpoints, std::chrono::milliseconds patience)
      : endpoints_(std::move(endpoints)), patience_(patience) {}

  Result<View> Members() override;
  Status Remove(MemberId id) override;
  Status AddLearner(const std::vector<std::string>& peer_urls) override;
  Status Promote(MemberId id) override;
  Result<MemberId> WhoServes(const std::vector<std::string>& client_urls) override;

 private:
  // `changes`: what may have been done is not asked of the next one.
  Result<std::string> Ask(std::string_view method, const std::string& request, bool changes);

  const std::vector<std::string> endpoints_;
  const std::chrono::milliseconds patience_;
  size_t at_ = 0;
};

}  // namespace tenon::utl
