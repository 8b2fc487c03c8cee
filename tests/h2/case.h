// A case of conformance: what is sent on a fresh connection, and what must come of it.
//
// The server behind it is the echo kernel (cli/plugin_check/echo_kernel.h); a call of echo.Echo/Unary is answered with
// its own message. Preface and SETTINGS have gone out before `sent`, unless the case is raw.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/http2/wire.h"

namespace tenon::testing {

struct Expect {
  enum Kind {
    kAnswer,           // `stream` ends with grpc-status 0 and the one message `text`
    kStatus,           // `stream` ends with grpc-status `codes` and the message `text` unless that is empty
    kHttp,             // `stream` is answered with :status `codes`
    kStreamError,      // RST_STREAM of `stream` with one of `codes`; or, as RFC 9113 5.4.1 allows, GOAWAY with it
    kConnectionError,  // GOAWAY with one of `codes`, then the end of the connection
    kClose,            // the connection ends; with or without GOAWAY
    kNothing,          // nothing breaks: PING is answered, and a call on a new stream
    kFrames,           // the frames until the answer of a PING are as `text` lists them
  };
  Kind kind;
  std::vector<uint32_t> codes = {};
  std::string text = {};
  uint32_t stream = 1;
};

inline Expect Answer(std::string text, uint32_t stream = 1) { return {Expect::kAnswer, {}, std::move(text), stream}; }
inline Expect Status(uint32_t code, std::string text = "", uint32_t stream = 1) {
  return {Expect::kStatus, {code}, std::move(text), stream};
}
inline Expect Http(uint32_t code, uint32_t stream = 1) { return {Expect::kHttp, {code}, "", stream}; }
inline Expect StreamError(std::vector<uint32_t> codes, uint32_t stream = 1) {
  return {Expect::kStreamError, std::move(codes), "", stream};
}
inline Expect ConnectionError(std::vector<uint32_t> codes) { return {Expect::kConnectionError, std::move(codes)}; }
inline Expect Close() { return {Expect::kClose}; }
inline Expect Nothing() { return {Expect::kNothing}; }
inline Expect Frames(std::string text) { return {Expect::kFrames, {}, std::move(text)}; }

struct Case {
  std::string name;  // section and what is done: "6.5 SETTINGS: ACK with a payload"
  std::string sent;
  Expect expect;
  std::string then = "";  // sent when stream 1 has ended
  bool raw = false;
  int tries = 1;  // more: on a busy machine it may go otherwise; once must hold
};

std::vector<Case> FrameCases();   // RFC 9113, sections 3 to 7
std::vector<Case> HeaderCases();  // RFC 9113 section 8 and RFC 7541
std::vector<Case> GrpcCases();    // gRPC over HTTP2

// Where a transport does otherwise, and why that is borne. The next client is served all the same.
struct Difference {
  const char* transport;
  const char* why;
  std::vector<std::string> names;  // of the cases
};
const std::vector<Difference>& Differences();

}  // namespace tenon::testing
