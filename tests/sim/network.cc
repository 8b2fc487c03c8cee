#include "tests/sim/network.h"

#include <algorithm>

namespace tenon::sim {

Network::Network(Scheduler& scheduler, Trace& trace, Counts& counts, size_t machines, uint64_t seed)
    : scheduler_(scheduler),
      trace_(trace),
      counts_(counts),
      random_(seed),
      delay_ns_(random_.Between(50'000, 3'000'000)),
      loss_percent_(random_.Chance(50) ? 0 : random_.Below(6)),
      repeat_percent_(random_.Chance(50) ? 0 : random_.Below(6)),
      in_order_(random_.Chance(50)),
      ports_(machines, nullptr),
      links_(machines * machines),
      gives_no_state_(machines, false) {}

// ---- links ----

bool Network::IsCut(size_t from, size_t to) { return At(from, to).cut_until_ns > scheduler_.MonoNs(); }

std::optional<uint64_t> Network::Arrival(size_t from, size_t to, bool in_order) {
  Link& link = At(from, to);
  const uint64_t now = scheduler_.MonoNs();
  if (link.cut_until_ns > now) return std::nullopt;
  if (!quiet_ && random_.Chance(loss_percent_)) return std::nullopt;
  if (link.lossy_until_ns > now && random_.Chance(link.loss_percent)) return std::nullopt;
  uint64_t at = now + random_.Between(delay_ns_ / 4, delay_ns_);
  if (link.slow_until_ns > now) at += random_.Below(link.slow_ns);
  if (in_order) at = link.last_arrival_ns = std::max(at, link.last_arrival_ns + 1);
  return at;
}

void Network::Cut(size_t from, size_t to, uint64_t until_ns) {
  Link& link = At(from, to);
  link.cut_until_ns = std::max(link.cut_until_ns, until_ns);
  link.broken_ns = link.cut_until_ns;
}
void Network::Slow(size_t from, size_t to, uint64_t delay_ns, uint64_t until_ns) {
  At(from, to).slow_until_ns = until_ns;
  At(from, to).slow_ns = delay_ns;
}
void Network::Lossy(size_t from, size_t to, uint64_t percent, uint64_t until_ns) {
  At(from, to).lossy_until_ns = until_ns;
  At(from, to).loss_percent = percent;
}
void Network::Repeating(size_t from, size_t to, uint64_t percent, uint64_t until_ns) {
  At(from, to).repeating_until_ns = until_ns;
  At(from, to).repeat_percent = percent;
}
void Network::Heal() {
  quiet_ = true;
  for (Link& link : links_) link = Link{.last_arrival_ns = link.last_arrival_ns, .broken_ns = scheduler_.MonoNs()};
}

bool Network::Disturbed() const {
  const uint64_t now = scheduler_.MonoNs();
  return std::any_of(links_.begin(), links_.end(), [&](const Link& l) {
    return std::max({l.cut_until_ns, l.slow_until_ns, l.lossy_until_ns, l.repeating_until_ns}) > now;
  });
}

void Network::Deliver(size_t from, size_t to, const PeerSender& sender, const std::string& bytes, uint64_t at_ns) {
  const uint64_t now = scheduler_.MonoNs();
  Port* const port = ports_[to];
  if (port == nullptr) return;
  port->queue_.PostAt(at_ns, [this, port, sender, bytes, from, to, now] {
    trace_.Add(from * 16 + to);
    trace_.Add(now);
    if (port->handler_ != nullptr) port->handler_->Deliver(sender, bytes).IgnoreError();
  });
}

// ---- one member's end ----

Network::Port::Port(Network& network, size_t machine, MachineClock& clock, Scheduler::Queue& queue)
    : network_(network), machine_(machine), life_(++network.lives_), clock_(clock), queue_(queue) {
  network_.ports_[machine] = this;
}

Network::Port::~Port() {
  network_.ports_[machine_] = nullptr;
  for (size_t other = 0; other < network_.ports_.size(); other++) {
    uint64_t& broken = network_.At(other, machine_).broken_ns;
    broken = std::max(broken, network_.scheduler_.MonoNs());
  }
}

void Network::Port::Set(MemberId id, const std::vector<std::string>& urls) {
  machines_.erase(id);
  for (size_t m = 0; m < network_.ports_.size(); m++) {
    if (std::find(urls.begin(), urls.end(), UrlOf(m)) != urls.end()) machines_[id] = m;
  }
}

void Network::Port::Send(std::vector<PeerMessage> messages) {
  for (const PeerMessage& message : messages) {
    const auto found = machines_.find(message.to);
    if (found == machines_.end()) continue;
    const size_t to = found->second;
    std::string scratch;
    const std::string bytes(message.bytes.Flatten(scratch));
    const std::optional<uint64_t> at = network_.Arrival(machine_, to, network_.in_order_ && !message.urgent);
    if (!at || network_.ports_[to] == nullptr) {
      network_.counts_.messages_lost++;
      // The sender may hear of it, or not.
      if (network_.random_.Chance(30)) {
        queue_.PostAfter(network_.random_.Below(20'000'000), [this, id = message.to] {
          if (handler_ != nullptr) handler_->Unreachable(id);
        });
      }
      continue;
    }
    network_.counts_.messages++;
    network_.Deliver(machine_, to, self_, bytes, *at);
    Link& link = network_.At(machine_, to);
    const bool repeats = link.repeating_until_ns > network_.scheduler_.MonoNs();
    const uint64_t percent = repeats ? link.repeat_percent : network_.quiet_ ? 0 : network_.repeat_percent_;
    if (network_.random_.Chance(percent)) {
      network_.counts_.messages_repeated++;
      network_.Deliver(machine_, to, self_, bytes, *at + network_.random_.Below(2'000'000'000));
    }
  }
}

void Network::Port::Call(MemberId to, std::string_view url, std::string_view method, std::string request,
                         uint64_t timeout_ns, Done done) {
  network_.counts_.calls++;
  const uint64_t call = ++last_call_;
  waiting_[call] = std::move(done);
  const auto answer = [this, call](const Status& status, std::string bytes) { Answer(call, status, std::move(bytes)); };
  size_t there = kNowhere;
  if (const auto found = machines_.find(to); found != machines_.end()) there = found->second;
  for (size_t m = 0; to == 0 && m < network_.ports_.size(); m++) {
    if (UrlOf(m) == url) there = m;
  }
  Random& random = network_.random_;
  if (there != kNowhere && method == "OpenState" && network_.gives_no_state_[there]) there = kNowhere;
  if (there == kNowhere || (network_.ports_[there] == nullptr && random.Chance(80))) {
    return queue_.PostAfter(random.Below(5'000'000), [answer] { answer(absl::UnavailableError("not connected"), {}); });
  }
  queue_.PostAfter(timeout_ns, [answer] { answer(absl::DeadlineExceededError("no answer in time"), {}); });
  const std::optional<uint64_t> at = network_.Arrival(machine_, there, false);
  Port* const other = network_.ports_[there];
  if (!at || other == nullptr) {
    if (random.Chance(30)) {
      queue_.PostAfter(random.Below(300'000'000), [answer] { answer(absl::CancelledError("connection lost"), {}); });
    }
    return;
  }
  // Answers come on whatever thread of the other side, and cross the network to a queue that may be gone by then.
  const auto back = [network = &network_, here = machine_, life = life_, there, call](const Status& status,
                                                                                      std::string bytes) {
    const std::optional<uint64_t> arrival = network->Arrival(there, here, false);
    Port* const me = network->Find(here, life);
    if (!arrival || me == nullptr) return;
    me->queue_.PostAt(*arrival, [me, call, status, bytes = std::move(bytes)] { me->Answer(call, status, bytes); });
  };
  other->queue_.PostAt(*at, [other, sender = self_, method = std::string(method), request = std::move(request), back] {
    if (other->handler_ == nullptr) return;
    other->handler_->Call(sender, method, request, [back](Status status, std::string bytes) { back(status, bytes); });
  });
}

// One answer, whoever is first: the other side, the clock, or a connection that broke.
void Network::Port::Answer(uint64_t call, const Status& status, std::string bytes) {
  const auto waits = waiting_.find(call);
  if (waits == waiting_.end()) return;
  Done done = std::move(waits->second);
  waiting_.erase(waits);
  done(status, std::move(bytes));
}

uint64_t Network::Port::ActiveSinceNs(MemberId id) {
  const auto found = machines_.find(id);
  if (found == machines_.end()) return 0;
  const size_t to = found->second;
  if (network_.ports_[to] == nullptr || network_.IsCut(machine_, to) || network_.IsCut(to, machine_)) return 0;
  const uint64_t since = std::max(network_.At(machine_, to).broken_ns, network_.At(to, machine_).broken_ns);
  return clock_.At(std::max<uint64_t>(since, 1'000'000'000));
}

}  // namespace tenon::sim
