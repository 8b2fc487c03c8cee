// A host for modules under test: collects log lines and fatal errors, and answers the configuration from a map.
#pragma once
#include <tenon/abi/abi.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace tenon::testing {

class FakeHost {
 public:
  FakeHost();
  FakeHost(const FakeHost&) = delete;

  const tenon_host* get() const { return &host_; }
  // The module's `config` section: dotted path -> scalar as written. Valid for create only, as in the kernel.
  const tenon_cfg* Config(std::map<std::string, std::string> values);

  std::vector<std::string> Lines() const;   // log lines so far
  std::vector<std::string> Fatals() const;  // messages given to host->fatal
  void ClearFatals();

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
  tenon_host host_;
};

// Opens a plugin and returns its module of that kind; ends the test program when it has none.
const tenon_module_desc* LoadModule(const std::string& path, const std::string& kind);

}  // namespace tenon::testing
