#include "kernel/api/http.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>

#include "kernel/api/server_call.h"
#include "kernel/base/log.h"
#include "kernel/base/version.h"
#include "kernel/config/config.h"

namespace tenon::api {
namespace {

std::string_view View(tenon_slice s) { return {reinterpret_cast<const char*>(s.p), s.n}; }
tenon_slice Slice(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

constexpr std::string_view kStorageVersion = "3.7.0";

// The server's end of one exchange. Whoever comes first, the answer or the client's leaving, has `out` for itself.
class HttpCall : public ServerCall {
 public:
  void Answer(HttpResponse response, bool head) {
    if (ended_.exchange(true)) return;
    response.headers.insert(response.headers.begin(), {":status", std::to_string(response.status)});
    response.Add("content-length", std::to_string(response.body.size()));
    std::vector<tenon_kv> headers;
    for (const auto& [name, value] : response.headers) headers.push_back({Slice(name), Slice(value)});
    Headers(headers.data(), headers.size());
    if (!head && !response.body.empty()) {
      BufsBuilder body;
      body.Append(response.body);
      Send(body.Take());  // one piece is taken whole, also when the client is slow
    }
    Finish(Ok());
  }

 private:
  bool OnMessage(Bufs) override { return true; }
  void OnAbort(const Status& why) override {
    if (!ended_.exchange(true)) Finish(why);
  }
  std::atomic<bool> ended_{false};
};

HttpResponse Text(int status, std::string body) {
  HttpResponse r;
  r.status = status;
  r.Add("content-type", "text/plain; charset=utf-8");
  r.body = std::move(body);
  return r;
}

// As Go's http.Error answers.
HttpResponse Line(int status, std::string_view text) {
  HttpResponse r = Text(status, fmt::format("{}\n", text));
  r.Add("x-content-type-options", "nosniff");
  return r;
}

HttpResponse NotFound() { return Line(404, "404 page not found"); }

HttpResponse Json(std::string content_type, std::string body) {
  HttpResponse r;
  r.Add("content-type", std::move(content_type));
  r.body = std::move(body);
  return r;
}

// Go's mux sends whoever asks for "//health" to "/health".
HttpResponse Redirect(std::string_view method, std::string_view path, std::string_view query) {
  const std::string url = EscapePath(path) + (query.empty() ? "" : "?") + std::string(query);
  HttpResponse r;
  r.status = 307;
  r.Add("location", url);
  if (method == "GET" || method == "HEAD") {
    r.Add("content-type", "text/html; charset=utf-8");
    r.body = fmt::format("<a href=\"{}\">Temporary Redirect</a>.\n\n", EscapeHtml(url));
  }
  return r;
}

// Answers 405 unless the method is GET, the only one that etcd's handlers take. (Its /metrics takes any.)
template <class Reply>
bool RefuseOtherThanGet(const HttpRequest& request, Reply& reply) {
  if (request.method == "GET") return false;
  HttpResponse r = Line(405, "Method Not Allowed");
  r.Add("allow", "GET");
  reply(std::move(r));
  return true;
}

bool Allows(const std::vector<std::string>& list, std::string_view name) {
  return list.empty() ||
         std::any_of(list.begin(), list.end(), [&](const std::string& item) { return item == "*" || item == name; });
}

std::string UnknownHost(std::string_view host) {
  return fmt::format(
      "\netcd received your request, but the Host header was unrecognized.\n\n"
      "To fix this, choose one of the following options:\n"
      "- Enable TLS, then any HTTPS request will be allowed.\n"
      "- Add the hostname you want to use to the whitelist in settings.\n"
      "  - e.g. etcd --host-whitelist {}\n\n"
      "This requirement has been added to help prevent \"DNS Rebinding\" attacks (CVE-2018-5702).\n",
      Quoted(host));
}

std::string JsonString(std::string_view text) {
  std::string out;
  AppendJsonString(out, text);
  return out;
}

}  // namespace

Http::Http(Sources sources, Executor& timers, metrics::Registry& metrics, Options options)
    : sources_(std::move(sources)),
      metrics_(metrics),
      options_(std::move(options)),
      health_(sources_.health, timers, options_.request_timeout_ns, metrics) {}

tenon_status Http::Serve(const tenon_http_info& info, Bufs body, tenon_call_out out, tenon_call_in* in) {
  auto call = std::make_shared<HttpCall>();
  call->Open(out, in);
  const bool head = View(info.method) == "HEAD";
  Route(info, std::move(body), [call, head](HttpResponse response) { call->Answer(std::move(response), head); });
  return TENON_OK;
}

void Http::Route(const tenon_http_info& info, Bufs body, Reply reply) {
  const std::string_view raw_path = View(info.path), raw_query = View(info.query);
  std::optional<std::string> path = Unescape(raw_path, false);
  if (!path) return reply(Text(400, "400 Bad Request"));
  const HttpRequest request{std::string(View(info.method)), *std::move(path), Query(raw_query)};

  const bool client = (info.roles & TENON_LISTEN_HTTP) != 0;
  if (client) {
    std::string_view host, origin;
    for (size_t i = 0; i < info.n_headers; i++) {
      const std::string_view name = View(info.headers[i].key);
      if (name == "host" || name == ":authority") host = View(info.headers[i].val);
      if (name == "origin") origin = View(info.headers[i].val);
    }
    host = HostName(host);
    if (!Allows(options_.host_whitelist, host)) {
      LOG_WARN("rejecting HTTP request to prevent DNS rebinding attacks", {"host", host});
      return reply(Line(421, UnknownHost(host)));
    }
    const bool any_origin = Allows(options_.cors, "*");
    if (any_origin || Allows(options_.cors, origin)) {
      reply = [reply = std::move(reply),
               allowed = any_origin ? "*" : std::string(origin)](HttpResponse response) mutable {
        response.Add("access-control-allow-headers", "accept, content-type, authorization");
        response.Add("access-control-allow-methods", "POST, GET, OPTIONS, PUT, DELETE");
        response.Add("access-control-allow-origin", allowed);
        reply(std::move(response));
      };
    }
    if (request.method == "OPTIONS") return reply(HttpResponse());
  }
  if (raw_path == "*") return reply(HttpResponse{400, {}, ""});
  if (const std::string clean = CleanPath(raw_path); clean != raw_path && request.method != "CONNECT") {
    return reply(Redirect(request.method, clean, raw_query));
  }
  if (client) return ServeClient(request, std::move(body), std::move(reply));
  if (info.roles & TENON_LISTEN_METRICS) return ServeMetricsAndHealth(request, std::move(reply));
  reply(NotFound());
}

void Http::ServeClient(const HttpRequest& request, Bufs body, Reply reply) {
  if (request.path == "/version") return ServeVersion(request, std::move(reply));
  if (request.path == "/debug/vars") return ServeVars(request, std::move(reply));
  if (request.path.starts_with("/v3/") && ServeGateway(request, std::move(body), reply)) return;
  ServeMetricsAndHealth(request, std::move(reply));
}

bool Http::ServeGateway(const HttpRequest&, Bufs, Reply&) { return false; }

void Http::ServeMetricsAndHealth(const HttpRequest& request, Reply reply) {
  if (request.path == "/health") return ServeHealth(request, std::move(reply));
  if (request.path == "/metrics") {
    return sources_.post([this, reply = std::move(reply)]() mutable {
      HttpResponse r;
      r.Add("content-type", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
      r.body = metrics_.Scrape();
      reply(std::move(r));
    });
  }
  for (const Health::Group group : {Health::Group::kLivez, Health::Group::kReadyz}) {
    const std::string root = fmt::format("/{}", Health::NameOf(group));
    if (request.path == root) return ServeGroup(request, group, "", std::move(reply));
    for (const std::string_view check : Health::ChecksOf(group)) {
      if (request.path == fmt::format("{}/{}", root, check)) return ServeGroup(request, group, check, std::move(reply));
    }
  }
  reply(NotFound());
}

void Http::ServeHealth(const HttpRequest& request, Reply reply) {
  if (RefuseOtherThanGet(request, reply)) return;
  health_.Check(request.query.All("exclude"), request.query.Get("serializable") == "true",
                [reply = std::move(reply)](const Health::Verdict& verdict) mutable {
                  std::string body =
                      fmt::format("{{\"health\":\"{}\",\"reason\":{}}}", verdict.healthy, JsonString(verdict.reason));
                  reply(verdict.healthy ? Text(200, std::move(body)) : Line(503, body));
                });
}

void Http::ServeGroup(const HttpRequest& request, Health::Group group, std::string_view check, Reply reply) {
  if (RefuseOtherThanGet(request, reply)) return;
  std::vector<std::string_view> checks = {check};
  if (check.empty()) {
    checks = Health::ChecksOf(group);
    for (const std::string& name : request.query.All("exclude")) {
      if (std::erase(checks, name) == 0)
        LOG_WARN("some health checks cannot be excluded", {"missing-health-checks", name});
    }
  }
  const bool verbose = request.query.Has("verbose");
  health_.Run(group, std::move(checks), [reply = std::move(reply), verbose](const Health::Verdict& verdict) mutable {
    if (!verdict.healthy) return reply(Line(503, verdict.reason));
    reply(Line(200, verbose ? verdict.reason + "ok" : "ok"));
  });
}

void Http::ServeVersion(const HttpRequest& request, Reply reply) {
  if (RefuseOtherThanGet(request, reply)) return;
  const std::string cluster = sources_.cluster_version();
  reply(Json("application/json", fmt::format(R"({{"etcdserver":"{}","etcdcluster":"{}","storage":"{}"}})", kEtcdVersion,
                                             cluster.empty() ? "not_decided" : cluster, kStorageVersion)));
}

// Go's expvar as far as it has a meaning here: no memstats, they are the garbage collector's.
void Http::ServeVars(const HttpRequest& request, Reply reply) {
  if (RefuseOtherThanGet(request, reply)) return;
  std::string arguments;
  for (const std::string& argument : options_.command_line) {
    if (!arguments.empty()) arguments += ',';
    AppendJsonString(arguments, argument);
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  reply(Json("application/json; charset=utf-8",
             fmt::format("{{\n\"cmdline\": [{}],\n\"file_descriptor_limit\": {},\n\"raft.status\": {}\n}}\n", arguments,
                         files.rlim_cur, sources_.raft_status())));
}

}  // namespace tenon::api
