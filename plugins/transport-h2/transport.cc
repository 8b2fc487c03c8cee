#include "plugins/transport-h2/transport.h"

#include <algorithm>

#include "plugins/transport-common/abi_error.h"
#include "plugins/transport-common/slice.h"

namespace tenon::transport_h2 {

using transport::Address;
using transport::Listener;
using transport::ParseUrl;
using transport::Slice;
using transport::ToAbi;
using transport::View;

namespace {

Status Unimplemented(std::string text) { return absl::UnimplementedError(ToAbsl(text)); }

size_t LoopCount(const Options& options) {
  if (options.loops > 0) return static_cast<size_t>(options.loops);
  return std::thread::hardware_concurrency() >= 4 ? 2 : 1;
}

}  // namespace

Transport::Transport(const tenon_host* host, const tenon_host_dispatch_v1* dispatch, const Options& options,
                     const char* thread_name)
    : shared_{.host = host,
              .dispatch = dispatch,
              .options = options,
              .services{host, dispatch},
              .thread_name = thread_name} {}

Transport::~Transport() { Stop(); }

Result<std::unique_ptr<Transport>> Transport::Create(const tenon_host* host, const tenon_cfg* config) {
  auto* dispatch = static_cast<const tenon_host_dispatch_v1*>(host->get(host, TENON_HOST_DISPATCH));
  if (dispatch == nullptr) return Unimplemented("transport-h2: this kernel offers no " TENON_HOST_DISPATCH);
  auto* reader = static_cast<const tenon_host_config_v1*>(host->get(host, TENON_HOST_CONFIG));
  ASSIGN_OR_RETURN(Options options, ReadOptions(reader, config));
  return std::unique_ptr<Transport>(new Transport(host, dispatch, options, "h2-loop"));
}

Status Transport::Check(const tenon_listener* listeners, size_t n) const {
  constexpr uint32_t kHttpRoles = TENON_LISTEN_HTTP | TENON_LISTEN_METRICS;
  auto* at = reinterpret_cast<const char*>(listeners);
  for (size_t i = 0; i < n; ++i, at += listeners->size) {
    const auto& listener = *reinterpret_cast<const tenon_listener*>(at);
    std::string_view url = View(listener.url);
    ASSIGN_OR_RETURN(Address address, ParseUrl(url));
    if (address.tls || listener.tls != nullptr) {
      return Unimplemented(fmt::format("TLS is not built yet in transport-h2: {} cannot be served", url));
    }
    if ((listener.roles & TENON_LISTEN_PEER) != 0) {
      return Unimplemented(
          fmt::format("transport-h2 serves clients only: peer traffic on {} needs another transport", url));
    }
    if (listener.roles == 0 || (listener.roles & ~(TENON_LISTEN_GRPC | kHttpRoles)) != 0) {
      return Unimplemented(fmt::format("transport-h2 does not know listener roles {:#x} of {}", listener.roles, url));
    }
    if ((listener.roles & kHttpRoles) != 0 && !TENON_HAS(shared_.dispatch, http)) {
      return Unimplemented(fmt::format("this kernel takes no HTTP requests: roles {:#x} of {}", listener.roles, url));
    }
    if (listener.flags != 0) {
      return Unimplemented(fmt::format("transport-h2 does not know listener flags {:#x} of {}", listener.flags, url));
    }
  }
  return Ok();
}

Result<uint32_t> Transport::Listen(const tenon_listener& listener) {
  RETURN_IF_ERROR(Check(&listener, 1));
  std::string_view url = View(listener.url);
  auto bound = listener.fd >= 0 ? Listener::Inherit(url, listener.fd) : Listener::Bind(url);
  if (!bound.ok()) return std::move(bound).status();
  Door& door = doors_.emplace(++last_id_, Door{*std::move(bound), listener.roles, nullptr}).first->second;
  if (!loops_.empty()) Open(door);
  return last_id_;
}

void Transport::Open(Door& door) {
  loops_[0]->RunAndWait([&] { door.acceptor = std::make_unique<Acceptor>(loops_, door.listener.fd(), door.roles); });
}

tenon_slice Transport::BoundUrl(uint32_t id) const {
  auto found = doors_.find(id);
  return found == doors_.end() ? tenon_slice{} : Slice(found->second.listener.url());
}

Status Transport::Start() {
  size_t n = LoopCount(shared_.options);
  running_ = n;
  for (size_t i = 0; i < n; ++i) {
    loops_.push_back(std::make_unique<Loop>(shared_, static_cast<int>(i), [this] { LoopEnded(); }));
  }
  for (auto& loop : loops_) loop->Start();
  for (auto& [id, door] : doors_) Open(door);
  return Ok();
}

void Transport::Drain(int64_t grace_ns, tenon_done done) {
  if (loops_.empty() || draining_) {
    CloseDoors();
    return done.fn(done.ctx, TENON_OK, nullptr, {});
  }
  drained_ = done;
  DrainLoops(grace_ns);
}

void Transport::Stop() {
  if (!loops_.empty()) DrainLoops(0);
  for (auto& loop : loops_) loop->Join();
  loops_.clear();
  doors_.clear();
}

void Transport::CloseDoors() {
  if (!loops_.empty() && !draining_) {
    loops_[0]->RunAndWait([this] {
      for (auto& [id, door] : doors_) door.acceptor.reset();
    });
  }
  doors_.clear();
}

void Transport::DrainLoops(int64_t grace_ns) {
  CloseDoors();
  draining_ = true;
  uint64_t deadline_ns = Loop::NowNs() + static_cast<uint64_t>(std::max<int64_t>(grace_ns, 0));
  for (auto& loop : loops_) loop->Drain(deadline_ns);
}

void Transport::LoopEnded() {
  if (running_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (drained_.fn != nullptr) drained_.fn(drained_.ctx, TENON_OK, nullptr, {});
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
    return ToAbi(absl::InternalError(ToAbsl(fmt::format("transport-h2: {}", e.what()))), error);
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
    .check = [](void* self, const tenon_listener* listeners, size_t n,
                tenon_error* error) { return Guarded(error, [&] { return Self(self).Check(listeners, n); }); },
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

}  // namespace tenon::transport_h2
