// The thread of the server's completion queue, as PeerClient wants it: work, timers and our own operations on one
// queue.
#pragma once
#include <grpcpp/alarm.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plugins/transport-common/peer_loop.h"
#include "plugins/transport-grpc/queue.h"

namespace tenon::transport_grpc {

class PeerSession;

// The queue is to have one thread: nothing here has a lock but the list of work.
class PeerLoop final : public transport::PeerLoop {
 public:
  PeerLoop() = default;
  ~PeerLoop();

  // [main] The queue does not end before this has drained.
  void Start(Queue& queue);
  // [main] From now on it ends as soon as nothing is left: sessions that are still there at `deadline_ns` are broken
  // off. Again: an earlier deadline.
  void Drain(uint64_t deadline_ns);
  // [main] When the queue has ended: does what came since, here.
  void Finish();

  // transport::PeerLoop
  void Run(std::function<void()> work) override;
  transport::PeerCall* NewCall(std::string method, tenon_bufs request, uint64_t deadline_ns, tenon_done done) override;
  std::shared_ptr<transport::PeerLink> NewLink(transport::PeerClient& client, uint64_t id, bool urgent) override;
  transport::Timers& timers() override { return timers_; }
  uint64_t now_ns() const override { return now_ns_; }
  bool draining() const override { return draining_; }
  void ExchangeBegan() override { ++exchanges_; }
  void ExchangeEnded() override { --exchanges_; }

  // ---- for sessions, on the loop's thread
  // A turn: what it does may set timers and end the last thing that was there. Deletes `this` of the derived if it
  // likes.
  class Operation : public transport_grpc::Operation {
   public:
    explicit Operation(PeerLoop& loop) : loop_(loop) {}
    // Give the tag to gRPC at once.
    void* Begin() {
      ++loop_.exchanges_;
      return tag();
    }
    void Done(bool ok) final {
      PeerLoop& loop = loop_;
      loop.BeginTurn();
      --loop.exchanges_;
      Ended(ok);
      loop.EndTurn();
    }

   protected:
    virtual void Ended(bool ok) = 0;

   private:
    PeerLoop& loop_;
  };
  grpc::CompletionQueue* cq() { return queue_->cq(); }
  const std::shared_ptr<Lent>& lent() { return queue_->shared().lent; }
  void Add(PeerSession* session) { sessions_.push_back(session); }
  void Remove(PeerSession* session) { std::erase(sessions_, session); }

 private:
  // An alarm that is set again each time.
  struct Bell final : transport_grpc::Operation {
    Bell(PeerLoop& loop, void (PeerLoop::*rung)()) : loop(loop), rung(rung) {}
    void Done(bool) override { (loop.*rung)(); }
    PeerLoop& loop;
    void (PeerLoop::*const rung)();
    grpc::Alarm alarm;
  };

  void BeginTurn();
  void EndTurn();
  void Work();
  void OnTime();
  void BreakAll();

  Queue* queue_ = nullptr;
  uint64_t now_ns_ = 0;
  bool draining_ = false;
  size_t exchanges_ = 0;
  std::vector<PeerSession*> sessions_;
  transport::Timers timers_;
  transport::Timer deadline_;
  Bell clock_{*this, &PeerLoop::OnTime};
  uint64_t alarm_ns_ = UINT64_MAX;  // that clock_ is set to; UINT64_MAX: it is not
  bool alarm_cancelled_ = false;

  std::mutex mutex_;
  Bell bell_{*this, &PeerLoop::Work};        // under mutex_, until it rings
  std::vector<std::function<void()>> work_;  // under mutex_
  bool rung_ = false;                        // under mutex_: Work will come
  bool over_ = true;                         // under mutex_: nothing will
};

}  // namespace tenon::transport_grpc
