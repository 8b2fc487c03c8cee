// A listening socket in a loop: accepts, and deals the connections out to all loops.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "plugins/transport-h2/loop.h"

namespace tenon::transport_h2 {

class Acceptor final : public Source {
 public:
  // [the first loop] `listening_fd` stays the caller's, and open until the acceptor is gone.
  Acceptor(const std::vector<std::unique_ptr<Loop>>& loops, int listening_fd, uint32_t roles);
  ~Acceptor();

  void Ready(uint32_t events) override;

 private:
  void Resume();

  const std::vector<std::unique_ptr<Loop>>& loops_;
  Loop& loop_;  // the first
  const int fd_;
  const uint32_t roles_;
  size_t next_ = 0;
  Timer pause_;
};

}  // namespace tenon::transport_h2
