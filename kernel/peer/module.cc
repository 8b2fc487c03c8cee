#include "kernel/peer/module.h"

#include <future>

#include "absl/container/inlined_vector.h"
#include "kernel/base/log.h"
#include "kernel/plugin/abi_status.h"
#include "kernel/plugin/host.h"

namespace tenon::peer {
namespace {

tenon_slice Slice(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
std::string_view View(tenon_slice slice) { return {reinterpret_cast<const char*>(slice.p), slice.n}; }

Module& Of(const tenon_host* host) { return *static_cast<Module*>(plugin::Host::From(host).context()); }

Bufs Own(std::string_view bytes) {
  BufsBuilder builder;
  builder.Append(bytes);
  return builder.Take();
}

Status Failed(std::string_view what, tenon_status status, const tenon_error& error) {
  const Status cause = plugin::FromAbi(status, &error);
  return cause.ok() ? cause : Status(cause.code(), fmt::format("peer: {}: {}", what, Message(cause)));
}

}  // namespace

// The handler, for as long as one call of it takes. Serve(nullptr) takes the handler away before it looks for visits,
// and a visit is counted before it looks for the handler: one of the two sees the other.
class Module::Visit {
 public:
  explicit Visit(Module& module) : module_(module) {
    module_.visits_.fetch_add(1);
    handler_ = module_.handler_.load();
  }
  ~Visit() {
    if (module_.visits_.fetch_sub(1) == 1 && handler_ != module_.handler_.load()) module_.visits_.notify_all();
  }
  PeerHandler* handler() const { return handler_; }

 private:
  Module& module_;
  PeerHandler* handler_;
};

void Module::Serve(PeerHandler* handler) {
  handler_.store(handler);
  if (handler != nullptr) return;
  for (uint32_t now = visits_.load(); now != 0; now = visits_.load()) visits_.wait(now);
}

void Module::SetSelf(uint64_t cluster_id, MemberId member_id) {
  member_id_.store(member_id, std::memory_order_relaxed);
  cluster_id_.store(cluster_id, std::memory_order_release);  // read first: who sees it sees the member's id too
}

// ---- what the kernel asks of the module -----------------------------------------------------------------------------

Status Module::Check(std::span<const tenon_listener> listeners) {
  tenon_error error = plugin::NewError();
  const tenon_status status = table_.check(self_, listeners.data(), listeners.size(), &error);
  return Failed("check", status, error);
}

Result<std::string> Module::Listen(const tenon_listener& listener) {
  tenon_error error = plugin::NewError();
  uint32_t id = 0;
  const tenon_status status = table_.listen(self_, &listener, &id, &error);
  RETURN_IF_ERROR(Failed("listen", status, error));
  return std::string(View(table_.bound_url(self_, id)));
}

void Module::Drain(uint64_t grace_ns) {
  std::promise<void> drained;
  table_.drain(self_, static_cast<int64_t>(grace_ns),
               {&drained, [](void* ctx, tenon_status, const tenon_error*, tenon_bufs) {
                  static_cast<std::promise<void>*>(ctx)->set_value();
                }});
  drained.get_future().wait();
}

void Module::Set(MemberId id, const std::vector<std::string>& urls) {
  std::vector<tenon_slice> slices;
  for (const std::string& url : urls) slices.push_back(Slice(url));
  tenon_error error = plugin::NewError();
  const tenon_status status = table_.set_peer(self_, id, slices.data(), slices.size(), &error);
  if (status != TENON_OK) {
    LOG_WARN("a member's peer URLs cannot be used", LogField::Hex("member-id", id),
             {"error", plugin::FromAbi(status, &error)});
  }
}

void Module::Send(std::vector<PeerMessage> messages) {
  absl::InlinedVector<tenon_peer_msg, 16> raw;
  raw.reserve(messages.size());
  for (PeerMessage& m : messages) raw.push_back({m.to, m.urgent, m.type, m.bytes.Release()});
  table_.send(self_, raw.data(), raw.size());
}

void Module::Call(MemberId to, std::string_view url, std::string_view method, std::string request, uint64_t timeout_ns,
                  Done done) {
  const auto answered = [](void* ctx, tenon_status status, const tenon_error* error, tenon_bufs result) {
    const std::unique_ptr<Done> done(static_cast<Done*>(ctx));
    const Bufs bufs(result);
    std::string scratch;
    std::string_view answer = bufs.Flatten(scratch);
    if (answer.data() != scratch.data()) scratch.assign(answer);
    (*done)(plugin::FromAbi(status, error), std::move(scratch));
  };
  table_.call(self_, to, Slice(url), Slice(method), Own(request).Release(), static_cast<int64_t>(timeout_ns),
              {new Done(std::move(done)), answered});
}

uint64_t Module::ActiveSinceNs(MemberId id) { return table_.active_since_ns(self_, id); }

// ---- what the module brings -----------------------------------------------------------------------------------------

tenon_status Module::Deliver(const tenon_peer_from& from, tenon_bufs* messages, size_t n) {
  const Visit visit(*this);
  const PeerSender sender{from.cluster_id, from.member_id};
  tenon_status answer = visit.handler() == nullptr ? TENON_AGAIN : TENON_OK;
  std::string scratch;
  for (size_t i = 0; i < n; i++) {
    const Bufs message(messages[i]);  // all of them are ours, also those that nobody wants
    if (visit.handler() == nullptr || (answer != TENON_OK && answer != TENON_AGAIN)) continue;
    const Status status = visit.handler()->Deliver(sender, message.Flatten(scratch));
    if (!status.ok()) answer = absl::IsResourceExhausted(status) ? TENON_AGAIN : plugin::ToAbi(status, nullptr);
  }
  return answer;
}

void Module::Answer(const tenon_peer_from& from, std::string_view method, Bufs request, tenon_done done) {
  const auto answer = [done](Status status, std::string bytes) {
    if (status.ok()) return done.fn(done.ctx, TENON_OK, nullptr, Own(bytes).Release());
    tenon_error error = plugin::NewError();
    const tenon_status code = plugin::ToAbi(status, &error);
    done.fn(done.ctx, code, &error, tenon_bufs{});
  };
  const Visit visit(*this);
  if (visit.handler() == nullptr) return answer(absl::UnavailableError("peer: this member does not serve now"), {});
  std::string scratch;
  const std::string_view bytes = request.Flatten(scratch);
  if (bytes.data() != scratch.data()) scratch.assign(bytes);
  visit.handler()->Call({from.cluster_id, from.member_id}, method, std::move(scratch), answer);
}

void Module::Unreachable(MemberId id) {
  const Visit visit(*this);
  if (visit.handler() != nullptr) visit.handler()->Unreachable(id);
}

const tenon_host_peer_v1 Module::kHostTable = {
    sizeof(tenon_host_peer_v1),
    [](const tenon_host* host, uint64_t* cluster_id, uint64_t* member_id) {
      *cluster_id = Of(host).cluster_id_.load(std::memory_order_acquire);
      *member_id = Of(host).member_id_.load(std::memory_order_relaxed);
    },
    [](const tenon_host* host, const tenon_peer_from* from, tenon_bufs* messages, size_t n) {
      return Of(host).Deliver(*from, messages, n);
    },
    [](const tenon_host* host, const tenon_peer_from* from, tenon_slice method, tenon_bufs request, tenon_done done) {
      Of(host).Answer(*from, View(method), Bufs(request), done);
    },
    [](const tenon_host* host, uint64_t id) { Of(host).Unreachable(id); },
};

}  // namespace tenon::peer
