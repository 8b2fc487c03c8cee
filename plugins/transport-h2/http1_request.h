// One HTTP/1.1 request at the host, and its answer on the way back.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugins/transport-h2/http1.h"
#include "plugins/transport-h2/message.h"
#include "plugins/transport-h2/replies.h"

namespace tenon::transport_h2 {

// What was asked; names of headers in lower case.
struct HttpHead {
  std::string method, target;
  Fields headers;
  bool http10 = false;
  bool keep_alive = true;
};

// Held by its connection until the answer was written or the connection is gone, and by the host until its finish was
// taken. Loop's thread.
class Http1Request final : public Item {
 public:
  Http1Request(Http1* http1, HttpHead head);

  void Call(MessagePtr body);
  // Adds what can be sent. True: that was all.
  bool Fill(Output* output);
  bool keep_alive() const { return head_.keep_alive; }
  void Close() { head_.keep_alive = false; }  // behind the answer
  bool broken() const { return broken_; }     // the answer cannot be completed
  // The connection is gone, or done with it.
  void Leave();

  void Arrived() override;

 private:
  void Unheld() override;
  void WriteHead(Output* output);
  void AnswerPlainly(unsigned status, std::string_view text);

  Http1* http1_;  // NULL: it left
  Loop& loop_;
  HttpHead head_;
  std::string remote_;
  std::vector<tenon_kv> headers_;
  tenon_cred cred_{};
  tenon_http_info info_{};
  tenon_call_in in_{};
  Replies replies_;

  bool answered_ = false;  // the host gave its headers
  bool head_sent_ = false;
  bool chunked_ = false, bodyless_ = false;
  bool finished_ = false;  // behind what waits in replies_ comes the end
  bool broken_ = false;
};

}  // namespace tenon::transport_h2
