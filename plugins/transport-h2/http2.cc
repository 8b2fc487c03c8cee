#include "plugins/transport-h2/http2.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernel/base/check.h"
#include "plugins/transport-h2/call.h"

namespace tenon::transport_h2 {
namespace {

constexpr int kMaxPingStrikes = 2;                           // grpc-go's
constexpr uint64_t kPingWithoutCallsNs = 7'200'000'000'000;  // grpc-go's
constexpr uint64_t kHearsNs = 100'000'000;                   // a client that looks at its connection, and is not near
constexpr uint8_t kGoawayPing[8] = {1, 6, 1, 8, 0, 3, 3, 9};

constexpr size_t kFillBytes = 256 * 1024;  // into one write, before the next connection has its turn
constexpr int32_t kConnectionWindow = 16 << 20;
constexpr size_t kMaxOrphans = 256;
constexpr size_t kMaxOutboundFrames = 2048;
constexpr size_t kMemory = 64 << 20;  // beside what one request of the largest size needs
constexpr uint32_t kMaxHeaderList = 64 * 1024;

}  // namespace

bool TokenBucket::Take(uint64_t now_ns) {
  if (filled_ns_ != 0) {
    tokens_ = std::min<double>(burst_, tokens_ + static_cast<double>(now_ns - filled_ns_) * 1e-9 * per_second_);
  }
  filled_ns_ = now_ns;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

// What nghttp2 tells. A Call is its stream's user data.
struct Http2::Callbacks {
  static Http2& Self(void* user) { return *static_cast<Http2*>(user); }
  static Call* Find(nghttp2_session* session, int32_t stream) {
    return static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  static int BeginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    Http2& self = Self(user);
    if (!self.Charge(Call::kCharge)) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
      return 0;
    }
    Call* call = self.loop().NewCall();
    call->Open(&self, frame->hd.stream_id);
    call->next_call = self.calls_;
    if (self.calls_ != nullptr) self.calls_->previous_call = call;
    self.calls_ = call;
    ++self.streams_;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    return 0;
  }

  static int Header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name, size_t name_n,
                    const uint8_t* value, size_t value_n, uint8_t, void* user) {
    Call* call = Find(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    switch (call->AddField({reinterpret_cast<const char*>(name), name_n},
                           {reinterpret_cast<const char*>(value), value_n}, kMaxHeaderList)) {
      case Call::Add::kOk: return 0;
      case Call::Add::kMalformed: return Malformed(session, frame->hd.stream_id);
      case Call::Add::kFarTooLarge: Self(user).Punish("header_list_too_large"); return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  // From then on nghttp2 passes over what comes on the stream.
  static int Malformed(nghttp2_session* session, int32_t stream) {
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int FrameReceived(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Http2& self = Self(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
      case NGHTTP2_DATA: {
        bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        if (frame->hd.type == NGHTTP2_DATA && frame->hd.length == 0 && !end) self.OnIdleFrame();
        Call* call = Find(session, frame->hd.stream_id);
        if (call == nullptr) return 0;
        RequestRules& rules = call->rules();
        if ((frame->hd.type == NGHTTP2_HEADERS && !rules.EndOfFields(end)) || (end && !rules.EndOfStream())) {
          Malformed(session, frame->hd.stream_id);
          return 0;
        }
        if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) call->HeadersDone();
        if (end) call->EndOfRequest();
        return 0;
      }
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
          self.OnPing();
        } else if (self.draining_ && memcmp(frame->ping.opaque_data, kGoawayPing, sizeof kGoawayPing) == 0) {
          self.FinalGoaway();
        }
        return 0;
      case NGHTTP2_SETTINGS: self.connection_.Greeted(); [[fallthrough]];
      case NGHTTP2_PRIORITY: self.OnIdleFrame(); return 0;
      default: return 0;
    }
  }

  static int Data(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t* bytes, size_t n, void*) {
    nghttp2_session_consume_connection(session, n);
    Call* call = Find(session, stream);
    if (call == nullptr) {
      nghttp2_session_consume_stream(session, stream, n);
    } else if (call->rules().Data(n)) {
      call->Data(bytes, n);
    } else {
      Malformed(session, stream);
    }
    return 0;
  }

  static int StreamClosed(nghttp2_session* session, int32_t stream, uint32_t, void* user) {
    Http2& self = Self(user);
    Call* call = Find(session, stream);
    if (call == nullptr) return 0;
    nghttp2_session_set_stream_user_data(session, stream, nullptr);
    --self.streams_;
    call->StreamClosed();
    return 0;
  }

  static int FrameSent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Http2& self = Self(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
      case NGHTTP2_DATA:
        self.sent_since_ping_ = true;
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
        // The answer is complete. A client that still sends its request need not go on.
        if (nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0) {
          nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
        }
        return 0;
      case NGHTTP2_RST_STREAM:
        // What a client must do to make us reset its streams costs it little and us a call each: so not too often.
        switch (frame->rst_stream.error_code) {
          case NGHTTP2_PROTOCOL_ERROR:
          case NGHTTP2_FLOW_CONTROL_ERROR:
          case NGHTTP2_STREAM_CLOSED:
          case NGHTTP2_FRAME_SIZE_ERROR:
            if (!self.resets_.Take(self.loop().now_ns())) self.Punish("too_many_errors");
        }
        return 0;
      default: return 0;
    }
  }

  static ssize_t ReadBody(nghttp2_session*, int32_t, uint8_t*, size_t room, uint32_t* flags,
                          nghttp2_data_source* source, void*) {
    return static_cast<Call*>(source->ptr)->NextData(room, flags);
  }

  static int SendBody(nghttp2_session*, nghttp2_frame* frame, const uint8_t* head, size_t n,
                      nghttp2_data_source* source, void* user) {
    Http2& self = Self(user);
    constexpr size_t kFrameHead = 9;
    CHECK_EQ(frame->data.padlen, 0u);
    self.output_->Copy(head, kFrameHead);
    static_cast<Call*>(source->ptr)->SendData(n, self.output_);
    if (self.output_->bytes() < kFillBytes) return 0;
    self.paused_ = true;
    return NGHTTP2_ERR_PAUSE;
  }

  static nghttp2_session_callbacks* Make() {
    nghttp2_session_callbacks* made;
    CHECK(nghttp2_session_callbacks_new(&made) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, BeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(made, Header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, FrameReceived);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, Data);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, StreamClosed);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, FrameSent);
    nghttp2_session_callbacks_set_send_data_callback(made, SendBody);
    return made;
  }

  static nghttp2_option* MakeOption() {
    nghttp2_option* made;
    CHECK(nghttp2_option_new(&made) == 0);
    nghttp2_option_set_no_auto_window_update(made, 1);
    nghttp2_option_set_no_recv_client_magic(made, 0);
    nghttp2_option_set_no_closed_streams(made, 1);
    nghttp2_option_set_no_http_messaging(made, 1);  // RequestRules
    nghttp2_option_set_stream_reset_rate_limit(made, 1000, 200);
    nghttp2_option_set_max_continuations(made, 8);
    nghttp2_option_set_max_outbound_ack(made, 1000);
    return made;
  }
};

nghttp2_data_source_read_callback Http2::ReadBody() { return &Callbacks::ReadBody; }

Http2::Http2(Connection& connection) : connection_(connection), resets_(100, 10), idle_frames_(1000, 500) {
  static nghttp2_session_callbacks* const callbacks = Callbacks::Make();
  static nghttp2_option* const option = Callbacks::MakeOption();
  SessionMemory& memory = loop().session_memory();
  CHECK(nghttp2_session_server_new3(&session_, callbacks, this, option, memory.Begin()) == 0);
  memory.End();
  const Options& options = loop().shared().options;
  nghttp2_settings_entry settings[3] = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(options.stream_window_bytes)},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMaxHeaderList}};
  size_t n = 2;
  if (options.max_concurrent_streams < UINT32_MAX) {
    settings[n++] = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<uint32_t>(options.max_concurrent_streams)};
  }
  CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, n) == 0);
  CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow) == 0);
  keepalive_ = {.fire = [](void* self) { static_cast<Http2*>(self)->OnKeepalive(); }, .self = this};
  goaway_ = {.fire = [](void* self) { static_cast<Http2*>(self)->FinalGoaway(); }, .self = this};
  loop().timers().Set(&keepalive_, loop().now_ns() + static_cast<uint64_t>(options.keepalive_interval_ns));
}

Http2::~Http2() {
  Abort();
  nghttp2_session_del(session_);
}

Protocol::Then Http2::Receive(const uint8_t* bytes, size_t n) {
  ssize_t used = nghttp2_session_mem_recv(session_, bytes, n);
  if (used < 0) {
    // nghttp2 has a GOAWAY ready for what it calls a protocol error; for a flood there is nothing more to say.
    return Then::kClose;
  }
  return Then::kGoOn;
}

Protocol::Then Http2::Fill(Output* output) {
  output_ = output;
  paused_ = false;
  bool failed = false;
  while (!paused_) {
    const uint8_t* bytes;
    ssize_t n = nghttp2_session_mem_send(session_, &bytes);
    failed = n < 0;
    if (n <= 0) break;
    output->Copy(bytes, static_cast<size_t>(n));
  }
  output_ = nullptr;
  if (failed) return Then::kClose;
  bool over = nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
  return over ? Then::kClose : Then::kGoOn;
}

bool Http2::WantsInput() const {
  return orphans_ < kMaxOrphans && nghttp2_session_get_outbound_queue_size(session_) < kMaxOutboundFrames;
}

bool Http2::Charge(size_t bytes) {
  if (charged_ + bytes > kMemory + connection_.loop().shared().options.max_message_bytes()) return false;
  charged_ += bytes;
  return true;
}

void Http2::OrphanEnded() {
  if (orphans_-- == kMaxOrphans) MarkDirty();  // to be heard again
}

void Http2::Unlink(Call* call) {
  (call->previous_call == nullptr ? calls_ : call->previous_call->next_call) = call->next_call;
  if (call->next_call != nullptr) call->next_call->previous_call = call->previous_call;
  call->next_call = call->previous_call = nullptr;
}

void Http2::Abort() {
  loop().timers().Cancel(&keepalive_);
  loop().timers().Cancel(&goaway_);
  while (calls_ != nullptr) {
    Call* call = calls_;
    Unlink(call);
    call->ConnectionClosed();
  }
}

// ---- manners --------------------------------------------------------------------------------------------------------

void Http2::OnPing() {
  uint64_t now = loop().now_ns();
  uint64_t before = std::exchange(last_ping_ns_, now);
  if (std::exchange(sent_since_ping_, false)) {
    ping_strikes_ = 0;
    return;
  }
  uint64_t least =
      streams_ > 0 ? static_cast<uint64_t>(loop().shared().options.keepalive_min_time_ns) : kPingWithoutCallsNs;
  if (before != 0 && before + least > now) ++ping_strikes_;
  if (ping_strikes_ > kMaxPingStrikes) Punish("too_many_pings");
}

void Http2::OnIdleFrame() {
  if (!idle_frames_.Take(loop().now_ns())) Punish("too_many_frames");
}

void Http2::Punish(const char* why) {
  if (std::exchange(punished_, true)) return;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_ENHANCE_YOUR_CALM, reinterpret_cast<const uint8_t*>(why), strlen(why));
  connection_.CloseAfterWriting();
}

// The client's silence is measured from the last byte it sent, as grpc-go does.
void Http2::OnKeepalive() {
  const Options& options = loop().shared().options;
  uint64_t now = loop().now_ns(), heard = connection_.last_read_ns();
  auto interval = static_cast<uint64_t>(options.keepalive_interval_ns);
  auto timeout = static_cast<uint64_t>(options.keepalive_timeout_ns);
  if (heard + interval > now) {
    ping_outstanding_ = false;
    return loop().timers().Set(&keepalive_, heard + interval);
  }
  if (!ping_outstanding_ || heard > pinged_ns_) {
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    ping_outstanding_ = true;
    pinged_ns_ = now;
    MarkDirty();
  } else if (pinged_ns_ + timeout <= now) {
    return connection_.Close();
  }
  loop().timers().Set(&keepalive_, std::min(now + interval, pinged_ns_ + timeout));
}

// First we say that we leave, with no stream cut off; when the client has heard it, which stream was the last. gRPC's C
// core looks at its connections during calls only, so that an idle client of it never answers: one that had time to is
// taken for one. If a call is on its way nevertheless, it is told that nobody looked at it.
void Http2::Drain() {
  if (std::exchange(draining_, true)) return;
  nghttp2_submit_shutdown_notice(session_);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kGoawayPing);
  loop().timers().Set(&goaway_, loop().now_ns() + kHearsNs + 2 * connection_.RoundTripNs());
}

void Http2::FinalGoaway() {
  loop().timers().Cancel(&goaway_);
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
  MarkDirty();
}

}  // namespace tenon::transport_h2
