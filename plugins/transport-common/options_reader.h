// Reads the scalars of a module's configuration that have a range.
#pragma once
#include "kernel/base/status.h"
#include "plugins/transport-common/slice.h"
#include "tenon/abi/host.h"

namespace tenon::transport {

// The first value that is wrong is kept as the status, whose text begins with file and line; later reads do nothing.
class OptionsReader {
 public:
  OptionsReader(const tenon_host_config_v1* config, const tenon_cfg* node) : config_(config), node_(node) {}

  // Leaves *out as it is if the file does not name the option. what: what the value should have been.
  template <class T>
  void Read(const char* name, tenon_status (*read)(const tenon_cfg*, T*), T min, T max, const char* what, T* out) {
    const tenon_cfg* at = config_->find(node_, name);
    if (at == nullptr || !status_.ok()) return;
    T value{};
    if (read(at, &value) == TENON_OK && value >= min && value <= max) {
      *out = value;
      return;
    }
    status_ = absl::InvalidArgumentError(ToAbsl(
        fmt::format("{}: {}: \"{}\" is not {}", View(config_->where(at)), name, View(config_->scalar(at)), what)));
  }
  const Status& status() const { return status_; }

 private:
  const tenon_host_config_v1* config_;
  const tenon_cfg* node_;
  Status status_;
};

}  // namespace tenon::transport
