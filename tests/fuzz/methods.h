// What an input of fuzz_calls means: the methods by number, in the order of their descriptors, and how they are called.
#pragma once
#include <google/protobuf/descriptor.pb.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernel/base/check.h"
#include "proto/descriptors.h"

namespace tenon::fuzz {

struct Method {
  std::string name;  // "/etcdserverpb.KV/Put"
  bool streams = false;
};

// Also of one call: what the client does behind its message, in this order, before it cancels.
enum How : uint8_t { kHold = 1, kTwice = 2, kWritable = 4, kHalfClose = 8, kRunBetween = 16, kMetadata = 32 };

inline std::vector<Method> Methods() {
  google::protobuf::FileDescriptorSet set;
  CHECK(set.ParseFromArray(DescriptorSet().data(), static_cast<int>(DescriptorSet().size())));
  std::vector<Method> methods;
  for (const auto& file : set.file()) {
    for (const auto& service : file.service()) {
      for (const auto& method : service.method()) {
        methods.push_back({"/" + file.package() + "." + service.name() + "/" + method.name(),
                           method.client_streaming() || method.server_streaming()});
      }
    }
  }
  return methods;
}

}  // namespace tenon::fuzz
