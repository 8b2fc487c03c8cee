#include "tests/transport/loaded_transport.h"

#include <dlfcn.h>

#include <cstdlib>
#include <future>

#include "kernel/base/check.h"

namespace tenon::testing {
namespace {

const tenon_transport_v1& Table() {
  return *reinterpret_cast<const tenon_transport_v1*>(LoadedTransport::Plugin()->modules[0].vt);
}

}  // namespace

std::string LoadedTransport::Name() {
  const char* name = getenv("TENON_TEST_TRANSPORT");
  return name == nullptr ? "h2" : name;
}

std::string LoadedTransport::ThreadsKey() { return Name() == "h2" ? "loops" : "threads"; }

const tenon_plugin* LoadedTransport::Plugin() {
  static const std::string file = TRANSPORT_DIR "/transport-" + Name() + ".so";
  static void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  CHECK_MSG(library != nullptr, dlerror());
  auto* query = reinterpret_cast<const tenon_plugin* (*)()>(dlsym(library, "tenon_plugin_query_v1"));
  CHECK(query != nullptr);
  return query();
}

std::string LoadedTransport::Refusal(EchoKernel& kernel, const Config& config) {
  void* self = nullptr;
  tenon_error error{.size = sizeof error};
  const tenon_cfg node = AsNode(config);
  if (Table().m.create(kernel.host(), &node, &self, &error) != TENON_OK) return error.msg;
  Table().m.destroy(self);
  return "";
}

LoadedTransport::LoadedTransport(EchoKernel& kernel, const Config& config) {
  tenon_error error{.size = sizeof error};
  const tenon_cfg node = AsNode(config);
  CHECK_MSG(Table().m.create(kernel.host(), &node, &self_, &error) == TENON_OK, error.msg);
}

LoadedTransport::~LoadedTransport() { Stop(); }

std::string LoadedTransport::Check(const std::string& url, uint32_t roles, const tenon_tls* tls) {
  tenon_listener listener{.size = sizeof listener, .roles = roles, .fd = -1, .tls = tls};
  listener.url = {reinterpret_cast<const uint8_t*>(url.data()), url.size()};
  tenon_error error{.size = sizeof error};
  return Table().check(self_, &listener, 1, &error) == TENON_OK ? "" : error.msg;
}

std::string LoadedTransport::Listen(const std::string& url, int fd, uint32_t roles) {
  tenon_listener listener{.size = sizeof listener, .roles = roles, .fd = fd};
  listener.url = {reinterpret_cast<const uint8_t*>(url.data()), url.size()};
  tenon_error error{.size = sizeof error};
  return Table().listen(self_, &listener, &id_, &error) == TENON_OK ? "" : error.msg;
}

std::string LoadedTransport::Start() {
  tenon_error error{.size = sizeof error};
  if (Table().m.start(self_, &error) != TENON_OK) return error.msg;
  started_ = true;
  return "";
}

tenon_status LoadedTransport::Drain(int64_t grace_ns) {
  std::promise<tenon_status> drained;
  Table().drain(self_, grace_ns, {&drained, [](void* ctx, tenon_status status, const tenon_error*, tenon_bufs result) {
                                    TENON_RELEASE(result);
                                    static_cast<std::promise<tenon_status>*>(ctx)->set_value(status);
                                  }});
  return drained.get_future().get();
}

void LoadedTransport::Stop() {
  if (self_ == nullptr) return;
  if (started_) Table().m.stop(self_);
  Table().m.destroy(self_);
  self_ = nullptr;
}

std::string LoadedTransport::Url() const {
  tenon_slice url = Table().bound_url(self_, id_);
  return {reinterpret_cast<const char*>(url.p), url.n};
}

std::string LoadedTransport::Target() const {
  std::string url = Url();
  std::string rest = url.substr(url.find("://") + 3);
  return url.rfind("unix", 0) == 0 ? "unix:" + rest : rest;
}

}  // namespace tenon::testing
