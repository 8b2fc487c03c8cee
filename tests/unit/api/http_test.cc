// Plain HTTP as a transport delivers it. Bodies, codes and headers are those of etcd 3.7.3, recorded from the real one
// (tests/http compares with it again); /livez and /readyz list their checks in one order here, in a random one there.
#include "kernel/api/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/manual_executor.h"

namespace tenon::api {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string_view View(tenon_slice s) { return {reinterpret_cast<const char*>(s.p), s.n}; }
tenon_slice Slice(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

// The transport's end of one exchange.
struct Exchange {
  static Exchange& Of(void* self) { return *static_cast<Exchange*>(self); }
  static const tenon_call_out_v1 kTable;
  // "200 text/plain; charset=utf-8|body"
  std::string Text() const { return headers.at(":status") + " " + Header("content-type") + "|" + body; }
  std::string Header(const std::string& name) const { return headers.contains(name) ? headers.at(name) : ""; }

  std::map<std::string, std::string> headers;
  std::string body;
  std::string end;
  tenon_call_in in{};
};
const tenon_call_out_v1 Exchange::kTable = {
    sizeof(tenon_call_out_v1),
    [](void* self, const tenon_kv* headers, size_t n) {
      EXPECT_TRUE(Of(self).headers.empty());
      EXPECT_EQ(View(headers[0].key), ":status");
      for (size_t i = 0; i < n; i++) {
        EXPECT_TRUE(Of(self).headers.emplace(View(headers[i].key), View(headers[i].val)).second)
            << View(headers[i].key);
      }
    },
    [](void* self, tenon_bufs message) {
      const Bufs owned(message);
      std::string scratch;
      Of(self).body += owned.Flatten(scratch);
      return static_cast<tenon_status>(TENON_AGAIN);  // "hold" must not keep the end away
    },
    [](void*) {},
    [](void* self, tenon_status status, const tenon_error* error, const tenon_kv*, size_t) {
      EXPECT_EQ(Of(self).end, "");
      Of(self).end = status == TENON_OK ? "OK" : error->msg;
    }};

class HttpTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kClient = TENON_LISTEN_GRPC | TENON_LISTEN_HTTP;

  Http::Sources Sources() {
    Http::Sources s;
    s.health.alarms = [this] { return alarms; };
    s.health.has_leader = [this] { return has_leader; };
    s.health.is_learner = [this] { return learner; };
    s.health.read = [this](bool serializable, absl::AnyInvocable<void(Status)> done) {
      reads.push_back(serializable ? "serializable" : "linearizable");
      if (hang) {
        hung.push_back(std::move(done));
      } else {
        work.Post([this, serializable, done = std::move(done)]() mutable { done(serializable ? Ok() : read_answer); });
      }
    };
    s.cluster_version = [this] { return cluster_version; };
    s.raft_status = [] { return R"({"id":"1"})"; };
    s.post = [this](Task task) { work.Post(std::move(task)); };
    return s;
  }
  Http& http() {
    if (http_ == nullptr) http_ = std::make_unique<Http>(Sources(), timers, registry, options);
    return *http_;
  }
  void Send(Exchange& exchange, std::string_view method, std::string_view target, uint32_t roles = kClient) {
    const size_t mark = target.find('?');
    std::vector<tenon_kv> headers;
    for (const auto& [name, value] : request_headers) headers.push_back({Slice(name), Slice(value)});
    tenon_http_info info{};
    info.size = sizeof info;
    info.roles = roles;
    info.method = Slice(method);
    info.path = Slice(target.substr(0, mark));
    info.query = Slice(mark == target.npos ? "" : target.substr(mark + 1));
    info.headers = headers.data();
    info.n_headers = headers.size();
    EXPECT_EQ(http().Serve(info, Bufs(), {&Exchange::kTable, &exchange}, &exchange.in), TENON_OK);
  }
  Exchange Ask(std::string_view method, std::string_view target, uint32_t roles = kClient) {
    Exchange exchange;
    Send(exchange, method, target, roles);
    while (work.RunOne()) {
    }
    EXPECT_EQ(exchange.end, "OK") << target;
    if (exchange.end.empty()) exchange.headers[":status"] = "none";
    exchange.in.fn->release(exchange.in.self);
    return exchange;
  }
  std::string Get(std::string_view target, uint32_t roles = kClient) { return Ask("GET", target, roles).Text(); }

  std::vector<etcdserverpb::AlarmType> alarms;
  bool has_leader = true, learner = false, hang = false;
  Status read_answer;
  std::string cluster_version = "3.7.0";
  std::vector<std::pair<std::string, std::string>> request_headers;
  Http::Options options;
  std::vector<std::string> reads;
  std::vector<absl::AnyInvocable<void(Status)>> hung;
  testing::ManualClock clock;
  testing::ManualExecutor work{clock}, timers{clock};
  metrics::Registry registry;
  std::unique_ptr<Http> http_;
};

constexpr const char* kText = "text/plain; charset=utf-8";
const std::string kHealthy = std::string("200 ") + kText + "|{\"health\":\"true\",\"reason\":\"\"}";
const std::string kNotFound = std::string("404 ") + kText + "|404 page not found\n";
const std::string kOk = std::string("200 ") + kText + "|ok\n";

std::string Unhealthy(std::string_view reason) {
  return fmt::format("503 {}|{{\"health\":\"false\",\"reason\":\"{}\"}}\n", kText, reason);
}
std::string Failed(std::string_view lines) { return fmt::format("503 {}|{}\n", kText, lines); }

TEST_F(HttpTest, EveryPathOfAClientListener) {
  EXPECT_EQ(Get("/health"), kHealthy);
  EXPECT_EQ(Get("/livez"), kOk);
  EXPECT_EQ(Get("/readyz"), kOk);
  EXPECT_EQ(Get("/readyz/serializable_read"), kOk);
  EXPECT_EQ(Get("/version"),
            "200 application/json|{\"etcdserver\":\"3.7.3\",\"etcdcluster\":\"3.7.0\",\"storage\":\"3.7.0\"}");
  EXPECT_THAT(Get("/metrics"),
              StartsWith("200 text/plain; version=0.0.4; charset=utf-8; escaping=underscores|# HELP "));
  for (const char* path : {"/", "/nosuch", "/health/", "/readyz/", "/livez/nosuch", "/livez/linearizable_read",
                           "/debug/", "/metrics/", "/v3/kv/range", "/v3/", "/v3"}) {
    EXPECT_EQ(Get(path), kNotFound) << path;
    EXPECT_EQ(Ask("POST", path).Text(), kNotFound) << path;
  }
}

TEST_F(HttpTest, AMetricsListenerHasMetricsAndHealthOnly) {
  for (const char* path : {"/health", "/livez", "/readyz", "/readyz/non_learner", "/metrics"}) {
    EXPECT_THAT(Get(path, TENON_LISTEN_METRICS), StartsWith("200 ")) << path;
  }
  for (const char* path : {"/version", "/debug/vars", "/", "/v3/kv/range"}) {
    EXPECT_EQ(Get(path, TENON_LISTEN_METRICS), kNotFound) << path;
  }
  const Exchange options = Ask("OPTIONS", "/health", TENON_LISTEN_METRICS);
  EXPECT_EQ(options.Text(), std::string("405 ") + kText + "|Method Not Allowed\n");
  EXPECT_EQ(options.Header("access-control-allow-origin"), "");
  EXPECT_EQ(Get("/health", TENON_LISTEN_GRPC), kNotFound);
}

TEST_F(HttpTest, HeadersAreEtcds) {
  const Exchange health = Ask("GET", "/health");
  EXPECT_EQ(health.Header("content-length"), "29");
  EXPECT_EQ(health.Header("x-content-type-options"), "");
  EXPECT_EQ(health.Header("access-control-allow-origin"), "*");
  EXPECT_EQ(health.Header("access-control-allow-methods"), "POST, GET, OPTIONS, PUT, DELETE");
  EXPECT_EQ(health.Header("access-control-allow-headers"), "accept, content-type, authorization");
  EXPECT_EQ(Ask("GET", "/livez").Header("x-content-type-options"), "nosniff");
  EXPECT_EQ(Ask("GET", "/nosuch").Header("x-content-type-options"), "nosniff");
}

TEST_F(HttpTest, OnlyMetricsTakesAnyMethod) {
  for (const char* path : {"/health", "/livez", "/readyz", "/livez/serializable_read", "/version", "/debug/vars"}) {
    for (const char* method : {"POST", "PUT", "DELETE", "HEAD"}) {
      const Exchange refused = Ask(method, path);
      EXPECT_EQ(refused.headers.at(":status"), "405") << method << path;
      EXPECT_EQ(refused.Header("allow"), "GET");
      EXPECT_EQ(refused.Header("content-length"), "19");
      EXPECT_EQ(refused.body, std::string(method) == "HEAD" ? "" : "Method Not Allowed\n");
    }
  }
  EXPECT_THAT(Ask("POST", "/metrics").Text(), StartsWith("200 "));
  EXPECT_EQ(Ask("HEAD", "/metrics").body, "");
  EXPECT_TRUE(reads.empty());
  const Exchange options = Ask("OPTIONS", "/nosuch");
  EXPECT_EQ(options.Text(), "200 |");
  EXPECT_EQ(options.Header("access-control-allow-origin"), "*");
}

TEST_F(HttpTest, PathsAreReadAsGosMuxReadsThem) {
  EXPECT_EQ(Get("/%68ealth"), kHealthy);
  EXPECT_EQ(Get("/he%zz"), std::string("400 ") + kText + "|400 Bad Request");
  EXPECT_EQ(Ask("GET", "*").Text(), "400 |");
  struct {
    const char *target, *location, *body;
  } const cases[] = {
      {"//health", "/health", "<a href=\"/health\">Temporary Redirect</a>.\n\n"},
      {"/./health?a=1&b=<x>", "/health?a=1&b=<x>",
       "<a href=\"/health?a=1&amp;b=&lt;x&gt;\">Temporary Redirect</a>.\n\n"},
      {"/health/../version", "/version", "<a href=\"/version\">Temporary Redirect</a>.\n\n"},
      {"/../../a/", "/a/", "<a href=\"/a/\">Temporary Redirect</a>.\n\n"},
      {"/..", "/", "<a href=\"/\">Temporary Redirect</a>.\n\n"},
  };
  for (const auto& c : cases) {
    const Exchange e = Ask("GET", c.target);
    EXPECT_EQ(e.Text(), std::string("307 text/html; charset=utf-8|") + c.body) << c.target;
    EXPECT_EQ(e.Header("location"), c.location);
  }
  const Exchange post = Ask("POST", "//health");
  EXPECT_EQ(post.Text(), "307 |");
  EXPECT_EQ(post.Header("location"), "/health");
}

// ---- /health ----

TEST_F(HttpTest, HealthReadsAsClientsDo) {
  Get("/health");
  Get("/health?serializable=true");
  Get("/health?serializable=false");
  Get("/health?serializable=true&serializable=false");  // the first counts
  EXPECT_EQ(reads, (std::vector<std::string>{"linearizable", "serializable", "linearizable", "serializable"}));
  EXPECT_THAT(registry.Scrape(), HasSubstr("etcd_server_health_success 4\n"));
}

TEST_F(HttpTest, AnAlarmIsUnhealthyUnlessExcluded) {
  alarms = {etcdserverpb::NOSPACE};
  EXPECT_EQ(Get("/health"), Unhealthy("ALARM NOSPACE"));
  EXPECT_EQ(Get("/health?exclude=NOSPACE"), kHealthy);
  EXPECT_EQ(Get("/health?exclude=&exclude=NOSPACE"), kHealthy);
  EXPECT_EQ(Get("/health?exclude=CORRUPT"), Unhealthy("ALARM NOSPACE"));
  EXPECT_EQ(Get("/health?exclude=NOSPACE,CORRUPT"), Unhealthy("ALARM NOSPACE"));
  EXPECT_EQ(Get("/health?exclude=nospace"), Unhealthy("ALARM NOSPACE"));
  alarms = {etcdserverpb::NOSPACE, etcdserverpb::CORRUPT};
  EXPECT_EQ(Get("/health?exclude=NOSPACE"), Unhealthy("ALARM CORRUPT"));
  EXPECT_EQ(Get("/health?exclude=NOSPACE&exclude=CORRUPT"), kHealthy);
  alarms = {static_cast<etcdserverpb::AlarmType>(7)};
  EXPECT_EQ(Get("/health"), Unhealthy("ALARM UNKNOWN"));
  EXPECT_EQ(Get("/health?exclude=7"), kHealthy);
  EXPECT_THAT(registry.Scrape(), HasSubstr("etcd_server_health_failures 6\n"));
}

TEST_F(HttpTest, WithoutALeaderOnlyASerializableReadIsHealthy) {
  has_leader = false;
  read_answer = absl::UnavailableError("etcdserver: request timed out");
  EXPECT_EQ(Get("/health"), Unhealthy("RAFT NO LEADER"));
  EXPECT_EQ(Get("/health?serializable=true"), kHealthy);
  has_leader = true;
  EXPECT_EQ(Get("/health"), Unhealthy("RANGE ERROR:etcdserver: request timed out"));
}

TEST_F(HttpTest, AReadThatHangsIsUnhealthyAfterTheTimeout) {
  hang = true;
  Exchange exchange;
  Send(exchange, "GET", "/health");
  clock.Advance(options.request_timeout_ns - 1);
  EXPECT_FALSE(timers.RunOne());
  EXPECT_EQ(exchange.end, "");
  clock.Advance(1);
  EXPECT_TRUE(timers.RunOne());
  EXPECT_EQ(exchange.Text(), Unhealthy("RANGE ERROR:etcdserver: request timed out"));
  EXPECT_EQ(exchange.end, "OK");
  hung[0](Ok());  // late
  EXPECT_EQ(exchange.end, "OK");
  exchange.in.fn->release(exchange.in.self);
}

TEST_F(HttpTest, AClientThatLeavesIsEndedOnce) {
  hang = true;
  Exchange exchange;
  Send(exchange, "GET", "/readyz");
  exchange.in.fn->cancel(exchange.in.self);
  EXPECT_EQ(exchange.end, "context canceled");
  EXPECT_TRUE(exchange.headers.empty());
  exchange.in.fn->release(exchange.in.self);
  hung[0](Ok());
  EXPECT_EQ(exchange.end, "context canceled");
}

// ---- /livez, /readyz ----

TEST_F(HttpTest, VerboseListsTheChecks) {
  EXPECT_EQ(Get("/livez?verbose"), std::string("200 ") + kText + "|[+]serializable_read ok\nok\n");
  const std::string all = std::string("200 ") + kText +
                          "|[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n"
                          "[+]non_learner ok\nok\n";
  EXPECT_EQ(Get("/readyz?verbose"), all);
  EXPECT_EQ(Get("/readyz?verbose=false"), all);
  EXPECT_EQ(Get("/readyz?verbose&exclude=nosuch"), all);
  // Kubernetes' API server knows an allow-list; etcd 3.7.3 does not, and reads over it.
  EXPECT_EQ(Get("/readyz?allowlist=non_learner&verbose"), all);
  EXPECT_EQ(Get("/readyz?exclude=serializable_read&exclude=linearizable_read&verbose"),
            std::string("200 ") + kText + "|[+]data_corruption ok\n[+]non_learner ok\nok\n");
  EXPECT_EQ(Get("/readyz/non_learner?verbose"), std::string("200 ") + kText + "|[+]non_learner ok\nok\n");
}

TEST_F(HttpTest, AFailedCheckIsListedWithTheOthers) {
  alarms = {etcdserverpb::CORRUPT};
  read_answer = absl::UnavailableError("etcdserver: request timed out");
  learner = true;
  EXPECT_EQ(Get("/readyz"), Failed("[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n"
                                   "[-]linearizable_read failed: etcdserver: request timed out\n"
                                   "[-]non_learner failed: not supported for learner\n"));
  EXPECT_EQ(Get("/readyz/data_corruption"), Failed("[-]data_corruption failed: alarm activated: CORRUPT\n"));
  EXPECT_EQ(Get("/readyz?exclude=data_corruption&exclude=linearizable_read&exclude=non_learner"), kOk);
  EXPECT_EQ(Get("/livez"), kOk);
  alarms = {etcdserverpb::NOSPACE};
  EXPECT_EQ(Get("/readyz/data_corruption"), kOk);
}

TEST_F(HttpTest, ChecksHaveSeriesOnceTheyRan) {
  EXPECT_THAT(registry.Scrape(), Not(HasSubstr("etcd_server_healthcheck{")));
  alarms = {etcdserverpb::CORRUPT};
  Get("/readyz/data_corruption");
  Get("/livez");
  Get("/livez");
  const std::string text = registry.Scrape();
  EXPECT_THAT(text, HasSubstr("etcd_server_healthcheck{name=\"data_corruption\",type=\"readyz\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("etcd_server_healthcheck{name=\"serializable_read\",type=\"livez\"} 1\n"));
  EXPECT_THAT(
      text, HasSubstr("etcd_server_healthchecks_total{name=\"data_corruption\",status=\"error\",type=\"readyz\"} 1\n"));
  EXPECT_THAT(
      text,
      HasSubstr("etcd_server_healthchecks_total{name=\"serializable_read\",status=\"success\",type=\"livez\"} 2\n"));
}

// ---- the rest ----

TEST_F(HttpTest, AVersionThatIsNotDecided) {
  cluster_version = "";
  EXPECT_THAT(Get("/version"), HasSubstr("\"etcdcluster\":\"not_decided\""));
}

TEST_F(HttpTest, VarsAreJson) {
  options.command_line = {"tenond", "--name=a\"b"};
  const std::string text = Get("/debug/vars");
  EXPECT_THAT(text, StartsWith("200 application/json; charset=utf-8|{\n\"cmdline\": [\"tenond\",\"--name=a\\\"b\"],\n"
                               "\"file_descriptor_limit\": "));
  EXPECT_THAT(text, ::testing::EndsWith(",\n\"raft.status\": {\"id\":\"1\"}\n}\n"));
}

TEST_F(HttpTest, AForeignHostIsSentAway) {
  options.host_whitelist = {"localhost", "::1"};
  request_headers = {{"host", "evil.example:2379"}};
  const Exchange away = Ask("GET", "/version");
  EXPECT_EQ(away.headers.at(":status"), "421");
  EXPECT_THAT(away.body, StartsWith("\netcd received your request, but the Host header was unrecognized.\n"));
  EXPECT_THAT(away.body, HasSubstr("--host-whitelist \"evil.example\"\n"));
  EXPECT_EQ(away.Header("access-control-allow-origin"), "");
  EXPECT_EQ(Get("/health", TENON_LISTEN_METRICS), kHealthy);
  for (const auto& header :
       {std::pair("host", "localhost:1"), std::pair("host", "[::1]:1"), std::pair(":authority", "localhost")}) {
    request_headers = {header};
    EXPECT_EQ(Get("/health"), kHealthy) << header.second;
  }
}

TEST_F(HttpTest, OriginsAreAnsweredByTheList) {
  options.cors = {"http://a", "http://b"};
  request_headers = {{"origin", "http://b"}};
  EXPECT_EQ(Ask("GET", "/health").Header("access-control-allow-origin"), "http://b");
  request_headers = {{"origin", "http://c"}};
  const Exchange other = Ask("GET", "/health");
  EXPECT_EQ(other.Text(), kHealthy);  // the browser decides
  EXPECT_EQ(other.Header("access-control-allow-origin"), "");
}

}  // namespace
}  // namespace tenon::api
