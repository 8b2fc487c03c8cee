// What this member answers to the others: messages go to raft, calls to whoever is at home for them.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "kernel/base/mutex.h"
#include "kernel/cluster/membership.h"
#include "kernel/node/node.h"
#include "kernel/ports/peers.h"

namespace tenon::node {

class PeerDesk : public PeerHandler {
 public:
  // Both outlive it.
  PeerDesk(Node& node, const cluster::Membership& membership) : node_(node), membership_(membership) {}

  // Who answers calls of this name; runs on the module's thread, so slow work goes elsewhere. null: nobody any more,
  // though one that runs may go on. [any]
  using Method = std::function<void(const PeerSender& from, std::string request, Done done)>;
  void Add(std::string name, Method method);

  Status Deliver(const PeerSender& from, std::string_view message) override;
  void Call(const PeerSender& from, std::string_view name, std::string request, Done done) override;
  void Unreachable(MemberId id) override { node_.Unreachable(id); }

 private:
  Status Check(const PeerSender& from) const;

  Node& node_;
  const cluster::Membership& membership_;
  Mutex mutex_;
  std::map<std::string, Method, std::less<>> methods_;
};

}  // namespace tenon::node
