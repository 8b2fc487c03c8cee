#include "kernel/api/dispatcher.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <set>

#include "kernel/api/http.h"
#include "kernel/base/check.h"
#include "kernel/base/errors.h"
#include "kernel/base/log.h"
#include "kernel/base/units.h"
#include "kernel/base/utf8.h"
#include "kernel/plugin/abi_status.h"
#include "kernel/plugin/host.h"
#include "proto/descriptors.h"
#include "proto/rpc.pb.h"

namespace tenon::api {
namespace {

std::atomic<uint64_t> next_handle{1};

Dispatcher& Of(const tenon_host* host) { return *static_cast<Dispatcher*>(plugin::Host::From(host).context()); }
std::string_view View(tenon_slice s) { return {reinterpret_cast<const char*>(s.p), s.n}; }

std::string_view Metadata(const tenon_call_info& info, std::string_view key) {
  for (size_t i = 0; i < info.n_meta; i++) {
    if (View(info.meta[i].key) == key) return View(info.meta[i].val);
  }
  return {};
}

// A call of which either its handler or the clock is first.
struct Race {
  explicit Race(tenon_done done) : done(done) {}
  const tenon_done done;
  std::atomic<bool> over{false};
};

}  // namespace

Dispatcher::Dispatcher(Clock& clock, Executor& timers, metrics::Registry& metrics, uint64_t warning_ns,
                       HasLeader has_leader, bool extensive)
    : clock_(clock),
      timers_(timers),
      metrics_(metrics),
      warning_ns_(warning_ns),
      has_leader_(std::move(has_leader)),
      descriptors_(DescriptorSet()),
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

Status Dispatcher::AddService(const std::string& module, const tenon_service_v1& table, void* self) {
  const auto refuse = [&](std::string_view why) {
    return absl::FailedPreconditionError(ToAbsl(fmt::format("service {}: {}", module, why)));
  };
  if (table.apply != nullptr || table.authorize != nullptr || table.role != nullptr) {
    return refuse("this version of Tenon has no replicated tables, authorize or role for services yet");
  }
  size_t n = 0;
  const tenon_method* methods = table.methods(self, &n);
  std::vector<Method> added;
  constexpr uint32_t kStreams = TENON_METHOD_CLIENT_STREAM | TENON_METHOD_SERVER_STREAM;
  for (size_t i = 0; i < n; i++) {
    const auto& m = *reinterpret_cast<const tenon_method*>(reinterpret_cast<const char*>(methods) + i * methods->size);
    const std::string_view name = m.name == nullptr ? "" : m.name;
    const size_t slash = name.rfind('/');
    if (name.size() < 4 || name[0] != '/' || slash < 2 || slash + 1 == name.size()) {
      return refuse(fmt::format("\"{}\" is not the name of a method: write \"/package.Service/Method\"", name));
    }
    const auto same = [&](const Method& other) { return other.name == name; };
    if (ids_.contains(ToAbsl(name)) || std::any_of(added.begin(), added.end(), same)) {
      return refuse(fmt::format("the method {} is served already: remove one of the two", name));
    }
    if ((m.flags & ~kStreams) != 0) return refuse(fmt::format("{} has a flag that this version does not know", name));
    if ((m.flags & kStreams) != 0 && table.stream == nullptr) {
      return refuse(fmt::format("{} is a stream, but the module has no stream function", name));
    }
    Method method;
    method.name = name;
    method.flags = m.flags & kStreams;
    method.service_self = self;
    method.service_method = static_cast<uint32_t>(i);
    added.push_back(std::move(method));
  }
  if (table.descriptors != nullptr) {
    if (const Status bad = AddDescriptors(View(table.descriptors(self))); !bad.ok()) return refuse(Message(bad));
  }
  const tenon_service_v1& kept = services_.emplace_back(table);
  for (Method& method : added) {
    method.service = &kept;
    Add(std::move(method));
  }
  return Ok();
}

Status Dispatcher::AddDescriptors(std::string_view bytes) {
  google::protobuf::FileDescriptorSet have, more, fresh;
  CHECK(have.ParseFromArray(descriptors_.data(), static_cast<int>(descriptors_.size())));
  if (!more.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("its descriptors are not a FileDescriptorSet");
  }
  google::protobuf::DescriptorPool pool;
  for (const auto& file : have.file()) CHECK(pool.BuildFile(file) != nullptr);
  for (const auto& file : more.file()) {
    if (pool.FindFileByName(file.name()) != nullptr) continue;
    if (pool.BuildFile(file) == nullptr) {
      return absl::InvalidArgumentError(
          fmt::format("its descriptor of {} is not valid, or lacks an import that stands before it", file.name()));
    }
    *fresh.add_file() = file;
  }
  descriptors_ += fresh.SerializeAsString();  // messages that stand one behind the other are one
  return Ok();
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
        const std::string name = fmt::format("/{}/{}", service, m.name());
        if (!ids_.contains(name)) Add({name, flags, {}, {}, absl::UnimplementedError(sentence)});
      }
    }
  }
}

std::vector<std::string> Dispatcher::Services() const {
  std::set<std::string> names;
  for (const Method& m : methods_) names.insert(m.name.substr(1, m.name.rfind('/') - 1));
  return {names.begin(), names.end()};
}

void Dispatcher::Stop(const Status& why) {
  if (stopping_) return;
  stopped_ = why;
  stopping_ = true;
  std::vector<std::pair<uint64_t, UnderWay>> waiting;
  {
    std::lock_guard lock(service_calls_mutex_);
    waiting.assign(service_calls_.begin(), service_calls_.end());
  }
  for (const auto& [handle, call] : waiting) CancelUnary(handle);
  streams_.AbortAll(why);
  streams_with_leader_.AbortAll(why);
}

void Dispatcher::WatchLeader() {
  constexpr int kPatience = 3;
  times_without_leader_ = has_leader_() ? 0 : times_without_leader_ + 1;
  if (times_without_leader_ == kPatience) streams_with_leader_.AbortAll(errors::NoLeader());
}

Status Dispatcher::Admit(const tenon_call_info& info, bool stream) {
  if (stopping_) return stopped_;
  const std::string_view version = Metadata(info, "client-api-version");
  if (!IsUtf8(version)) return errors::InvalidClientApiVersion();
  calls_.versions().Count(version.empty() ? "unknown" : version, stream);
  if (info.n_meta == 0) return Ok();
  if (Metadata(info, "hasleader") == "true" && !has_leader_()) return errors::NoLeader();
  return Ok();
}

// A learner knows what it was told and no more. Source: etcd api/v3rpc/util.go, isRPCSupportedForLearner.
bool Dispatcher::IsForLearners(const Method& method, const Bufs& request) {
  if (method.name == "/etcdserverpb.Maintenance/Status") return true;
  if (method.name != "/etcdserverpb.KV/Range") return !method.name.starts_with("/etcdserverpb.");
  etcdserverpb::RangeRequest range;
  std::string scratch;
  const std::string_view bytes = request.Flatten(scratch);
  return range.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) && range.serializable();
}

// What tells an operator how the member fares goes on.
bool Dispatcher::NeedsState(const Method& method) {
  if (method.name.starts_with("/etcdserverpb.Maintenance/")) return method.name.ends_with("/Snapshot");
  return !method.name.starts_with("/etcdserverpb.Cluster/") && !method.name.starts_with("/grpc.");
}

Status Dispatcher::NotHere(const Method& method, const Bufs* request) const {
  if (is_learner_ && is_learner_()) {
    const bool allowed =
        request != nullptr ? IsForLearners(method, *request) : !method.name.starts_with("/etcdserverpb.");
    if (!allowed) return errors::NotSupportedForLearner();
  }
  return is_damaged_ && is_damaged_() && NeedsState(method) ? errors::Corrupt() : Ok();
}

uint64_t Dispatcher::CallUnary(const tenon_call_info& info, Bufs request, tenon_done done, Caller caller) {
  const bool counted = caller == Caller::kClient;
  const Method* method = Find(info.method);
  // Of clients' calls transports keep the time. A service's call is cancelled: what it was given is valid until its
  // end.
  const int64_t timeout_ns = counted ? 0 : info.timeout_ns;
  const bool ours = method == nullptr || method->service == nullptr;
  if (ours && timeout_ns > 0) done = Within(timeout_ns, done);
  Responder::Begin();
  Responder respond(done, counted ? this : nullptr, info.method, clock_.MonoNs());
  if (method == nullptr) {
    respond.Error(absl::UnimplementedError("unknown method"));
    return 0;
  }
  if (counted) {
    method->metrics->Started();
    method->metrics->Received(request.size());
  }
  if (!method->absent.ok()) {
    respond.Error(method->absent);
  } else if (!method->unary && (method->service == nullptr || method->flags != 0)) {
    respond.Error(absl::UnimplementedError("a streaming method cannot be called as a unary one"));
  } else if (const Status refused = counted ? Admit(info, false) : Ok(); !refused.ok()) {
    respond.Error(refused);
  } else if (const Status not_here = counted ? NotHere(*method, &request) : Ok(); !not_here.ok()) {
    respond.Error(not_here);
  } else if (method->service != nullptr) {
    return CallService(*method, info, std::move(request), timeout_ns, std::move(respond));
  } else {
    std::string scratch;
    method->unary(request.Flatten(scratch), std::move(respond));
  }
  return Responder::EndedInside() ? 0 : next_handle.fetch_add(1, std::memory_order_relaxed);
}

tenon_done Dispatcher::Within(int64_t timeout_ns, tenon_done done) {
  auto race = std::make_shared<Race>(done);
  timers_.PostAfter(static_cast<uint64_t>(timeout_ns), [weak = std::weak_ptr(race)] {
    const std::shared_ptr<Race> race = weak.lock();
    if (race == nullptr || race->over.exchange(true)) return;
    const tenon_error error = ToError(errors::DeadlineExceeded());
    race->done.fn(race->done.ctx, error.code, &error, tenon_bufs{});
  });
  const auto answered = [](void* ctx, tenon_status status, const tenon_error* error, tenon_bufs raw) {
    const std::unique_ptr<std::shared_ptr<Race>> race(static_cast<std::shared_ptr<Race>*>(ctx));
    Bufs result(raw);
    if ((*race)->over.exchange(true)) return;  // nobody waits for it any more
    (*race)->done.fn((*race)->done.ctx, status, error, result.Release());
  };
  return {new std::shared_ptr<Race>(std::move(race)), answered};
}

// What a module's call needs until its done.
struct Dispatcher::ServiceCall {
  Dispatcher& dispatcher;
  uint64_t handle;
  tenon_call_info info;
  Responder respond;

  static void Done(void* ctx, tenon_status status, const tenon_error* error, tenon_bufs result) {
    const std::unique_ptr<ServiceCall> call(static_cast<ServiceCall*>(ctx));
    bool late = false;
    {
      std::lock_guard lock(call->dispatcher.service_calls_mutex_);
      const auto it = call->dispatcher.service_calls_.find(call->handle);
      late = it->second.late;
      call->dispatcher.service_calls_.erase(it);
    }
    Status said = plugin::FromAbi(status, error);  // modules know of a cancel only
    if (!said.ok() && late) said = errors::DeadlineExceeded();
    if (!said.ok() && call->dispatcher.stopping_) said = call->dispatcher.stopped_;
    call->respond(said, Bufs(result));
  }
};

uint64_t Dispatcher::CallService(const Method& method, const tenon_call_info& info, Bufs request, int64_t timeout_ns,
                                 Responder respond) {
  const uint64_t handle = next_handle.fetch_add(1, std::memory_order_relaxed);
  auto call = std::make_unique<ServiceCall>(ServiceCall{*this, handle, info, std::move(respond)});
  call->info.name = {reinterpret_cast<const uint8_t*>(method.name.data()), method.name.size()};
  {
    std::lock_guard lock(service_calls_mutex_);
    service_calls_.emplace(handle, UnderWay{&method});
  }
  if (timeout_ns > 0) {
    timers_.PostAfter(static_cast<uint64_t>(timeout_ns), [this, handle] { CancelUnary(handle, /*late=*/true); });
  }
  ServiceCall* raw = call.release();  // Done takes it
  method.service->unary(method.service_self, handle, method.service_method, &raw->info, nullptr, request.Release(),
                        {raw, ServiceCall::Done});
  std::lock_guard lock(service_calls_mutex_);
  return service_calls_.contains(handle) ? handle : 0;
}

void Dispatcher::CancelUnary(uint64_t handle, bool late) {
  const Method* method = nullptr;
  {
    std::lock_guard lock(service_calls_mutex_);
    const auto it = service_calls_.find(handle);
    if (it == service_calls_.end()) return;
    method = it->second.method;
    it->second.late |= late;
  }
  if (method->service->unary_cancel != nullptr) method->service->unary_cancel(method->service_self, handle);
}

// A module's stream, between its client and the module.
class Dispatcher::ServiceStream : public ServerCall {
 public:
  // TENON_OK: the module has it, and it lives until both sides are done.
  tenon_status Begin(const Method& method, const tenon_call_info& info) {
    info_ = info;
    info_.name = {reinterpret_cast<const uint8_t*>(method.name.data()), method.name.size()};
    held_by_module_ = std::static_pointer_cast<ServiceStream>(shared_from_this());  // finish takes it, perhaps inside
    const tenon_status status =
        method.service->stream(method.service_self, method.service_method, &info_, nullptr, {&kOut, this}, &module_);
    if (status != TENON_OK) held_by_module_.reset();
    return status;
  }

 private:
  static ServiceStream& Of(void* self) { return *static_cast<ServiceStream*>(self); }
  static const tenon_call_out_v1 kOut;

  bool OnMessage(Bufs message) override { return module_.fn->message(module_.self, message.Release()) != TENON_AGAIN; }
  void OnHalfClose() override { module_.fn->half_close(module_.self); }
  void OnWritable() override { module_.fn->writable(module_.self); }
  void OnAbort(const Status& why) override {
    if (!aborted_) why_ = why;
    aborted_ = true;
    module_.fn->cancel(module_.self);
  }
  void OnRelease() override { module_.fn->release(module_.self); }

  tenon_call_info info_{};
  tenon_call_in module_{};
  Status why_;  // the module knows of a cancel only; written before aborted_
  std::atomic<bool> aborted_{false};
  std::shared_ptr<ServiceStream> held_by_module_;
};

const tenon_call_out_v1 Dispatcher::ServiceStream::kOut = {
    sizeof(tenon_call_out_v1),
    [](void* self, const tenon_kv* headers, size_t n) { Of(self).Headers(headers, n); },
    [](void* self, tenon_bufs message) {
      return static_cast<tenon_status>(Of(self).Send(Bufs(message)) ? TENON_OK : TENON_AGAIN);
    },
    [](void* self) { Of(self).Readable(); },
    [](void* self, tenon_status status, const tenon_error* error, const tenon_kv* trailers, size_t n) {
      const std::shared_ptr<ServiceStream> s = std::move(Of(self).held_by_module_);
      Status said = plugin::FromAbi(status, error);
      if (!said.ok() && s->aborted_) said = s->why_;
      s->Finish(said, trailers, n);
    },
};

tenon_status Dispatcher::CallStream(const tenon_call_info& info, tenon_call_out out, tenon_call_in* in, Caller caller) {
  const bool counted = caller == Caller::kClient;
  // A call that ends before it began: an empty end that only waits for its release.
  class Refused : public ServerCall {
   public:
    void End(const Status& status) { Finish(status); }

   private:
    bool OnMessage(Bufs) override { return true; }
    void OnAbort(const Status&) override {}
  };
  const Method* method = Find(info.method);
  if (method == nullptr || method->unary || (method->service != nullptr && method->flags == 0)) {
    return TENON_UNIMPLEMENTED;
  }
  Status refused = !method->absent.ok() ? method->absent : counted ? Admit(info, true) : Ok();
  if (refused.ok() && counted) refused = NotHere(*method, nullptr);
  const auto refusal = refused.ok() ? nullptr : std::make_shared<Refused>();
  const auto module = refused.ok() && method->service != nullptr ? std::make_shared<ServiceStream>() : nullptr;
  const std::shared_ptr<ServerCall> call = refusal != nullptr  ? refusal
                                           : module != nullptr ? std::static_pointer_cast<ServerCall>(module)
                                                               : method->stream();
  if (counted) call->CountIn(*method->metrics, clock_);
  call->Open(out, in);
  if (refusal != nullptr) return refusal->End(refused), TENON_OK;
  if (module != nullptr) {
    if (const tenon_status status = module->Begin(*method, info); status != TENON_OK) {
      module->Refuse(plugin::FromAbi(status, nullptr));
      return status;
    }
  }
  if (!counted && info.timeout_ns > 0) {
    timers_.PostAfter(static_cast<uint64_t>(info.timeout_ns), [weak = call->weak_from_this()] {
      if (const auto call = weak.lock()) call->Abort(errors::DeadlineExceeded());
    });
  }
  if (!counted) return TENON_OK;
  call->ListIn(Metadata(info, "hasleader") == "true" ? streams_with_leader_ : streams_);
  if (stopping_) call->Abort(stopped_);  // Stop may have looked a moment before
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
      return Of(host).CallUnary(*info, Bufs(request), done, Caller::kClient);
    },
    // The kernel's own unary calls end by themselves within the request timeout, and nothing of them can be taken back
    // once proposed; a module's may wait for long.
    [](const tenon_host* host, uint64_t call) { Of(host).CancelUnary(call); },
    [](const tenon_host* host, const tenon_call_info* info, tenon_call_out out, tenon_call_in* in) {
      return Of(host).CallStream(*info, out, in, Caller::kClient);
    },
    [](const tenon_host* host, const tenon_http_info* info, tenon_bufs raw_body, tenon_call_out out,
       tenon_call_in* in) -> tenon_status {
      Bufs body(raw_body);
      Http* http = Of(host).http_;
      return http == nullptr ? static_cast<tenon_status>(TENON_UNIMPLEMENTED)
                             : http->Serve(*info, std::move(body), out, in);
    },
    [](const tenon_host* host) -> tenon_slice {
      const std::string& set = Of(host).descriptors();
      return {reinterpret_cast<const uint8_t*>(set.data()), set.size()};
    },
};

const tenon_host_call_v1 Dispatcher::kCallTable = {
    sizeof(tenon_host_call_v1),
    kTable.method,
    [](const tenon_host* host, const tenon_identity*, const tenon_call_info* info, tenon_bufs request,
       tenon_done done) { return Of(host).CallUnary(*info, Bufs(request), done, Caller::kModule); },
    [](const tenon_host* host, uint64_t call) { Of(host).CancelUnary(call); },
    [](const tenon_host* host, const tenon_identity*, const tenon_call_info* info, tenon_call_out out,
       tenon_call_in* in) { return Of(host).CallStream(*info, out, in, Caller::kModule); },
};

}  // namespace tenon::api
