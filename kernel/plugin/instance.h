// One running module: its host, its configuration and its self, in the order that base.h asks for.
//
//   ASSIGN_OR_RETURN(auto instance, Instance::Create(module, "storage", services, config));
//   auto engine = instance->Table<tenon_storage_v1>();   engine.open(instance->self(), ...);
//   RETURN_IF_ERROR(instance->Start());   ...   instance->Stop();      // the destructor destroys
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "kernel/plugin/loader.h"

namespace tenon::plugin {

class Instance {
 public:
  // Calls create. `provide` may add tables to the host before. Error: the module's own sentence, with its name.
  static Result<std::unique_ptr<Instance>> Create(const LoadedModule& module, std::string instance_name,
                                                  HostServices services, const tenon_cfg* config,
                                                  const std::function<void(Host&)>& provide = nullptr);
  ~Instance();  // stops if started, then destroys
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  Status Start();
  void Stop();  // no-op unless started
  // New configuration while running. Unimplemented: the module cannot; restart.
  Status Reconfigure(const tenon_cfg* config);

  template <class T>
  T Table() const {
    return module_.Table<T>();
  }
  void* self() const { return self_; }
  Host& host() { return *host_; }
  const LoadedModule& module() const { return module_; }
  // Table of an extension, or null.
  const void* Extension(const char* id) const;
  uint32_t MaxApplyLevel() const;

 private:
  Instance(const LoadedModule& module, std::unique_ptr<Host> host);
  Status Failed(const char* what, tenon_status status, const tenon_error& error) const;

  LoadedModule module_;
  tenon_module_vt vt_;
  std::unique_ptr<Host> host_;
  void* self_ = nullptr;
  bool created_ = false, started_ = false;
};

}  // namespace tenon::plugin
