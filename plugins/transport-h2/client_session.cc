#include "plugins/transport-h2/client_session.h"

#include <charconv>
#include <cstring>
#include <utility>
#include <vector>

#include "kernel/base/check.h"
#include "plugins/transport-common/peer_wire.h"
#include "plugins/transport-h2/wire.h"

namespace tenon::transport_h2 {
namespace {

constexpr size_t kFillBytes = 256 * 1024;  // into one write, before the next connection has its turn
constexpr size_t kMaxMessageText = 4096;

int Number(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : -1;
}

// gRPC's table for an answer that is not gRPC's.
StatusCode OfHttp(int status) {
  switch (status) {
    case 400: return StatusCode::kInternal;
    case 401: return StatusCode::kUnauthenticated;
    case 403: return StatusCode::kPermissionDenied;
    case 404: return StatusCode::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504: return StatusCode::kUnavailable;
    default: return StatusCode::kUnknown;
  }
}

}  // namespace

void ClientStream::Header(std::string_view name, std::string_view value) {
  if (name == ":status") http_status_ = Number(value);
  if (name == "grpc-status") grpc_status_ = std::max(Number(value), 0);
  if (name == "grpc-message") grpc_message_ = PercentDecode(value.substr(0, kMaxMessageText));
}

Status ClientStream::Outcome() const {
  if (grpc_status_ > 0) return Status(static_cast<StatusCode>(grpc_status_), ToAbsl(grpc_message_));
  if (grpc_status_ == 0) return Ok();
  if (http_status_ != 0 && http_status_ != 200) {
    return Status(OfHttp(http_status_), ToAbsl(fmt::format("peer: it answered with HTTP status {}", http_status_)));
  }
  const char* code = nghttp2_http2_strerror(http2_error_);
  if (http2_error_ == NGHTTP2_REFUSED_STREAM) {
    return absl::UnavailableError(ToAbsl(fmt::format("peer: it did not take the request: {}", code)));
  }
  return absl::CancelledError(ToAbsl(fmt::format("peer: the answer broke off: {}", code)));
}

// What nghttp2 tells. A ClientStream is its stream's user data; of one that was cancelled there is none.
struct ClientSession::Callbacks {
  static ClientSession& Self(void* user) { return *static_cast<ClientSession*>(user); }
  static ClientStream* Find(nghttp2_session* session, int32_t stream) {
    return static_cast<ClientStream*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  static int Header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name, size_t name_n,
                    const uint8_t* value, size_t value_n, uint8_t, void*) {
    ClientStream* stream = Find(session, frame->hd.stream_id);
    if (stream == nullptr || frame->hd.type != NGHTTP2_HEADERS) return 0;
    stream->Header({reinterpret_cast<const char*>(name), name_n}, {reinterpret_cast<const char*>(value), value_n});
    return 0;
  }

  static int FrameReceived(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    ClientSession& self = Self(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: {
        ClientStream* stream = Find(session, frame->hd.stream_id);
        const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        if (stream != nullptr && !end && stream->http_status_ == 200) stream->Accepted();
        return 0;
      }
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 && self.owner_ != nullptr) self.owner_->Greeted();
        return 0;
      case NGHTTP2_PING: {
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 || self.owner_ == nullptr) return 0;
        uint64_t sent_ns;
        memcpy(&sent_ns, frame->ping.opaque_data, sizeof sent_ns);
        const uint64_t now = Loop::NowNs();
        if (sent_ns <= now) self.owner_->RoundTrip(now - sent_ns);
        return 0;
      }
      default: return 0;
    }
  }

  static int Data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* bytes, size_t n, void*) {
    if (ClientStream* stream = Find(session, id); stream != nullptr) stream->Data(bytes, n);
    return 0;
  }

  static int StreamClosed(nghttp2_session* session, int32_t id, uint32_t error, void*) {
    ClientStream* stream = Find(session, id);
    if (stream == nullptr) return 0;
    nghttp2_session_set_stream_user_data(session, id, nullptr);
    stream->http2_error_ = error;
    stream->Closed();
    return 0;
  }

  static int FrameSent(nghttp2_session* session, const nghttp2_frame* frame, void*) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (ClientStream* stream = Find(session, frame->hd.stream_id); stream != nullptr) stream->HeadersSent();
    return 0;
  }

  static ssize_t ReadBody(nghttp2_session* session, int32_t id, uint8_t*, size_t room, uint32_t* flags,
                          nghttp2_data_source*, void*) {
    ClientStream* stream = Find(session, id);
    return stream == nullptr ? static_cast<ssize_t>(NGHTTP2_ERR_DEFERRED) : stream->NextData(room, flags);
  }

  static int SendBody(nghttp2_session* session, nghttp2_frame* frame, const uint8_t* head, size_t n,
                      nghttp2_data_source*, void* user) {
    ClientSession& self = Self(user);
    constexpr size_t kFrameHead = 9;
    CHECK_EQ(frame->data.padlen, 0u);
    ClientStream* stream = Find(session, frame->hd.stream_id);
    CHECK(stream != nullptr);  // nothing lies between its NextData and this
    self.output_->Copy(head, kFrameHead);
    stream->SendData(n, self.output_);
    if (self.output_->bytes() < kFillBytes) return 0;
    self.paused_ = true;
    return NGHTTP2_ERR_PAUSE;
  }

  static nghttp2_session_callbacks* Make() {
    nghttp2_session_callbacks* made;
    CHECK(nghttp2_session_callbacks_new(&made) == 0);
    nghttp2_session_callbacks_set_on_header_callback(made, Header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, FrameReceived);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, Data);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, StreamClosed);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, FrameSent);
    nghttp2_session_callbacks_set_send_data_callback(made, SendBody);
    return made;
  }
};

ClientSession* ClientSession::On(Connection& connection, Owner* owner, uint64_t patience_ns) {
  auto* session = new ClientSession(connection, owner);
  connection.Speak(std::unique_ptr<Protocol>(session), patience_ns);
  return session;
}

ClientSession::ClientSession(Connection& connection, Owner* owner) : connection_(connection), owner_(owner) {
  static nghttp2_session_callbacks* const callbacks = Callbacks::Make();
  CHECK(nghttp2_session_client_new(&session_, callbacks, this) == 0);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                             {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, transport::kPeerStreamWindow}};
  CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0);
  CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, transport::kPeerConnectionWindow) == 0);
  ping_ = {.fire = [](void* self) { static_cast<ClientSession*>(self)->OnPingTime(); }, .self = this};
  OnPingTime();
}

ClientSession::~ClientSession() {
  Abort();
  nghttp2_session_del(session_);
}

bool ClientSession::Open(ClientStream* stream, const Fields& headers) {
  std::vector<nghttp2_nv> nv;
  nv.reserve(headers.size());
  for (const auto& [name, value] : headers) {
    const auto bytes = [](const std::string& s) { return reinterpret_cast<uint8_t*>(const_cast<char*>(s.data())); };
    nv.push_back({bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  stream->http_status_ = 0;
  stream->grpc_status_ = -1;
  stream->grpc_message_.clear();
  nghttp2_data_provider body{.source = {.ptr = nullptr}, .read_callback = Callbacks::ReadBody};
  stream->stream_id_ = nghttp2_submit_request(session_, nullptr, nv.data(), nv.size(), &body, stream);
  connection_.MarkDirty();
  return stream->stream_id_ > 0;
}

void ClientSession::Resume(ClientStream* stream) {
  nghttp2_session_resume_data(session_, stream->stream_id_);
  connection_.MarkDirty();
}

void ClientSession::Cancel(ClientStream* stream) {
  nghttp2_session_set_stream_user_data(session_, stream->stream_id_, nullptr);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream->stream_id_, NGHTTP2_CANCEL);
  connection_.MarkDirty();
}

void ClientSession::Close(std::string why) {
  if (why_.empty()) why_ = std::move(why);
  connection_.CloseAfterWriting();
}

void ClientSession::Abandon() {
  owner_ = nullptr;
  connection_.Close();
}

Protocol::Then ClientSession::Receive(const uint8_t* bytes, size_t n) {
  const ssize_t used = nghttp2_session_mem_recv(session_, bytes, n);
  if (used >= 0) return Then::kGoOn;
  Close(fmt::format("it does not speak HTTP/2 as it should: {}", nghttp2_strerror(static_cast<int>(used))));
  return Then::kClose;
}

Protocol::Then ClientSession::Fill(Output* output) {
  output_ = output;
  paused_ = false;
  bool failed = false;
  while (!paused_) {
    const uint8_t* bytes;
    const ssize_t n = nghttp2_session_mem_send(session_, &bytes);
    failed = n < 0;
    if (n <= 0) break;
    output->Copy(bytes, static_cast<size_t>(n));
  }
  output_ = nullptr;
  const bool over = nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
  return failed || over ? Then::kClose : Then::kGoOn;
}

// Asked each second; the answer is also how we know that the way there and the way back are whole. While the socket
// takes no more, the system watches over that (TCP_USER_TIMEOUT), and our question could not get through.
void ClientSession::OnPingTime() {
  const uint64_t now = loop().now_ns();
  if (!connection_.blocked() && connection_.last_read_ns() + transport::kSilenceNs <= now) {
    why_ = "it says nothing";
    return connection_.Close();
  }
  const uint64_t sent_ns = Loop::NowNs();
  uint8_t opaque[8];
  memcpy(opaque, &sent_ns, sizeof opaque);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, opaque);
  connection_.MarkDirty();
  loop().timers().Set(&ping_, now + transport::kPingNs);
}

void ClientSession::Abort() {
  loop().timers().Cancel(&ping_);
  Owner* owner = std::exchange(owner_, nullptr);
  if (owner == nullptr) return;
  if (why_.empty()) {
    why_ = connection_.error() == 0 ? "the connection was closed" : strerror(connection_.error());
  }
  owner->Gone(why_);
}

}  // namespace tenon::transport_h2
