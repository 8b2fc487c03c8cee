// Who wants to know which keys a lease has.
#pragma once
#include <cstdint>
#include <string_view>

namespace tenon::mvcc {

class Attachments {
 public:
  virtual ~Attachments() = default;
  // The key has lease `to` from now on and had `from` before; 0: none. They differ. [apply]
  virtual void Move(std::string_view key, int64_t from, int64_t to) = 0;
};

}  // namespace tenon::mvcc
