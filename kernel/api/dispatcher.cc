#include "kernel/api/dispatcher.h"

#include <google/protobuf/descriptor.pb.h>

#include <set>

#include "kernel/api/http.h"
#include "kernel/base/check.h"
#include "kernel/base/errors.h"
#include "kernel/base/log.h"
#include "kernel/base/units.h"
#include "kernel/base/utf8.h"
#include "kernel/plugin/host.h"
#include "proto/descriptors.h"

namespace tenon::api {
namespace {

Dispatcher& Of(const tenon_host* host) { return *static_cast<Dispatcher*>(plugin::Host::From(host).context()); }
std::string_view View(tenon_slice s) { return {reinterpret_cast<const char*>(s.p), s.n}; }

std::string_view Metadata(const tenon_call_info& info, std::string_view key) {
  for (size_t i = 0; i < info.n_meta; i++) {
    if (View(info.meta[i].key) == key) return View(info.meta[i].val);
  }
  return {};
}

}  // namespace

Dispatcher::Dispatcher(Clock& clock, metrics::Registry& metrics, uint64_t warning_ns, HasLeader has_leader,
                       bool extensive)
    : clock_(clock),
      metrics_(metrics),
      warning_ns_(warning_ns),
      has_leader_(std::move(has_leader)),
      calls_(metrics, extensive),
      slow_requests_(metrics.NewCounter("tenon_slow_requests_total",
                                        "Requests that took longer than --warning-unary-request-duration.")) {}

void Dispatcher::Add(Method method) {
  const auto [at, fresh] = ids_.emplace(method.name, static_cast<uint32_t>(methods_.size() + 1));
  CHECK_MSG(fresh, method.name);
  method.metrics = &calls_.Add(method.name, method.flags);
  methods_.push_back(std::move(method));
}

void Dispatcher::AddUnary(std::string name, Unary handler) { Add({std::move(name), 0, std::move(handler), {}, {}}); }

void Dispatcher::AddStream(std::string name, uint32_t flags, Stream handler) {
  Add({std::move(name), flags, {}, std::move(handler), {}});
}

void Dispatcher::AddAbsent(std::string_view service, std::string sentence) {
  google::protobuf::FileDescriptorSet set;
  CHECK(set.ParseFromArray(DescriptorSet().data(), static_cast<int>(DescriptorSet().size())));
  for (const auto& file : set.file()) {
    for (const auto& s : file.service()) {
      if (file.package() + "." + s.name() != service) continue;
      for (const auto& m : s.method()) {
        const uint32_t flags = (m.client_streaming() ? uint32_t{TENON_METHOD_CLIENT_STREAM} : 0) |
                               (m.server_streaming() ? uint32_t{TENON_METHOD_SERVER_STREAM} : 0);
        Add({fmt::format("/{}/{}", service, m.name()), flags, {}, {}, absl::UnimplementedError(sentence)});
      }
    }
  }
}

std::vector<std::string> Dispatcher::Services() const {
  std::set<std::string> names;
  for (const Method& m : methods_) names.insert(m.name.substr(1, m.name.rfind('/') - 1));
  return {names.begin(), names.end()};
}

Status Dispatcher::Admit(const tenon_call_info& info, bool stream) {
  const std::string_view version = Metadata(info, "client-api-version");
  if (!IsUtf8(version)) return errors::InvalidClientApiVersion();
  calls_.versions().Count(version.empty() ? "unknown" : version, stream);
  if (info.n_meta == 0) return Ok();
  if (Metadata(info, "hasleader") == "true" && !has_leader_()) return errors::NoLeader();
  return Ok();
}

uint64_t Dispatcher::CallUnary(const tenon_call_info& info, Bufs request, tenon_done done) {
  static std::atomic<uint64_t> next_handle{1};
  const Method* method = Find(info.method);
  Responder::Begin();
  Responder respond(done, this, info.method, clock_.MonoNs());
  if (method == nullptr) {
    respond.Error(absl::UnimplementedError("unknown method"));
    return 0;
  }
  method->metrics->Started();
  method->metrics->Received(request.size());
  if (!method->absent.ok()) {
    respond.Error(method->absent);
  } else if (!method->unary) {
    respond.Error(absl::UnimplementedError("a streaming method cannot be called as a unary one"));
  } else if (const Status refused = Admit(info, false); !refused.ok()) {
    respond.Error(refused);
  } else {
    std::string scratch;
    method->unary(request.Flatten(scratch), std::move(respond));
  }
  return Responder::EndedInside() ? 0 : next_handle.fetch_add(1, std::memory_order_relaxed);
}

tenon_status Dispatcher::CallStream(const tenon_call_info& info, tenon_call_out out, tenon_call_in* in) {
  // A call that ends before it began: an empty end that only waits for its release.
  class Refused : public ServerCall {
   public:
    void End(const Status& status) { Finish(status); }

   private:
    bool OnMessage(Bufs) override { return true; }
    void OnCancel() override {}
  };
  const Method* method = Find(info.method);
  if (method == nullptr || method->unary) return TENON_UNIMPLEMENTED;
  Status refused = method->absent.ok() ? Admit(info, true) : method->absent;
  auto refusal = refused.ok() ? nullptr : std::make_shared<Refused>();
  const std::shared_ptr<ServerCall> call = refusal == nullptr ? method->stream() : refusal;
  call->CountIn(*method->metrics, clock_);
  call->Open(out, in);
  if (refusal != nullptr) refusal->End(refused);
  return TENON_OK;
}

void Dispatcher::CallEnded(uint32_t method, uint64_t started_ns, const Status& status, size_t answer_bytes) {
  const uint64_t took = clock_.MonoNs() - started_ns;
  if (const Method* m = Find(method); m != nullptr) {
    m->metrics->Sent(answer_bytes);  // an error counts as a message too, as etcd's interceptor has it
    m->metrics->Handled(status.code(), took);
  }
  if (took < warning_ns_) return;
  slow_requests_.Add();
  LOG_WARN("request stats", {"time spent", FormatDurationNs(static_cast<int64_t>(took))},
           {"method", Find(method) == nullptr ? std::string_view("unknown") : std::string_view(Find(method)->name)},
           {"code", static_cast<int>(status.code())});
}

const tenon_host_dispatch_v1 Dispatcher::kTable = {
    sizeof(tenon_host_dispatch_v1),
    [](const tenon_host* host, tenon_slice name, uint32_t* flags) -> uint32_t {
      const Dispatcher& d = Of(host);
      const auto it = d.ids_.find(ToAbsl(View(name)));
      if (it == d.ids_.end()) return 0;
      *flags = d.methods_[it->second - 1].flags;
      return it->second;
    },
    [](const tenon_host* host, const tenon_call_info* info, tenon_bufs request, tenon_done done) {
      return Of(host).CallUnary(*info, Bufs(request), done);
    },
    // Every unary call ends by itself within the request timeout, and nothing of it can be taken back once proposed.
    [](const tenon_host*, uint64_t) {},
    [](const tenon_host* host, const tenon_call_info* info, tenon_call_out out, tenon_call_in* in) {
      return Of(host).CallStream(*info, out, in);
    },
    [](const tenon_host* host, const tenon_http_info* info, tenon_bufs raw_body, tenon_call_out out,
       tenon_call_in* in) -> tenon_status {
      Bufs body(raw_body);
      Http* http = Of(host).http_;
      return http == nullptr ? static_cast<tenon_status>(TENON_UNIMPLEMENTED)
                             : http->Serve(*info, std::move(body), out, in);
    },
    [](const tenon_host*) -> tenon_slice {
      return {reinterpret_cast<const uint8_t*>(DescriptorSet().data()), DescriptorSet().size()};
    },
};

}  // namespace tenon::api
