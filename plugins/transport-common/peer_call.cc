#include "plugins/transport-common/peer_call.h"

#include <utility>

#include "plugins/transport-common/abi_error.h"
#include "plugins/transport-common/peer_link.h"
#include "plugins/transport-common/peer_loop.h"

namespace tenon::transport {

PeerCall::PeerCall(std::string method, uint64_t deadline_ns, tenon_done done)
    : method_(std::move(method)), deadline_ns_(deadline_ns), done_(done) {
  const auto expire = [](void* self) {
    static_cast<PeerCall*>(self)->CutOff(absl::DeadlineExceededError("context deadline exceeded"));
  };
  deadline_ = {.fire = expire, .self = this};
}

void PeerCall::BelongTo(PeerLink* link) {
  link_ = link;
  if (deadline_ns_ != UINT64_MAX) link_->loop().timers().Set(&deadline_, deadline_ns_);
}

void PeerCall::Lost(const Status& why) {
  if (!sent_) return Fail(absl::UnavailableError(why.message()));
  Fail(absl::CancelledError(absl::StrCat(why.message(), "; the request may have been carried out")));
}

void PeerCall::CutOff(const Status& why) {
  Cancel();
  Fail(why);
}

void PeerCall::End(const Status& status, tenon_bufs answer) {
  if (link_ != nullptr) {
    link_->loop().timers().Cancel(&deadline_);
    link_->CallEnded(this);
  }
  tenon_error error{.size = sizeof error};
  const tenon_status code = ToAbi(status, &error);
  const tenon_done done = done_;
  delete this;
  done.fn(done.ctx, code, code == TENON_OK ? nullptr : &error, answer);
}

}  // namespace tenon::transport
