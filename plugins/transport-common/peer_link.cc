#include "plugins/transport-common/peer_link.h"

#include <algorithm>
#include <utility>

#include "plugins/transport-common/peer_call.h"
#include "plugins/transport-common/peer_loop.h"
#include "plugins/transport-common/peer_wire.h"

namespace tenon::transport {
namespace {

std::string HostPort(const Address& to) {
  if (to.local) return "localhost";
  if (to.host.find(':') != std::string::npos) return fmt::format("[{}]:{}", to.host, to.port);
  return fmt::format("{}:{}", to.host, to.port);
}

}  // namespace

PeerLink::PeerLink(PeerClient& client, uint64_t id, bool urgent)
    : client_(client),
      id_(id),
      urgent_(urgent),
      backoff_ns_(kFirstBackoffNs),
      news_(client.host()),
      trouble_(client.host()) {
  redial_ = {.fire = [](void* self) { static_cast<PeerLink*>(self)->Dial(); }, .self = this};
}

std::string PeerLink::Where() const {
  const Address& to = address();
  return fmt::format("{}://{}", to.scheme, to.local ? to.host : HostPort(to));
}

std::string PeerLink::Authority() const { return HostPort(address()); }

// ---- to be connected ------------------------------------------------------------------------------------------------

void PeerLink::SetAddresses(std::vector<Address> addresses) {
  const auto same = [](const Address& a, const Address& b) {
    return a.local == b.local && a.host == b.host && a.port == b.port;
  };
  if (connected_) {
    const auto now =
        std::find_if(addresses.begin(), addresses.end(), [&](const Address& a) { return same(a, address()); });
    if (now != addresses.end()) {
      attempt_ = static_cast<size_t>(now - addresses.begin());
      addresses_ = std::move(addresses);
      return;
    }
    Close("its addresses changed");
  }
  addresses_ = std::move(addresses);
  attempt_ = 0;
  backoff_ns_ = kFirstBackoffNs;
  if (!loop().draining() && !draining_) Dial();
}

void PeerLink::Dial() {
  loop().timers().Cancel(&redial_);
  state_ = State::kConnecting;
  ++dials_;
  uint64_t cluster_id = 0, member_id = 0;
  client_.Self(&cluster_id, &member_id);
  if (id_ != 0 && cluster_id == 0) return Failed("this member does not know its cluster yet");
  const auto endpoints = ResolveNow(address());
  if (!absl::IsNotFound(endpoints.status())) return Resolved(endpoints);
  // A name. Whether we are still there, and still want to know, shows when the answer comes.
  client_.Resolve(address(), [weak = weak_from_this(), dial = dials_](const auto& found) {
    const std::shared_ptr<PeerLink> link = weak.lock();
    if (link != nullptr && link->state_ == State::kConnecting && link->dials_ == dial) link->Resolved(found);
  });
}

void PeerLink::Resolved(const Result<std::vector<Endpoint>>& endpoints) {
  if (!endpoints.ok()) return Failed(std::string(tenon::Message(endpoints.status())));
  const size_t round = attempt_ / addresses_.size();
  const Result<int> fd = transport::Dial((*endpoints)[round % endpoints->size()]);
  if (!fd.ok()) return Failed(std::string(tenon::Message(fd.status())));
  connected_ = true;
  stream_open_ = id_ != 0;
  Begin(*fd);
}

std::vector<std::pair<std::string_view, std::string>> PeerLink::Metadata() const {
  uint64_t cluster_id = 0, member_id = 0;
  client_.Self(&cluster_id, &member_id);
  return {{kClusterKey, PeerId(cluster_id)}, {kFromKey, PeerId(member_id)}, {kToKey, PeerId(id_)}};
}

void PeerLink::Ready() {
  if (state_ != State::kConnecting) return;
  state_ = State::kReady;
  Answered();
  backoff_ns_ = kFirstBackoffNs;
  if (id_ != 0) {
    if (urgent_) client_.SetActive(id_, loop().now_ns());
    news_.Info("connected to a peer", {{"remote-member-id", PeerId(id_)},
                                       {"remote-url", Where()},
                                       {"for", urgent_ ? "urgent messages" : "entries and state"}});
  }
  const std::vector<PeerCall*> calls = calls_;
  for (PeerCall* call : calls) Transmit(call);
  EndIfDrained();
}

// ---- and not to be --------------------------------------------------------------------------------------------------

void PeerLink::StreamEnded(const Status& said) {
  stream_open_ = false;
  // Wrong cluster, wrong member, removed: that will not be better so soon.
  const bool refused = !said.ok() && !absl::IsUnavailable(said) && !absl::IsCancelled(said);
  if (refused) backoff_ns_ = kMaxBackoffNs;
  if (draining_ && said.ok()) return EndIfDrained();
  Finish(said.ok() ? "it ended the stream" : std::string(tenon::Message(said)));
}

void PeerLink::Broke(const std::string& why) {
  connected_ = false;
  stream_open_ = false;
  Failed(why);
}

void PeerLink::Failed(const std::string& why) {
  const std::shared_ptr<PeerLink> alive = shared_from_this();
  const bool was_ready = state_ == State::kReady;
  const bool over = draining_ || id_ == 0;
  state_ = over ? State::kIdle : State::kWaiting;
  if (id_ != 0 && !draining_) {
    trouble_.Warn(was_ready ? "lost the connection to a peer" : "cannot connect to a peer",
                  {{"remote-member-id", PeerId(id_)}, {"remote-url", Where()}, {"error", why}});
  }
  if (was_ready && urgent_ && id_ != 0) client_.SetInactive(id_);
  if (was_ready && !over) client_.Lost(id_);
  DropAll(why);
  if (id_ == 0) client_.GuestEnded(this);
  if (over) return;
  ++attempt_;
  loop().timers().Set(&redial_, loop().now_ns() + backoff_ns_);
  backoff_ns_ = std::min(2 * backoff_ns_, kMaxBackoffNs);
}

// All that waits is lost: the messages, and the calls that a connection carried or was to carry.
void PeerLink::DropAll(const std::string& why) {
  client_.CountFailures(id_, queued_);
  if (queued_ > 0) client_.Lost(id_);
  DropQueue();
  queued_ = queued_bytes_ = 0;
  const Status lost = absl::UnavailableError(ToAbsl(fmt::format("peer: {}: {}", Where(), why)));
  for (PeerCall* call : std::exchange(calls_, {})) call->Lost(lost);
}

void PeerLink::Close(const char* why) {
  const std::shared_ptr<PeerLink> alive = shared_from_this();
  loop().timers().Cancel(&redial_);
  const bool was_ready = state_ == State::kReady;
  state_ = State::kIdle;
  stream_open_ = false;
  if (std::exchange(connected_, false)) Abandon();
  if (was_ready && urgent_ && id_ != 0) client_.SetInactive(id_);
  if (!addresses_.empty()) DropAll(why);
}

void PeerLink::Drain() {
  if (std::exchange(draining_, true)) return;
  if (state_ != State::kReady) return Close("this member is stopping");
  if (stream_open_) Resume();
  EndIfDrained();
}

void PeerLink::EndIfDrained() {
  if ((draining_ || id_ == 0) && connected_ && calls_.empty() && !stream_open_) Finish("done");
}

// ---- what is sent ---------------------------------------------------------------------------------------------------

void PeerLink::Send(tenon_bufs message) {
  constexpr size_t kPrefix = 5;
  const size_t bytes = Length(message) + kPrefix;
  const bool open = (state_ == State::kConnecting || state_ == State::kReady) && !draining_;
  const bool full = queued_ >= kMaxQueuedMessages || (queued_ > 0 && queued_bytes_ + bytes > kMaxQueuedBytes);
  if (!open || full || bytes > kMaxPeerMessage) {
    client_.CountFailures(id_, 1);
    client_.Lost(id_);
    TENON_RELEASE(message);
    return;
  }
  ++queued_;
  queued_bytes_ += bytes;
  Queue(message);
  if (stream_open_) Resume();
}

void PeerLink::Call(PeerCall* call) {
  if ((state_ != State::kConnecting && state_ != State::kReady) || draining_) {
    return call->Fail(absl::UnavailableError(
        ToAbsl(fmt::format("peer: member {:x} is not reachable: {}", id_, draining_ ? "we are stopping" : Where()))));
  }
  calls_.push_back(call);
  call->BelongTo(this);
  if (state_ == State::kReady) Transmit(call);
}

void PeerLink::CallAt(const Address& address, PeerCall* call) {
  calls_.push_back(call);
  call->BelongTo(this);
  SetAddresses({address});
}

void PeerLink::CallEnded(PeerCall* call) {
  std::erase(calls_, call);
  EndIfDrained();
}

}  // namespace tenon::transport
