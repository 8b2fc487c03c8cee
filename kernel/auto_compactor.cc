#include "kernel/auto_compactor.h"

#include "kernel/base/log.h"
#include "kernel/plugin/abi_status.h"
#include "kernel/plugin/threads.h"

namespace tenon {

void AutoCompactor::Start() {
  p_.table.schedule(p_.self, &every_ms_, &keep_);
  if (every_ms_ == 0) return;
  started_ns_ = p_.clock.MonoNs();
  p_.executor.Post([this] {
    Sample();
    p_.executor.PostAfter(every_ms_ * 1'000'000, [this] { ComeBy(); });
  });
}

void AutoCompactor::ComeBy() {
  if (stopped_) return;
  p_.executor.PostAfter(every_ms_ * 1'000'000, [this] { ComeBy(); });
  if (p_.leads() && !compacting_) Decide();
  Sample();
}

void AutoCompactor::Decide() {
  tenon_compact_in in = p_.describe();
  in.now_ms = (p_.clock.MonoNs() - started_ns_) / 1'000'000;
  in.t_ms = times_ms_.data();
  in.rev = revisions_.data();
  in.n = revisions_.size();
  tenon_error error = plugin::NewError();
  int64_t target = 0;
  const tenon_status status = [&] {
    plugin::ThreadTag tag(TENON_ON_MAIN);
    return p_.table.decide(p_.self, &in, &target, &error);
  }();
  if (status != TENON_OK) {
    LOG_WARN("the compactor could not decide", {"error", plugin::FromAbi(status, &error)});
  } else if (target > 0) {
    Compact(target);
  }
}

void AutoCompactor::Compact(int64_t revision) {
  compacting_ = true;
  p_.compact(revision, [this, revision](const Status& status) {
    p_.executor.Post([this, revision, status] {
      compacting_ = false;
      if (stopped_) return;
      plugin::ThreadTag tag(TENON_ON_MAIN);
      p_.table.result(p_.self, revision, plugin::ToAbi(status, nullptr));
    });
  });
}

void AutoCompactor::Sample() {
  if (stopped_ || keep_ == 0) return;
  if (revisions_.size() == keep_) {
    times_ms_.erase(times_ms_.begin());
    revisions_.erase(revisions_.begin());
  }
  times_ms_.push_back((p_.clock.MonoNs() - started_ns_) / 1'000'000);
  revisions_.push_back(p_.describe().revision);
}

}  // namespace tenon
