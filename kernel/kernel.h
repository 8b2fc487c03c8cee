// The whole server: puts the parts together, starts them in order, stops them in the other one.
//
// This is the composition root and the embeddable library: everything below gets what it needs from here.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/config/config.h"

namespace tenon {

class Kernel {
 public:
  struct Module {
    std::string kind, name, version, file;
  };
  struct Hooks {
    // The member must stop at once: the disk or the engine is not to be trusted. [any]; may not return.
    std::function<void(const Status&)> fatal;
    // The data directory holds a state that was fetched from another member: stop this kernel and start another. [any]
    std::function<void()> restart;
    // This member was removed from its cluster for ever. [any]
    std::function<void()> removed;
    // Asked while the start waits for other members: shall it give up? [main]
    std::function<bool()> interrupted;
  };

  // Returns when the server answers clients. Any error: nothing runs, and the sentence is for the operator. [main]
  static Result<std::unique_ptr<Kernel>> Start(const Config& config, Hooks hooks);
  // Stops accepting, lets calls end for up to `grace_ns`, stops everything, leaves the disk as a quick start wants it.
  // [main]
  void Stop(int64_t grace_ns);
  ~Kernel();

  const std::vector<Module>& modules() const;
  const std::vector<std::string>& urls() const;  // with the real ports
  uint64_t member_id() const;

 private:
  struct Parts;
  explicit Kernel(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// Would these modules load and take their configuration? Adds a line for each that would not. For --check-config.
// [main]
std::vector<std::string> CheckModules(const Config& config);

}  // namespace tenon
