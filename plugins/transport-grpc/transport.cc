#include "plugins/transport-grpc/transport.h"

#include <grpc/grpc.h>

#include <algorithm>
#include <chrono>

#include "absl/synchronization/mutex.h"
#include "plugins/transport-grpc/bytes.h"
#include "plugins/transport-grpc/call.h"
#include "plugins/transport-grpc/status.h"

namespace tenon::transport_grpc {
using transport::Address;
using transport::ParseUrl;

namespace {

// etcd's allowance for what is around a request of max-request-bytes, and grpc-go's default for headers.
constexpr int64_t kRequestOverhead = 512 * 1024;
constexpr int kMaxHeaderBytes = 16 << 20;

Status Unimplemented(std::string text) { return absl::UnimplementedError(ToAbsl(text)); }

int Milliseconds(int64_t ns) { return static_cast<int>(std::min<int64_t>(ns / 1'000'000, INT32_MAX)); }

void SetLimits(const Options& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_request_bytes + kRequestOverhead));
  builder->SetMaxSendMessageSize(-1);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxHeaderBytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              static_cast<int>(std::min<int64_t>(options.max_concurrent_streams, INT32_MAX)));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
  if (options.any_pings) {
    builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  } else if (options.keepalive_min_time_ns > 0) {
    builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                                Milliseconds(options.keepalive_min_time_ns));
  }
  if (options.stream_window_bytes > 0) {
    builder->AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, options.stream_window_bytes);
  }
  if (options.keepalive_interval_ns > 0 && options.keepalive_timeout_ns > 0) {
    builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_interval_ns));
    builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(options.keepalive_timeout_ns));
  }
}

size_t ThreadCount(const Options& options) {
  if (options.threads > 0) return static_cast<size_t>(options.threads);
  return std::thread::hardware_concurrency() > 1 ? 2 : 1;
}

}  // namespace

Transport::Transport(const tenon_host* host, const tenon_host_dispatch_v1* dispatch, const Options& options)
    : shared_{.host = host, .dispatch = dispatch, .options = options, .services{host, dispatch}} {
  // Debian's absl is built with its deadlock detector on: each lock of gRPC's enters a graph under a process-wide lock,
  // and a connection costs more the more there are. It finds faults in gRPC, not in us.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

Transport::~Transport() { Stop(); }

Result<std::unique_ptr<Transport>> Transport::Create(const tenon_host* host, const tenon_cfg* config) {
  auto* dispatch = static_cast<const tenon_host_dispatch_v1*>(host->get(host, TENON_HOST_DISPATCH));
  if (dispatch == nullptr) return Unimplemented("transport-grpc: this kernel offers no " TENON_HOST_DISPATCH);
  auto* reader = static_cast<const tenon_host_config_v1*>(host->get(host, TENON_HOST_CONFIG));
  ASSIGN_OR_RETURN(Options options, ReadOptions(reader, config));
  return std::unique_ptr<Transport>(new Transport(host, dispatch, options));
}

Status Transport::Check(const tenon_listener* listeners, size_t n) {
  auto* at = reinterpret_cast<const char*>(listeners);
  for (size_t i = 0; i < n; ++i, at += listeners->size) {
    const auto& listener = *reinterpret_cast<const tenon_listener*>(at);
    std::string_view url = View(listener.url);
    ASSIGN_OR_RETURN(Address address, ParseUrl(url));
    if (address.tls || listener.tls != nullptr) {
      return Unimplemented(fmt::format("TLS is not built yet in transport-grpc: {} cannot be served", url));
    }
    struct {
      uint32_t bit;
      const char* what;
    } const refused[] = {{TENON_LISTEN_HTTP, "HTTP requests (/health, /version, the JSON gateway)"},
                         {TENON_LISTEN_METRICS, "metrics"},
                         {TENON_LISTEN_PEER, "peer traffic"}};
    for (const auto& role : refused) {
      if ((listener.roles & role.bit) == 0) continue;
      return Unimplemented(
          fmt::format("transport-grpc serves gRPC only: {} on {} need another transport", role.what, url));
    }
    if (listener.roles != TENON_LISTEN_GRPC) {
      return Unimplemented(fmt::format("transport-grpc does not know listener roles {:#x} of {}", listener.roles, url));
    }
    if (listener.flags != 0) {
      return Unimplemented(fmt::format("transport-grpc does not know listener flags {:#x} of {}", listener.flags, url));
    }
  }
  return Ok();
}

Result<uint32_t> Transport::Listen(const tenon_listener& listener) {
  RETURN_IF_ERROR(Check(&listener, 1));
  std::string_view url = View(listener.url);
  auto bound = listener.fd >= 0 ? Listener::Inherit(url, listener.fd) : Listener::Bind(url);
  if (!bound.ok()) return std::move(bound).status();
  auto at = listeners_.emplace(++last_id_, *std::move(bound)).first;
  if (acceptor_ != nullptr) acceptor_->Add(at->second.fd());
  return last_id_;
}

tenon_slice Transport::BoundUrl(uint32_t id) const {
  auto found = listeners_.find(id);
  return found == listeners_.end() ? tenon_slice{} : Slice(found->second.url());
}

Status Transport::Start() {
  grpc::ServerBuilder builder;
  SetLimits(shared_.options, &builder);
  builder.RegisterAsyncGenericService(&shared_.service);
  handover_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, grpc::InsecureServerCredentials());
  queue_ = std::make_unique<Queue>(shared_, builder.AddCompletionQueue(), ThreadCount(shared_.options));
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    queue_->Stop();
    queue_.reset();
    return absl::InternalError("transport-grpc: gRPC could not start its server");
  }
  queue_->Start();
  acceptor_ = std::make_unique<Acceptor>([this](int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = fd;
    handover_->HandleNewConnection(&connection);  // gRPC closes fd with the connection
  });
  for (const auto& [id, listener] : listeners_) acceptor_->Add(listener.fd());
  acceptor_->Start();
  return Ok();
}

void Transport::Drain(int64_t grace_ns, tenon_done done) {
  CloseDoors();
  if (server_ == nullptr || drain_.joinable()) return done.fn(done.ctx, TENON_OK, nullptr, {});
  drain_ = std::thread([this, grace_ns, done] {
    EndCalls(grace_ns);
    done.fn(done.ctx, TENON_OK, nullptr, {});
  });
  pthread_setname_np(drain_.native_handle(), "grpc-drain");
}

void Transport::Stop() {
  CloseDoors();
  if (drain_.joinable()) {
    drain_.join();
  } else if (server_ != nullptr) {
    EndCalls(0);
  }
  acceptor_.reset();
  handover_.reset();
  server_.reset();
  queue_.reset();
  shared_.lent->AwaitNone();
}

void Transport::CloseDoors() {
  if (acceptor_ != nullptr) acceptor_->Stop();  // before the server: gRPC leaks a socket that comes after its shutdown
  listeners_.clear();
  shared_.closing.store(true, std::memory_order_release);
}

void Transport::EndCalls(int64_t grace_ns) {
  // Sends GOAWAY, waits, cancels at the deadline, and returns when every call is gone.
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::nanoseconds(std::max<int64_t>(grace_ns, 0)));
  queue_->Stop();
}

// ---- the table ------------------------------------------------------------------------------------------------------

namespace {

Transport& Self(void* self) { return *static_cast<Transport*>(self); }

// Nothing may unwind across the border.
template <class F>
tenon_status Guarded(tenon_error* error, F body) {
  try {
    return ToAbi(body(), error);
  } catch (const std::exception& e) {
    return ToAbi(absl::InternalError(ToAbsl(fmt::format("transport-grpc: {}", e.what()))), error);
  }
}

}  // namespace

const tenon_transport_v1 kTransportTable = {
    .m = {.size = sizeof(tenon_transport_v1),
          .minor = 0,
          .flags = 0,
          .features = 0,
          .create =
              [](const tenon_host* host, const tenon_cfg* config, void** self, tenon_error* error) {
                return Guarded(error, [&]() -> Status {
                  ASSIGN_OR_RETURN(auto made, Transport::Create(host, config));
                  *self = made.release();
                  return Ok();
                });
              },
          .start = [](void* self, tenon_error* error) { return Guarded(error, [&] { return Self(self).Start(); }); },
          .stop = [](void* self) { Self(self).Stop(); },
          .destroy = [](void* self) { delete &Self(self); }},
    .check = [](void*, const tenon_listener* listeners, size_t n,
                tenon_error* error) { return Guarded(error, [&] { return Transport::Check(listeners, n); }); },
    .listen =
        [](void* self, const tenon_listener* listener, uint32_t* id, tenon_error* error) {
          return Guarded(error, [&]() -> Status {
            ASSIGN_OR_RETURN(*id, Self(self).Listen(*listener));
            return Ok();
          });
        },
    .bound_url = [](void* self, uint32_t id) { return Self(self).BoundUrl(id); },
    .drain = [](void* self, int64_t grace_ns, tenon_done done) { Self(self).Drain(grace_ns, done); },
    .reload_tls = nullptr,
};

}  // namespace tenon::transport_grpc
