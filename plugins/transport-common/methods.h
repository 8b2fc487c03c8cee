// Which method a path names, and what a client hears when it names none.
#pragma once
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tenon/abi/transport.h"

namespace tenon::transport {

struct Method {
  uint32_t id = 0;  // 0: no such method
  uint32_t flags = 0;
};

// Remembers the host's answers, which are constant. Any thread. A path that names no method is not
// remembered: clients could fill the memory with them.
class MethodCache {
 public:
  MethodCache(const tenon_host* host, const tenon_host_dispatch_v1* dispatch) : host_(host), dispatch_(dispatch) {}
  Method Find(std::string_view path);

 private:
  const tenon_host* host_;
  const tenon_host_dispatch_v1* dispatch_;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view path) const { return std::hash<std::string_view>()(path); }
  };
  static constexpr size_t kMostKnown = 1024;                              // a host may know any name of a service
  std::unordered_map<std::string, Method, Hash, std::equal_to<>> known_;  // under mutex_
  std::shared_mutex mutex_;
};

// The services that the kernel serves, read from its descriptors at the first question. Any thread.
class ServiceNames {
 public:
  ServiceNames(const tenon_host* host, const tenon_host_dispatch_v1* dispatch) : host_(host), dispatch_(dispatch) {}

  // grpc-go's sentence for a path that names no method.
  std::string Unknown(std::string_view path);

 private:
  const tenon_host* host_;
  const tenon_host_dispatch_v1* dispatch_;
  std::once_flag read_;
  std::set<std::string, std::less<>> names_;
};

// As Go's %q for a header value, which is ASCII.
std::string Quote(std::string_view text);

// Names of the services in a serialized FileDescriptorSet, with their packages. Stops at damage.
std::set<std::string, std::less<>> ServicesIn(tenon_slice descriptor_set);

}  // namespace tenon::transport
