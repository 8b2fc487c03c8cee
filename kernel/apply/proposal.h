// A request of this member's own client on its way through the log: the entry's bytes, the request already decoded,
// and the caller who waits. It travels as the payload of its entry, so apply finds both without a look-up.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "kernel/apply/request.h"
#include "kernel/base/bufs.h"
#include "kernel/base/status.h"
#include "kernel/raft/types.h"

namespace tenon::apply {

class Proposal final : public raft::Payload {
 public:
  using Done = absl::AnyInvocable<void(Status, Bufs)>;

  // `done` is called exactly once, on any thread: with the answer, or with the reason why there is none (it may still
  // be applied later, unless nothing was proposed).
  Proposal(std::string bytes, Request request, Done done, raft::EntryType type = raft::EntryType::kNormal)
      : Payload(std::move(bytes)), type(type), request_(std::move(request)), done_(std::move(done)) {}
  ~Proposal() override { Complete(Status(StatusCode::kUnavailable, "etcdserver: server stopped"), {}); }

  // Later calls do nothing. [any]
  void Complete(Status status, Bufs answer) const {
    if (!completed_.exchange(true, std::memory_order_acq_rel)) done_(std::move(status), std::move(answer));
  }
  bool completed() const { return completed_.load(std::memory_order_acquire); }
  const Request& request() const { return request_; }  // of a change of members: the id alone

  const raft::EntryType type;

 private:
  const Request request_;
  mutable Done done_;
  mutable std::atomic<bool> completed_{false};
};

// `message`: the operation's own bytes, as Field names them. `term`: Request::term.
inline std::shared_ptr<const Proposal> MakeProposal(uint64_t id, Field field, std::string_view message,
                                                    Operation operation, Proposal::Done done, Term term = {}) {
  std::string entry = EncodeEntry(id, field, message, term);
  return std::make_shared<const Proposal>(std::move(entry), Request{id, std::move(operation), term}, std::move(done));
}

// What a member proposes by itself, and proposes again if it is lost.
template <class Message>
std::shared_ptr<const Proposal> MakeProposal(uint64_t id, Field field, const Message& message) {
  return MakeProposal(id, field, message.SerializeAsString(), message, [](const Status&, const Bufs&) {});
}

}  // namespace tenon::apply
