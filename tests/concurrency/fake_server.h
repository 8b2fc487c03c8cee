// A host whose server is a map: what plugins/concurrency asks of etcd's API, and nothing else.
//
// Answers come inside the call, events on the thread of whoever writes; posted work runs on a thread of its own.
#pragma once
#include <tenon/abi/abi.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "proto/rpc.pb.h"

namespace tenon::testing {

class FakeServer {
 public:
  FakeServer();
  ~FakeServer();
  const tenon_host* host() const { return &host_; }

  std::string Get(const std::string& key);  // "" if absent
  std::vector<std::string> Keys();
  void Delete(const std::string& key);
  void AddLease(int64_t id);
  size_t watches();
  // The next watch that begins is told that its revision is compacted.
  void CompactBeforeNextWatch();
  void EndWatches();

 private:
  struct Stream {
    FakeServer* server;
    tenon_call_out out;
    std::string key, end;
    bool open = false, finished = false;
  };
  static FakeServer& Of(const tenon_host* host) { return *static_cast<FakeServer*>(host->priv); }
  static const tenon_host_call_v1 kCall;
  static const tenon_host_exec_v1 kExec;
  static const tenon_call_in_v1 kIn;

  tenon_status Serve(const std::string& method, const std::string& request, std::string* reply, std::string* error);
  etcdserverpb::RangeResponse Range(const etcdserverpb::RangeRequest& r);
  tenon_status Put(const etcdserverpb::PutRequest& r, std::string* error);
  int64_t DeleteRange(const std::string& key, const std::string& end);
  void Publish();  // the events of the write that ended
  void Begin(Stream& stream, const etcdserverpb::WatchCreateRequest& create);
  void Send(Stream& stream, const etcdserverpb::WatchResponse& response);
  void Work();

  tenon_host host_;
  std::recursive_mutex mutex_;
  int64_t revision_ = 1;
  std::map<std::string, mvccpb::KeyValue> keys_;
  std::vector<mvccpb::Event> events_, history_;
  std::set<int64_t> leases_;
  int64_t next_lease_ = 1000;
  std::list<Stream> streams_;
  bool compact_ = false;

  std::mutex work_mutex_;
  std::condition_variable work_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::thread pool_;
};

}  // namespace tenon::testing
