// What the sending half of a peer module needs of its transport: the thread on which all of it happens, and ways to
// speak.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "plugins/transport-common/timers.h"
#include "tenon/abi/base.h"

namespace tenon::transport {

class PeerCall;
class PeerClient;
class PeerLink;

class PeerLoop {
 public:
  // [any] Runs it on the loop's thread: soon, in order, never from inside.
  virtual void Run(std::function<void()> work) = 0;
  // [any] A call of this transport's kind, which takes the request.
  virtual PeerCall* NewCall(std::string method, tenon_bufs request, uint64_t deadline_ns, tenon_done done) = 0;

  // ---- the loop's thread
  virtual std::shared_ptr<PeerLink> NewLink(PeerClient& client, uint64_t id, bool urgent) = 0;
  virtual Timers& timers() = 0;
  virtual uint64_t now_ns() const = 0;  // of MonoNs
  virtual bool draining() const = 0;
  // Something comes back through Run: the loop does not end before.
  virtual void ExchangeBegan() = 0;
  virtual void ExchangeEnded() = 0;

 protected:
  ~PeerLoop() = default;
};

}  // namespace tenon::transport
