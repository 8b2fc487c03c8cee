#include "cli/plugin_check/transport_module.h"

#include <chrono>
#include <future>

namespace tenon::plugin_check {
namespace {

tenon_slice Slice(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

tenon_listener Listener(const std::string& url, uint32_t roles, int fd, const tenon_tls* tls) {
  return {.size = sizeof(tenon_listener), .roles = roles, .fd = fd, .url = Slice(url), .tls = tls};
}

}  // namespace

Said TransportModule::Create(const Config& config) {
  tenon_error error{.size = sizeof error};
  const tenon_cfg node = testing::AsNode(config, "--config:1:1");
  const tenon_status status = table_->m.create(kernel_.host(), &node, &self_, &error);
  if (status != TENON_OK) self_ = nullptr;
  return {status, error.msg};
}

Said TransportModule::Check(const std::string& url, uint32_t roles, const tenon_tls* tls) {
  const tenon_listener listener = Listener(url, roles, -1, tls);
  tenon_error error{.size = sizeof error};
  const tenon_status status = table_->check(self_, &listener, 1, &error);
  return {status, error.msg};
}

Said TransportModule::Listen(const std::string& url, uint32_t roles, int fd) {
  const tenon_listener listener = Listener(url, roles, fd, nullptr);
  tenon_error error{.size = sizeof error};
  uint32_t id = 0;
  const tenon_status status = table_->listen(self_, &listener, &id, &error);
  if (status == TENON_OK) id_ = id;
  return {status, error.msg};
}

Said TransportModule::Start() {
  tenon_error error{.size = sizeof error};
  const tenon_status status = table_->m.start(self_, &error);
  started_ = status == TENON_OK;
  return {status, error.msg};
}

std::function<bool(std::chrono::milliseconds)> TransportModule::BeginDrain(int64_t grace_ns) {
  // Kept by done as well: it may come after the wait was given up.
  auto drained = std::make_shared<std::promise<tenon_status>>();
  table_->drain(
      self_, grace_ns,
      {new std::shared_ptr(drained), [](void* ctx, tenon_status status, const tenon_error*, tenon_bufs result) {
         TENON_RELEASE(result);
         auto* held = static_cast<std::shared_ptr<std::promise<tenon_status>>*>(ctx);
         (*held)->set_value(status);
         delete held;
       }});
  auto future = std::make_shared<std::shared_future<tenon_status>>(drained->get_future());
  return [future](std::chrono::milliseconds wait) {
    return future->wait_for(wait) == std::future_status::ready && future->get() == TENON_OK;
  };
}

void TransportModule::Stop() {
  if (self_ == nullptr) return;
  if (std::exchange(started_, false)) table_->m.stop(self_);
  table_->m.destroy(std::exchange(self_, nullptr));
}

std::string TransportModule::Url() const {
  const tenon_slice url = table_->bound_url(self_, id_);
  return {reinterpret_cast<const char*>(url.p), url.n};
}

std::string TransportModule::Target() const {
  const std::string url = Url(), rest = url.substr(url.find("://") + 3);
  return url.rfind("unix", 0) == 0 ? "unix:" + rest : rest;
}

}  // namespace tenon::plugin_check
