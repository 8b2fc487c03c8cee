#include "plugins/transport-common/methods.h"

#include <vector>

#include "fmt/format.h"
#include "plugins/transport-common/slice.h"

namespace tenon::transport {
namespace {

// One field of a protobuf message. Only what a descriptor needs: length-delimited fields have bytes, others none.
struct Field {
  uint32_t number = 0;
  std::string_view bytes;
};

bool ReadVarint(std::string_view* in, uint64_t* out) {
  *out = 0;
  for (int shift = 0; shift < 64 && !in->empty(); shift += 7) {
    uint8_t byte = static_cast<uint8_t>(in->front());
    in->remove_prefix(1);
    *out |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool NextField(std::string_view* in, Field* field) {
  uint64_t tag, n = 0;
  if (!ReadVarint(in, &tag)) return false;
  *field = {.number = static_cast<uint32_t>(tag >> 3)};
  switch (tag & 7) {
    case 0: return ReadVarint(in, &n);
    case 1: n = 8; break;
    case 2:
      if (!ReadVarint(in, &n)) return false;
      break;
    case 5: n = 4; break;
    default: return false;
  }
  if (n > in->size()) return false;
  if ((tag & 7) == 2) field->bytes = in->substr(0, n);
  in->remove_prefix(n);
  return true;
}

}  // namespace

std::string Quote(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c < ' ' || c > '~') {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

Method MethodCache::Find(std::string_view path) {
  {
    std::shared_lock lock(mutex_);
    if (auto found = known_.find(path); found != known_.end()) return found->second;
  }
  Method method;
  method.id = dispatch_->method(host_, Slice(path), &method.flags);
  if (method.id == 0) return method;
  std::lock_guard lock(mutex_);
  if (known_.size() < kMostKnown) known_.emplace(path, method);
  return method;
}

std::set<std::string, std::less<>> ServicesIn(tenon_slice descriptor_set) {
  std::set<std::string, std::less<>> names;
  std::string_view files = View(descriptor_set);
  for (Field file; NextField(&files, &file);) {
    if (file.number != 1) continue;  // FileDescriptorSet.file
    std::string package;
    std::vector<std::string> services;
    std::string_view fields = file.bytes;
    for (Field field; NextField(&fields, &field);) {
      if (field.number == 2) package = field.bytes;  // FileDescriptorProto.package
      if (field.number != 6) continue;               // FileDescriptorProto.service
      std::string_view service = field.bytes;
      for (Field part; NextField(&service, &part);) {
        if (part.number == 1) services.emplace_back(part.bytes);  // ServiceDescriptorProto.name
      }
    }
    for (const std::string& name : services) names.insert(package.empty() ? name : package + "." + name);
  }
  return names;
}

std::string ServiceNames::Unknown(std::string_view path) {
  std::call_once(read_, [this] {
    if (TENON_HAS(dispatch_, descriptors)) names_ = ServicesIn(dispatch_->descriptors(host_));
  });
  size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || slash == 0 || path.front() != '/') {
    return "malformed method name: " + Quote(path);
  }
  std::string_view service = path.substr(1, slash - 1), method = path.substr(slash + 1);
  if (names_.find(service) == names_.end()) return fmt::format("unknown service {}", service);
  return fmt::format("unknown method {} for service {}", method, service);
}

}  // namespace tenon::transport
