// Which .proto files a plugin would register in libprotobuf's one global pool.
//
// The second registration of a name aborts the process, inside dlopen, whatever the symbols' visibility. So we look for
// the serialized FileDescriptorProtos that generated code carries, before anything runs.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace tenon::plugin {

// Names of the FileDescriptorProtos in `file`, sorted, each once. Those inside a FileDescriptorSet (a service's
// reflection data) are data, not registrations, and are left out.
std::vector<std::string> RegisteredProtoFiles(std::string_view file);

// Is it the name of a file that etcd itself has? No plugin may register those.
bool IsEtcdProtoFile(std::string_view name);

}  // namespace tenon::plugin
