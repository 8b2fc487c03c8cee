// What only the leader can answer, asked by a member that does not lead.
#include "kernel/api/server.h"
#include "kernel/base/errors.h"

namespace tenon::api {
namespace {

constexpr uint64_t kAskAgainNs = 50'000'000;  // etcd's

struct Question {
  Server& server;
  const std::string method, request;
  const uint64_t deadline_ns;
  PeerHandler::Done done;
};

// It did not lead, or was not reached: somebody else may.
bool MayBeAskedAgain(const Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsCancelled(status) ||
         absl::IsUnimplemented(status) || status == errors::NotLeader();
}

void Ask(std::shared_ptr<Question> q) {
  const uint64_t now = q->server.clock.MonoNs();
  if (now >= q->deadline_ns) return q->done(errors::Timeout(), {});
  const auto again = [q] { q->server.worker.PostAfter(kAskAgainNs, [q] { Ask(q); }); };
  const MemberId leader = q->server.node.state().leader;
  if (leader == 0 || leader == q->server.membership.self()) return again();
  q->server.peers->Call(leader, {}, q->method, q->request, q->deadline_ns - now,
                        [q, again](Status status, std::string answer) {
                          if (MayBeAskedAgain(status)) return again();
                          q->done(std::move(status), std::move(answer));
                        });
}

}  // namespace

void AskLeader(Server& server, std::string method, std::string request, PeerHandler::Done done) {
  if (server.peers == nullptr) return done(errors::NoLeader(), {});
  Ask(std::make_shared<Question>(Question{server, std::move(method), std::move(request),
                                          server.clock.MonoNs() + server.request_timeout_ns, std::move(done)}));
}

}  // namespace tenon::api
