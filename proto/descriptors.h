// The FileDescriptorSet of every service that Tenon may serve, made by protoc at build time.
#pragma once
#include <string_view>

namespace tenon {

// Serialized google.protobuf.FileDescriptorSet, imports included; static.
std::string_view DescriptorSet();

}  // namespace tenon
