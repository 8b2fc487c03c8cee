#include "plugins/transport-common/peer_client.h"

#include <algorithm>
#include <utility>

#include "plugins/transport-common/peer_call.h"
#include "plugins/transport-common/peer_link.h"
#include "plugins/transport-common/peer_wire.h"
#include "plugins/transport-common/slice.h"

namespace tenon::transport {
namespace {

// Of the mailbox: more than all queues of a large cluster would take.
constexpr size_t kMaxLetters = 16 * kMaxQueuedMessages;
constexpr size_t kMaxMailBytes = 4 * kMaxQueuedBytes;

Result<Address> ParsePeerUrl(std::string_view url) {
  ASSIGN_OR_RETURN(Address address, ParseUrl(url));
  if (address.tls) {
    return absl::UnimplementedError(
        ToAbsl(fmt::format("TLS between members is not built yet: {} cannot be dialled", url)));
  }
  return address;
}

}  // namespace

PeerClient::PeerClient(const tenon_host* host, const tenon_host_peer_v1* peer, const PeerMetrics& metrics)
    : host_(host),
      peer_(peer),
      exec_(static_cast<const tenon_host_exec_v1*>(host->get(host, TENON_HOST_EXEC))),
      metrics_(metrics) {}

PeerClient::~PeerClient() {
  for (const Letter& letter : mail_.letters) TENON_RELEASE(letter.bytes);
}

// ---- what other threads want ----------------------------------------------------------------------------------------

template <class F>
void PeerClient::Post(F fill) {
  bool post;
  {
    std::lock_guard lock(mutex_);
    fill();
    post = !std::exchange(posted_, true);
  }
  if (post) loop_->Run([this] { EmptyMailbox(); });
}

Status PeerClient::SetPeer(uint64_t id, const tenon_slice* urls, size_t n) {
  Change change{id, {}};
  for (size_t i = 0; i < n; ++i) {
    ASSIGN_OR_RETURN(Address address, ParsePeerUrl(View(urls[i])));
    change.addresses.push_back(std::move(address));
  }
  Post([&] { mail_.changes.push_back(std::move(change)); });
  return Ok();
}

void PeerClient::Send(tenon_peer_msg* messages, size_t n) {
  size_t kept = n;
  Post([&] {
    for (size_t i = 0; i < n; ++i) {
      const tenon_peer_msg& m = messages[i];
      const size_t bytes = Length(m.bytes);
      if (mail_.letters.size() >= kMaxLetters || mail_bytes_ > kMaxMailBytes) {
        full_.push_back(m.to);
        kept = std::min(kept, i);
        continue;
      }
      mail_bytes_ += bytes;
      mail_.letters.push_back({m.to, m.priority != 0, m.bytes});
    }
  });
  for (size_t i = kept; i < n; ++i) TENON_RELEASE(messages[i].bytes);  // once full, it stays so under that lock
}

void PeerClient::Call(uint64_t to, std::string_view url, std::string_view method, tenon_bufs request,
                      int64_t timeout_ns, tenon_done done) {
  const uint64_t deadline_ns = timeout_ns <= 0 ? UINT64_MAX : MonoNs() + static_cast<uint64_t>(timeout_ns);
  Wish wish{to, {}, loop_->NewCall(std::string(method), request, deadline_ns, done)};
  if (to == 0) {
    Result<Address> address = ParsePeerUrl(url);
    if (!address.ok()) return loop_->Run([call = wish.call, why = address.status()] { call->Fail(why); });
    wish.address = *std::move(address);
  }
  Post([&] { mail_.calls.push_back(std::move(wish)); });
}

uint64_t PeerClient::ActiveSinceNs(uint64_t id) {
  std::lock_guard lock(active_mutex_);
  const auto found = active_since_ns_.find(id);
  return found == active_since_ns_.end() ? 0 : found->second;
}

void PeerClient::Drain() {
  loop_->Run([this] {
    draining_ = true;
    for (auto& [id, member] : members_) {
      member.urgent->Drain();
      member.bulk->Drain();
    }
    const auto guests = guests_;
    for (const auto& guest : guests) guest->Drain();
  });
}

// ---- the loop carries it out ----------------------------------------------------------------------------------------

// Changes first: what is sent to a new member behind set_peer shall find it.
void PeerClient::EmptyMailbox() {
  std::vector<uint64_t> full;
  {
    std::lock_guard lock(mutex_);
    posted_ = false;
    std::swap(taken_, mail_);
    std::swap(full, full_);
    mail_bytes_ = 0;
  }
  for (Change& change : taken_.changes) Apply(std::move(change));
  for (const Letter& letter : taken_.letters) Deliver(letter);
  for (const Wish& wish : taken_.calls) Carry(wish);
  for (const uint64_t id : full) {
    CountFailures(id, 1);
    Lost(id);
  }
  taken_.changes.clear();
  taken_.letters.clear();
  taken_.calls.clear();
}

PeerClient::Member* PeerClient::Find(uint64_t id) {
  const auto found = members_.find(id);
  return found == members_.end() ? nullptr : &found->second;
}

void PeerClient::Apply(Change change) {
  if (draining_) return;
  Member* member = Find(change.id);
  if (change.addresses.empty()) {
    if (member == nullptr) return;
    member->urgent->Close("it is no member any more");
    member->bulk->Close("it is no member any more");
    members_.erase(change.id);
    return;
  }
  if (member == nullptr) {
    uint64_t cluster_id = 0, self = 0;
    Self(&cluster_id, &self);
    member = &members_[change.id];
    *member = {loop_->NewLink(*this, change.id, true), loop_->NewLink(*this, change.id, false),
               metrics_.To(self, change.id)};
  }
  member->urgent->SetAddresses(change.addresses);
  member->bulk->SetAddresses(std::move(change.addresses));
}

void PeerClient::Deliver(const Letter& letter) {
  Member* member = Find(letter.to);
  if (member == nullptr) {
    TENON_RELEASE(letter.bytes);
    return Lost(letter.to);
  }
  (letter.urgent ? member->urgent : member->bulk)->Send(letter.bytes);
}

void PeerClient::Carry(const Wish& wish) {
  if (draining_) return wish.call->Fail(absl::UnavailableError("peer: this member is stopping"));
  if (wish.to == 0) {
    const std::shared_ptr<PeerLink> guest = guests_.emplace_back(loop_->NewLink(*this, 0, true));
    return guest->CallAt(wish.address, wish.call);
  }
  Member* member = Find(wish.to);
  if (member == nullptr) {
    return wish.call->Fail(absl::UnavailableError(ToAbsl(fmt::format("peer: there is no member {:x}", wish.to))));
  }
  (IsBulkCall(wish.call->method()) ? member->bulk : member->urgent)->Call(wish.call);
}

void PeerClient::Resolve(const Address& address, std::function<void(const Result<std::vector<Endpoint>>&)> then) {
  struct Question {
    PeerClient& client;
    Address address;
    std::function<void(const Result<std::vector<Endpoint>>&)> then;
  };
  const auto ask = [](void* ctx) {
    const std::unique_ptr<Question> question(static_cast<Question*>(ctx));
    PeerLoop& loop = question->client.loop();
    auto found = std::make_shared<Result<std::vector<Endpoint>>>(transport::Resolve(question->address));
    loop.Run([&loop, found, then = std::move(question->then)] {
      loop.ExchangeEnded();
      then(*found);
    });
  };
  auto* question = new Question{*this, address, std::move(then)};
  loop_->ExchangeBegan();  // the loop waits for the answer
  if (exec_ == nullptr || exec_->post(host_, 0, ask, question) != TENON_OK) ask(question);
}

void PeerClient::GuestEnded(PeerLink* link) {
  std::erase_if(guests_, [link](const auto& guest) { return guest.get() == link; });
}

// ---- what the kernel hears ------------------------------------------------------------------------------------------

void PeerClient::SetActive(uint64_t id, uint64_t since_ns) {
  if (Member* member = Find(id); member != nullptr) metrics_.Add(member->metrics.active, 1);
  std::lock_guard lock(active_mutex_);
  active_since_ns_[id] = since_ns;
}

void PeerClient::SetInactive(uint64_t id) {
  if (Member* member = Find(id); member != nullptr) {
    metrics_.Add(member->metrics.active, -1);
    metrics_.Add(member->metrics.broken, 1);
  }
  std::lock_guard lock(active_mutex_);
  active_since_ns_.erase(id);
}

void PeerClient::Lost(uint64_t id) {
  if (std::find(lost_.begin(), lost_.end(), id) != lost_.end()) return;
  lost_.push_back(id);
  if (lost_.size() == 1) loop_->Run([this] { Report(); });
}

void PeerClient::Report() {
  for (const uint64_t id : std::exchange(lost_, {})) peer_->unreachable(host_, id);
}

void PeerClient::CountSent(uint64_t id, size_t bytes) {
  if (Member* member = Find(id); member != nullptr) metrics_.Add(member->metrics.bytes, static_cast<double>(bytes));
}

void PeerClient::CountFailures(uint64_t id, size_t messages) {
  Member* member = Find(id);
  if (member != nullptr) metrics_.Add(member->metrics.failures, static_cast<double>(messages));
}

void PeerClient::CountRoundTrip(uint64_t id, uint64_t ns) {
  if (Member* member = Find(id); member != nullptr)
    metrics_.Observe(member->metrics.round_trip, static_cast<double>(ns) * 1e-9);
}

}  // namespace tenon::transport
