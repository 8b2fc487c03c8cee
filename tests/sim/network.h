// The seeded network between the members: tenon::Peers for each life of each of them.
//
// What is sent arrives at the receiver's own queue, so it waits while that machine stands still and is gone when it is
// killed. Links lose, delay, repeat and reorder messages as the seed and the faults say, each direction for itself.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "kernel/ports/peers.h"
#include "tests/sim/faults.h"
#include "tests/sim/scheduler.h"

namespace tenon::sim {

class Network {
 public:
  Network(Scheduler& scheduler, Trace& trace, Counts& counts, size_t machines, uint64_t seed);

  static std::string UrlOf(size_t machine) { return fmt::format("http://10.0.0.{}:2380", machine + 1); }

  // One life of a machine's end of it.
  class Port : public Peers {
   public:
    Port(Network& network, size_t machine, MachineClock& clock, Scheduler::Queue& queue);
    ~Port() override;
    void set_self(PeerSender self) { self_ = self; }

    // The process ends: calls that wait are never answered.
    void DropCalls() { waiting_.clear(); }

    void Serve(PeerHandler* handler) override { handler_ = handler; }
    void Set(MemberId id, const std::vector<std::string>& urls) override;
    void Send(std::vector<PeerMessage> messages) override;
    void Call(MemberId to, std::string_view url, std::string_view method, std::string request, uint64_t timeout_ns,
              Done done) override;
    uint64_t ActiveSinceNs(MemberId id) override;

   private:
    friend class Network;
    Network& network_;
    const size_t machine_;
    const uint64_t life_;
    MachineClock& clock_;
    Scheduler::Queue& queue_;  // cleared when the process ends
    PeerSender self_;
    PeerHandler* handler_ = nullptr;
    std::map<MemberId, size_t> machines_;
    // Calls that wait for their answer. They end with the process, whoever else still knows of the call.
    std::map<uint64_t, Done> waiting_;
    uint64_t last_call_ = 0;

    void Answer(uint64_t call, const Status& status, std::string bytes);
  };

  // ---- faults ----
  void Cut(size_t from, size_t to, uint64_t until_ns);                          // one way
  void Slow(size_t from, size_t to, uint64_t delay_ns, uint64_t until_ns);      // delayed by up to that much more
  void Lossy(size_t from, size_t to, uint64_t percent, uint64_t until_ns);      // lost
  void Repeating(size_t from, size_t to, uint64_t percent, uint64_t until_ns);  // arrives twice, the second time late
  void Heal();                                                 // all links are as at the beginning, and lose nothing
  bool Disturbed() const;                                      // by any of these
  bool loses() const { return !quiet_ && loss_percent_ > 0; }  // by itself
  // Nobody fetches a state from there: what nobody could tell from a good one would spread.
  void SetGivesNoState(size_t machine, bool none) { gives_no_state_[machine] = none; }

 private:
  struct Link {
    uint64_t cut_until_ns = 0, slow_until_ns = 0, slow_ns = 0, lossy_until_ns = 0, loss_percent = 0;
    uint64_t repeating_until_ns = 0, repeat_percent = 0;
    uint64_t last_arrival_ns = 0;  // of what is in order
    uint64_t broken_ns = 0;        // when it was broken last
  };
  static constexpr size_t kNowhere = SIZE_MAX;
  Link& At(size_t from, size_t to) { return links_[from * ports_.size() + to]; }
  bool IsCut(size_t from, size_t to);
  // When something that leaves now arrives; nothing: never.
  std::optional<uint64_t> Arrival(size_t from, size_t to, bool in_order);
  // That life of that machine's end; null: it is over.
  Port* Find(size_t machine, uint64_t life) const {
    Port* const port = ports_[machine];
    return port != nullptr && port->life_ == life ? port : nullptr;
  }
  void Deliver(size_t from, size_t to, const PeerSender& sender, const std::string& bytes, uint64_t at_ns);

  Scheduler& scheduler_;
  Trace& trace_;
  Counts& counts_;
  Random random_;
  const uint64_t delay_ns_, loss_percent_, repeat_percent_;
  const bool in_order_;
  bool quiet_ = false;
  uint64_t lives_ = 0;
  std::vector<Port*> ports_;
  std::vector<Link> links_;
  std::vector<bool> gives_no_state_;
};

}  // namespace tenon::sim
