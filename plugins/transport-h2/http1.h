// HTTP/1.1 on one connection: Boost.Beast parses, one request at a time goes to the host.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "plugins/transport-h2/connection.h"

namespace tenon::transport_h2 {

class Http1Request;

class Http1 final : public Protocol {
 public:
  explicit Http1(Connection& connection);
  ~Http1() override;

  Then Receive(const uint8_t* bytes, size_t n) override;
  Then EndOfInput() override;
  Then Fill(Output* output) override;
  bool WantsInput() const override;
  void Drain() override;
  void Abort() override;

  // ---- for Http1Request
  Connection& connection() { return connection_; }

 private:
  struct Parser;

  Then Parse();
  Then Reject(unsigned status);  // and hear no more
  void Begin();
  void WaitFor(uint64_t ns);

  Connection& connection_;
  std::unique_ptr<Parser> parser_;   // of the request that is coming in
  Http1Request* request_ = nullptr;  // that the host answers
  std::string input_;                // not yet parsed
  std::string text_;                 // of our own, to be written before the rest
  bool continued_ = false;           // 100 Continue was said
  bool ended_ = false;               // the client closed its half
  bool last_ = false;                // nothing more is answered on this connection
  Timer patience_;                   // for the client to send what it began, or to begin
};

}  // namespace tenon::transport_h2
