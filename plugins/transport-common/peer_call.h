// One request to another member and its one answer. Loop's thread.
#pragma once
#include <cstdint>
#include <string>

#include "kernel/base/status.h"
#include "plugins/transport-common/timers.h"
#include "tenon/abi/base.h"

namespace tenon::transport {

class PeerLink;

// Deletes itself when it has called `done`. How it is sent and answered is the transport's.
class PeerCall {
 public:
  // deadline_ns: of MonoNs; UINT64_MAX: none. [any]
  PeerCall(std::string method, uint64_t deadline_ns, tenon_done done);

  const std::string& method() const { return method_; }
  uint64_t deadline_ns() const { return deadline_ns_; }

  // It waits for the link, and from now on ends by itself at the deadline.
  void BelongTo(PeerLink* link);
  // The link's connection is gone, or did not come: `why` not.
  void Lost(const Status& why);
  void Fail(const Status& status) { End(status, {}); }

 protected:
  virtual ~PeerCall() = default;
  // The other side need not answer any more, and is not listened to.
  virtual void Cancel() = 0;
  void CutOff(const Status& why);
  void End(const Status& status, tenon_bufs answer);

  bool sent_ = false;  // the other side may have seen it

 private:
  const std::string method_;
  const uint64_t deadline_ns_;
  const tenon_done done_;
  PeerLink* link_ = nullptr;
  Timer deadline_;
};

}  // namespace tenon::transport
