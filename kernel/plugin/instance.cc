#include "kernel/plugin/instance.h"

#include "kernel/base/log.h"
#include "kernel/plugin/abi_status.h"
#include "kernel/plugin/threads.h"

namespace tenon::plugin {

Instance::Instance(const LoadedModule& module, std::unique_ptr<Host> host)
    : module_(module), vt_(*static_cast<const tenon_module_vt*>(module.vt)), host_(std::move(host)) {}

Status Instance::Failed(const char* what, tenon_status status, const tenon_error& error) const {
  const Status cause = FromAbi(status, &error);
  return Status(cause.code(),
                fmt::format("{}{}module {} of plugin {} {}: {}", module_.where, module_.where.empty() ? "" : ": ",
                            module_.desc->name, module_.path, what, Message(cause)));
}

Result<std::unique_ptr<Instance>> Instance::Create(const LoadedModule& module, std::string instance_name,
                                                   HostServices services, const tenon_cfg* config,
                                                   const std::function<void(Host&)>& provide) {
  auto host = std::make_unique<Host>(
      HostName{module.plugin->id, std::move(instance_name), std::string(module.kind->name), module.desc->name},
      std::move(services));
  if (provide) provide(*host);
  std::unique_ptr<Instance> instance(new Instance(module, std::move(host)));
  tenon_error error = NewError();
  void* self = nullptr;
  ThreadTag tag(TENON_ON_MAIN);
  const tenon_status status = instance->vt_.create(instance->host_->abi(), config, &self, &error);
  if (status != TENON_OK) return instance->Failed("refused its configuration", status, error);
  instance->self_ = self;
  instance->created_ = true;
  return instance;
}

Instance::~Instance() {
  if (!created_) return;
  Stop();
  host_->Close();
  ThreadTag tag(TENON_ON_MAIN);
  vt_.destroy(self_);
}

Status Instance::Start() {
  tenon_error error = NewError();
  ThreadTag tag(TENON_ON_MAIN);
  const tenon_status status = vt_.start(self_, &error);
  if (status != TENON_OK) return Failed("did not start", status, error);
  started_ = true;
  return Ok();
}

void Instance::Stop() {
  if (!started_) return;
  started_ = false;
  host_->Drain();  // posted work runs before stop returns
  ThreadTag tag(TENON_ON_MAIN);
  vt_.stop(self_);
  if (const size_t left = host_->pending(); left > 0) {
    LOG_WARN("a module left work or timers behind when it stopped", {"plugin", host_->name().plugin},
             {"instance", host_->name().instance}, {"left", left});
  }
  host_->Close();
}

Status Instance::Reconfigure(const tenon_cfg* config) {
  if (vt_.reconfigure == nullptr) {
    return absl::UnimplementedError(
        fmt::format("module {} of plugin {} cannot change its configuration while it runs: restart "
                    "the server",
                    module_.desc->name, module_.path));
  }
  tenon_error error = NewError();
  ThreadTag tag(TENON_ON_MAIN);
  const tenon_status status = vt_.reconfigure(self_, config, &error);
  return status == TENON_OK ? Ok() : Failed("refused its new configuration", status, error);
}

const void* Instance::Extension(const char* id) const {
  return vt_.get_extension == nullptr ? nullptr : vt_.get_extension(self_, id);
}

uint32_t Instance::MaxApplyLevel() const { return vt_.max_apply_level == nullptr ? 0 : vt_.max_apply_level(self_); }

}  // namespace tenon::plugin
