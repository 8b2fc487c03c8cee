// Plain HTTP, behind dispatch.http: /health, /livez, /readyz, /version, /metrics, /debug/vars with etcd's bodies, codes
// and headers.
//
// A listener for clients has all of them behind etcd's checks of Host and Origin; one for metrics has /metrics and the
// health checks, without these. What takes time (a read, a scrape) is done on other threads than the transport's.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernel/api/http_health.h"
#include "kernel/api/http_text.h"
#include "kernel/base/bufs.h"
#include "kernel/metrics/metrics.h"
#include "kernel/ports/executor.h"
#include "tenon/abi/transport.h"

namespace tenon::api {

struct HttpRequest {
  std::string method, path;  // the path without escapes
  Query query;
};

struct HttpResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;

  void Add(std::string name, std::string value) { headers.emplace_back(std::move(name), std::move(value)); }
};

class Http {
 public:
  struct Sources {
    HealthSources health;
    std::function<std::string()> cluster_version;  // "3.7.0"; empty: not decided yet
    std::function<std::string()> raft_status;      // JSON, for /debug/vars
    std::function<void(Task)> post;                // runs a scrape, on a thread that may take its time
  };
  struct Options {
    uint64_t request_timeout_ns = 7'000'000'000;
    std::vector<std::string> cors = {"*"}, host_whitelist = {"*"};
    std::vector<std::string> command_line;  // for /debug/vars; a test has its own
  };
  Http(Sources sources, Executor& timers, metrics::Registry& metrics, Options options);

  // dispatch.http, as tenon/abi/transport.h says. [any]
  tenon_status Serve(const tenon_http_info& info, Bufs body, tenon_call_out out, tenon_call_in* in);

 private:
  using Reply = absl::AnyInvocable<void(HttpResponse)>;

  void Route(const tenon_http_info& info, Bufs body, Reply reply);
  // The handlers. A path that none of them has is Go's 404.
  void ServeClient(const HttpRequest& request, Bufs body, Reply reply);
  void ServeMetricsAndHealth(const HttpRequest& request, Reply reply);
  void ServeHealth(const HttpRequest& request, Reply reply);
  void ServeGroup(const HttpRequest& request, Health::Group group, std::string_view check, Reply reply);
  void ServeVersion(const HttpRequest& request, Reply reply);
  void ServeVars(const HttpRequest& request, Reply reply);
  // The seam of the JSON gateway: POST /v3/... False: there is no gateway, and the path does not exist.
  bool ServeGateway(const HttpRequest& request, Bufs body, Reply& reply);

  const Sources sources_;
  metrics::Registry& metrics_;
  const Options options_;
  Health health_;
};

// What `server` says. It outlives the Http.
struct Server;
Http::Sources HttpSourcesOf(Server& server);
// The arguments that this process was started with.
std::vector<std::string> CommandLine();

}  // namespace tenon::api
