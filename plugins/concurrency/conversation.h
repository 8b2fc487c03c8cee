// One call of a client: what it asks of the server, step by step, until it is answered.
//
// Everything runs on the conversation's strand. It holds itself alive until it is answered.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "plugins/concurrency/client.h"

namespace tenon::concurrency {

class Conversation : public std::enable_shared_from_this<Conversation> {
 public:
  // `answer` is called once.
  using Answer = std::function<void(const Failure&, std::string reply)>;
  Conversation(Client& client, Answer answer);
  virtual ~Conversation() = default;

  void Begin(std::string request);  // [any]; once
  void Cancel();                    // the client is gone, or the server stops [any]

 protected:
  virtual void Start(const std::string& request) = 0;
  // The client is gone. Between two steps nothing needs to be done: the next step finds cancelled().
  virtual void OnCancel() {}
  bool cancelled() const { return cancelled_; }

  // `then` runs unless the server refused, which ends the conversation as `Refused` says.
  template <class Response>
  void Ask(std::string_view method, const google::protobuf::MessageLite& request,
           std::function<void(const Response&)> then) {
    Ask<Response>(method, request, std::move(then), [this](const Failure& failure) { Fail(failure); });
  }
  template <class Response>
  void Ask(std::string_view method, const google::protobuf::MessageLite& request,
           std::function<void(const Response&)> then, std::function<void(const Failure&)> otherwise) {
    client_.Ask(method, request,
                [self = shared_from_this(), strand = strand_, then = std::move(then), otherwise = std::move(otherwise)](
                    const Failure& failure, std::string reply) {
                  strand->Post([self, then, otherwise, failure, reply = std::move(reply)] {
                    if (!failure.ok()) return otherwise(failure);
                    Response response;
                    if (response.ParseFromString(reply)) return then(response);
                    otherwise({TENON_INTERNAL, "etcdserver: an answer of the server cannot be read"});
                  });
                });
  }

  // The lease to work with: the client's, or a new one of a minute that nobody renews, as etcd's session is here.
  void WithLease(int64_t lease, std::function<void(int64_t)> then);
  // Waits until no key under prefix is left that was created at or before `revision`. `otherwise` is told why the wait
  // ended without that, or that the client is gone.
  void AwaitDeletes(const std::string& prefix, int64_t revision, std::function<void()> then,
                    std::function<void(const Failure&)> otherwise);
  void StopWaiting();  // from OnCancel: ends AwaitDeletes

  template <class Message>
  void Reply(const Message& message) {
    Finish({}, message.SerializeAsString());
  }
  // As in etcd, whose services are clients of the server: the server's words, but none of its codes.
  void Fail(const Failure& failure) { Finish({TENON_UNKNOWN, failure.text}, {}); }
  void Fail(std::string_view text) { Fail(Failure{TENON_UNKNOWN, std::string(text)}); }
  void Finish(const Failure& failure, std::string reply);

  Client& client() { return client_; }
  const std::shared_ptr<Strand>& strand() { return strand_; }

 private:
  void NotDeleted(const Failure& why);
  void AwaitDelete(const std::string& key, int64_t revision, const std::string& prefix, int64_t before);

  Client& client_;
  const std::shared_ptr<Strand> strand_;
  Answer answer_;
  std::shared_ptr<Conversation> self_;
  std::shared_ptr<Watch> watch_;
  std::function<void()> deleted_;
  std::function<void(const Failure&)> not_deleted_;
  bool cancelled_ = false;
};

// The conversation for each unary method.
using MakeConversation = std::shared_ptr<Conversation> (*)(Client&, Conversation::Answer);
std::shared_ptr<Conversation> MakeLock(Client& client, Conversation::Answer answer);
std::shared_ptr<Conversation> MakeUnlock(Client& client, Conversation::Answer answer);
std::shared_ptr<Conversation> MakeCampaign(Client& client, Conversation::Answer answer);
std::shared_ptr<Conversation> MakeProclaim(Client& client, Conversation::Answer answer);
std::shared_ptr<Conversation> MakeLeader(Client& client, Conversation::Answer answer);
std::shared_ptr<Conversation> MakeResign(Client& client, Conversation::Answer answer);

}  // namespace tenon::concurrency
