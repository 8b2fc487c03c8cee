// One HTTP/2 request: a unary call, a stream, or plain HTTP. Between nghttp2's callbacks and the host's functions.
#pragma once
#include <nghttp2/nghttp2.h>

#include <string>
#include <string_view>
#include <vector>

#include "plugins/transport-h2/http2.h"
#include "plugins/transport-h2/message.h"
#include "plugins/transport-h2/replies.h"
#include "plugins/transport-h2/request_rules.h"
#include "tenon/abi/transport.h"

namespace tenon::transport_h2 {

// The object is used for one call after the other. Everything here happens on the loop's thread, so that the host's
// `in` end is called one function at a time; what the host says on other threads comes through Replies or UnaryDone,
// and Arrived.
//
// Holders: the stream until it closed, the host until its done or finish was taken, and each piece of a reply that lies
// in the object and is being written.
class Call final : public Item {
 public:
  explicit Call(Loop& loop) : loop_(loop), replies_(loop, this) {}

  // What an open call is counted as, whatever it needs.
  static constexpr size_t kCharge = 2048;

  // ---- from nghttp2
  void Open(Http2* http2, int32_t stream_id);
  // The fields of the head, then those of the trailers, which nobody asks for.
  enum class Add : uint8_t {
    kOk,
    kMalformed,
    kFarTooLarge,  // the connection had better end
  };
  Add AddField(std::string_view name, std::string_view value, size_t limit);
  RequestRules& rules() { return rules_; }
  void HeadersDone();
  void Data(const uint8_t* bytes, size_t n);
  void EndOfRequest();
  void StreamClosed();
  ssize_t NextData(size_t room, uint32_t* flags);
  void SendData(size_t n, Output* output) { replies_.Send(n, output); }

  // The connection is gone, and the stream with it.
  void ConnectionClosed();

  void Arrived() override;

  Call *next_call = nullptr, *previous_call = nullptr;  // in the connection's list

 private:
  enum class Kind : uint8_t { kNone, kUnary, kStream, kHttp };
  // Where a header's bytes lie in text_.
  struct Field {
    uint32_t name, name_n, value, value_n;
  };

  void Unheld() override;
  std::string_view Name(const Field& f) const { return {text_.data() + f.name, f.name_n}; }
  std::string_view Value(const Field& f) const { return {text_.data() + f.value, f.value_n}; }
  std::string_view Find(std::string_view name) const;
  uint32_t Append(std::string_view text);
  bool Charge(size_t bytes);
  void FillCred();

  // gRPC
  void BeginGrpc();
  Status ReadMetadata();  // undoes base64
  void FillInfo(uint32_t method, int64_t timeout_ns);
  void BeginStream();
  size_t Feed(const uint8_t* bytes, size_t n);  // how many were used: fewer, if the host said AGAIN
  bool BeginMessage();
  void EndMessage();
  void Deliver(MessagePtr message);
  void Resume();
  void TakeNews();
  static void UnaryDone(void* self, tenon_status, const tenon_error*, tenon_bufs reply);
  void TakeUnaryDone();

  // plain HTTP
  void BeginHttp();
  void AddToBody(const uint8_t* bytes, size_t n);
  void CallHttp();
  void SubmitHttpHeaders();
  void RefuseHttp(std::string_view status, std::string text);

  // The transport ends the call by itself; the host, if it knows the call, hears a cancel.
  void Fail(tenon_status status, std::string message);
  // The same before the host knew of it, with another HTTP status than 200.
  void Refuse(int http_status, tenon_status status, std::string message);
  void CancelHost();
  void HostEnded();
  void Expire();
  void Answer();  // sends what there is
  void SubmitHeaders(const Fields& more);
  void SubmitEnd(int http_status);  // headers and trailers in one
  void SubmitTrailers();

  Loop& loop_;
  Http2* http2_ = nullptr;  // NULL: the connection is gone
  int32_t stream_id_ = 0;
  Kind kind_ = Kind::kNone;
  bool open_ = false;       // the stream
  bool host_ = false;       // knows the call and has not ended it
  bool orphan_ = false;     // the stream closed before the host ended
  bool too_large_ = false;  // the headers
  RequestRules rules_;
  size_t header_list_bytes_ = 0;
  bool discarding_ = false;  // what the client still sends
  bool request_ended_ = false;
  bool held_ = false;       // the host said AGAIN
  bool answering_ = false;  // the headers were submitted
  bool deferred_ = false;   // nghttp2 waits to be told of more
  bool ended_ = false;      // behind what waits in replies_ comes the end
  bool gzip_ = false;
  uint64_t handle_ = 0;  // of a unary call
  tenon_call_in in_{};   // of a stream
  size_t charged_ = 0;
  Timer deadline_;

  // The request's head, the host's to read until done or finish.
  std::string text_;
  std::vector<Field> fields_;
  std::vector<tenon_kv> meta_;
  tenon_cred cred_{};
  union {
    tenon_call_info info_{};
    tenon_http_info http_info_;
  };

  // The message that is being received.
  uint8_t prefix_[5];
  uint8_t prefix_n_ = 0;
  size_t message_bytes_ = 0, message_n_ = 0;  // how long it is, or its buffer for HTTP; and how much is there
  MessagePtr message_;
  std::string pending_;  // came while the host held us

  Replies replies_;
  End end_;

  // From UnaryDone to Arrived.
  tenon_bufs unary_reply_{};
  tenon_status unary_status_ = TENON_OK;
  std::string unary_message_;
};

}  // namespace tenon::transport_h2
