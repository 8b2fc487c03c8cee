// v3election's Observe: a stream of what the leader proclaims, and of each new leader.
#pragma once
#include <memory>
#include <string>

#include "plugins/concurrency/client.h"

namespace tenon::concurrency {

// The server's end of the stream. All on its strand; it lives until the client released it and it finished.
class Observe : public std::enable_shared_from_this<Observe> {
 public:
  Observe(Client& client, tenon_call_out out);
  void Open(tenon_call_in* in);  // once
  void Cancel();                 // [any]

 private:
  static const tenon_call_in_v1 kIn;
  void Start(const std::string& request);
  void FindLeader();
  void AwaitLeader(int64_t revision);
  void Follow(const std::string& key, int64_t revision);
  void Send(const etcdserverpb::ResponseHeader& header, const mvccpb::KeyValue& kv);
  void Finish(const Failure& failure);
  void StopWatching();

  Client& client_;
  const std::shared_ptr<Strand> strand_;
  const tenon_call_out out_;
  std::string prefix_;
  std::shared_ptr<Watch> watch_;
  std::shared_ptr<Observe> held_by_client_, self_;
  bool asked_ = false, slow_ = false, finished_ = false;
};

}  // namespace tenon::concurrency
