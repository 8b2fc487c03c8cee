// RFC 9113, sections 3 to 7: preface, frames, stream states and what each kind of frame may be.
#include "tests/h2/case.h"

namespace tenon::testing {
namespace {

using namespace http2;

const std::string kHello = GrpcMessage("hello");
const std::string kBlock = Literal(GrpcHeaders("/echo.Echo/Unary"));

std::string Open(uint32_t stream = 1) { return Frame(kHeaders, kEndHeaders, stream, kBlock); }
std::string Data(uint32_t stream = 1, uint8_t flags = kEndStream) { return Frame(kData, flags, stream, kHello); }
std::string Call(uint32_t stream = 1) { return Open(stream) + Data(stream); }
std::string Priority(uint32_t depends_on, uint8_t weight) { return U32(depends_on) + static_cast<char>(weight); }
std::string Ping(uint8_t flags, std::string_view payload = "8 bytes.", uint32_t stream = 0) {
  return Frame(kPing, flags, stream, payload);
}

void Preface(std::vector<Case>& all) {
  all.push_back({"3.4 preface: SETTINGS is the first frame", std::string(kPreface) + Settings(),
                 Frames("SETTINGS SETTINGS.ACK"), "", true});
  all.push_back({"3.4 preface: cut in two", std::string(kPreface.substr(0, 9)), Nothing(), "", true});
  all.back().sent = std::string(kPreface) + Settings() + Call();
  all.back().expect = Answer("hello");
  all.push_back({"3.4 preface: wrong", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + Settings() + Call(), Close(), "", true});
  all.push_back({"3.4 preface: no SETTINGS behind it", std::string(kPreface) + Ping(kNone) + Call(),
                 ConnectionError({kProtocolError}), "", true});
}

void Framing(std::vector<Case>& all) {
  all.push_back({"4.1 frame: unknown type", Frame(0x16, kNone, 0, "anything") + Call(), Answer("hello")});
  all.push_back({"4.1 frame: unknown flags", Ping(0x16 & ~kAck) + Call(), Answer("hello")});
  all.push_back(
      {"4.1 frame: reserved bit of the stream", Ping(kNone, "8 bytes.", 0x80000000u) + Call(), Answer("hello")});
  const std::string large(16384 - 5, 'x');
  all.push_back(
      {"4.2 frame size: DATA of 2^14", Open() + Frame(kData, kEndStream, 1, GrpcMessage(large)), Answer(large)});
  all.push_back({"4.2 frame size: DATA over the limit",
                 Open() + Frame(kData, kEndStream, 1, std::string(20'000'000, 'x')),
                 ConnectionError({kFrameSizeError})});
  all.push_back({"4.2 frame size: HEADERS over the limit",
                 Frame(kHeaders, kEndHeaders, 1, kBlock + Literal("x", std::string(17'000'000, 'x'))),
                 ConnectionError({kFrameSizeError})});
  all.push_back({"4.3 header block: PRIORITY inside",
                 Frame(kHeaders, kNone, 1, kBlock) + Frame(kPriority, kNone, 1, Priority(0, 15)) +
                     Frame(kContinuation, kEndHeaders, 1),
                 ConnectionError({kProtocolError})});
  all.push_back({"4.3 header block: HEADERS of another stream inside", Frame(kHeaders, kNone, 1, kBlock) + Open(3),
                 ConnectionError({kProtocolError})});
  all.push_back({"5.5 extension: unknown frame", Call() + Frame(0xfa, 0xff, 7, "anything"), Answer("hello")});
  all.push_back({"5.5 extension: unknown frame in a header block",
                 Frame(kHeaders, kNone, 1, kBlock) + Frame(0xfa, kNone, 1, "x") + Frame(kContinuation, kEndHeaders, 1),
                 ConnectionError({kProtocolError})});
}

void States(std::vector<Case>& all) {
  all.push_back({"5.1 idle: DATA", Data(), ConnectionError({kProtocolError})});
  all.push_back({"5.1 idle: RST_STREAM", Reset(1), ConnectionError({kProtocolError})});
  all.push_back({"5.1 idle: WINDOW_UPDATE", WindowUpdate(1, 100), ConnectionError({kProtocolError})});
  all.push_back(
      {"5.1 idle: CONTINUATION", Frame(kContinuation, kEndHeaders, 1, kBlock), ConnectionError({kProtocolError})});
  all.push_back({"5.1 idle: PRIORITY", Frame(kPriority, kNone, 1, Priority(0, 15)) + Call(), Answer("hello")});
  // Hang is not answered, so the stream stays half-closed.
  const std::string hang = GrpcCall(1, "/echo.Echo/Hang", "x");
  all.push_back({"5.1 half-closed: DATA", hang + Data(), StreamError({kStreamClosed})});
  all.push_back({"5.1 half-closed: HEADERS", hang + Open(), StreamError({kStreamClosed, kProtocolError})});
  all.push_back({"5.1 half-closed: CONTINUATION", hang + Frame(kContinuation, kEndHeaders, 1, kBlock),
                 ConnectionError({kStreamClosed, kProtocolError})});
  all.push_back({"5.1 half-closed: WINDOW_UPDATE", hang + WindowUpdate(1, 100) + Call(3), Answer("hello", 3)});
  all.push_back(
      {"5.1 half-closed: PRIORITY", hang + Frame(kPriority, kNone, 1, Priority(0, 15)) + Call(3), Answer("hello", 3)});
  all.push_back({"5.1 half-closed: RST_STREAM", hang + Reset(1) + Call(3), Answer("hello", 3)});
  // What is on its way when a reset crosses it must be borne; an error of the stream or connection is allowed too.
  all.push_back({"5.1 reset: CONTINUATION", Open() + Reset(1) + Frame(kContinuation, kEndHeaders, 1, kBlock),
                 ConnectionError({kStreamClosed, kProtocolError})});
  all.push_back({"5.1 reset: PRIORITY", Open() + Reset(1) + Frame(kPriority, kNone, 1, Priority(0, 15)) + Call(3),
                 Answer("hello", 3)});
  all.push_back({"5.1 closed: CONTINUATION", Call(), ConnectionError({kStreamClosed, kProtocolError}),
                 Frame(kContinuation, kEndHeaders, 1, kBlock)});
  all.push_back({"5.1 closed: PRIORITY", Call(), Nothing(), Frame(kPriority, kNone, 1, Priority(0, 15))});
  all.push_back({"5.1 closed: WINDOW_UPDATE", Call(), Nothing(), WindowUpdate(1, 100)});
  all.push_back({"5.1 closed: RST_STREAM", Call(), Nothing(), Reset(1)});
  all.push_back({"5.1.1 stream id: even", Call(2), ConnectionError({kProtocolError})});
  all.push_back({"5.1.1 stream id: smaller than the last", GrpcCall(5, "/echo.Echo/Hang", "x") + Call(3),
                 ConnectionError({kProtocolError, kStreamClosed})});
  all.push_back({"5.1.1 stream id: gaps are fine", Call(101), Answer("hello", 101)});
  all.push_back({"5.3.1 HEADERS that depends on itself",
                 Frame(kHeaders, kEndHeaders | kHasPriority, 1, Priority(1, 15) + kBlock) + Data(),
                 StreamError({kProtocolError})});
  all.push_back({"5.3.1 PRIORITY that depends on itself", Open() + Frame(kPriority, kNone, 1, Priority(1, 15)),
                 StreamError({kProtocolError})});
  all.push_back({"5.3 priority for a stream to come", Frame(kPriority, kNone, 7, Priority(0x80000001u, 255)) + Call(),
                 Answer("hello")});
}

void Kinds(std::vector<Case>& all) {
  all.push_back({"6.1 DATA: stream 0", Frame(kData, kNone, 0, kHello), ConnectionError({kProtocolError})});
  all.push_back({"6.1 DATA: padded",
                 Open() + Frame(kData, kEndStream | kPadded, 1, "\x06" + kHello + std::string(6, '\0')),
                 Answer("hello")});
  all.push_back({"6.1 DATA: as much padding as frame", Open() + Frame(kData, kEndStream | kPadded, 1, "\x06hello"),
                 ConnectionError({kProtocolError})});
  all.push_back(
      {"6.1 DATA: empty ones between",
       Open() + Frame(kData, kNone, 1) + Data(1, kNone) + Frame(kData, kNone, 1) + Frame(kData, kEndStream, 1),
       Answer("hello")});
  all.push_back({"6.2 HEADERS: stream 0", Open(0), ConnectionError({kProtocolError})});
  all.push_back({"6.2 HEADERS: padded",
                 Frame(kHeaders, kEndHeaders | kPadded, 1, "\x03" + kBlock + std::string(3, '\0')) + Data(),
                 Answer("hello")});
  all.push_back({"6.2 HEADERS: with priority",
                 Frame(kHeaders, kEndHeaders | kHasPriority, 1, Priority(0, 200) + kBlock) + Data(), Answer("hello")});
  all.push_back({"6.2 HEADERS: more padding than frame",
                 Frame(kHeaders, kEndHeaders | kPadded, 1, std::string(1, '\xff') + Literal(":method", "POST")),
                 ConnectionError({kProtocolError})});
  all.push_back(
      {"6.3 PRIORITY: stream 0", Frame(kPriority, kNone, 0, Priority(1, 15)), ConnectionError({kProtocolError})});
  all.push_back(
      {"6.3 PRIORITY: four bytes", Open() + Frame(kPriority, kNone, 1, "1234"), StreamError({kFrameSizeError})});
  all.push_back({"6.4 RST_STREAM: stream 0", Reset(0), ConnectionError({kProtocolError})});
  all.push_back(
      {"6.4 RST_STREAM: three bytes", Open() + Frame(kRstStream, kNone, 1, "123"), ConnectionError({kFrameSizeError})});
  all.push_back({"6.4 RST_STREAM: unknown code", Open() + Reset(1, 0xffff) + Call(3), Answer("hello", 3)});
  all.push_back({"6.5 SETTINGS: acknowledged", Settings(), Frames("SETTINGS SETTINGS.ACK SETTINGS.ACK")});
  all.push_back({"6.5 SETTINGS: ACK with a payload", Frame(kSettings, kAck, 0, std::string(6, '\0')),
                 ConnectionError({kFrameSizeError})});
  all.push_back({"6.5 SETTINGS: on a stream", Frame(kSettings, kNone, 1), ConnectionError({kProtocolError})});
  all.push_back(
      {"6.5 SETTINGS: not a multiple of six", Frame(kSettings, kNone, 0, "12345"), ConnectionError({kFrameSizeError})});
  all.push_back({"6.5.2 ENABLE_PUSH: 2", Settings({{kEnablePush, 2}}), ConnectionError({kProtocolError})});
  all.push_back({"6.5.2 INITIAL_WINDOW_SIZE: 2^31", Settings({{kInitialWindowSize, 0x80000000u}}),
                 ConnectionError({kFlowControlError})});
  all.push_back(
      {"6.5.2 MAX_FRAME_SIZE: 2^14-1", Settings({{kMaxFrameSize, 16383}}), ConnectionError({kProtocolError})});
  all.push_back(
      {"6.5.2 MAX_FRAME_SIZE: 2^24", Settings({{kMaxFrameSize, 1u << 24}}), ConnectionError({kProtocolError})});
  all.push_back({"6.5.2 unknown identifier", Settings({{0xaaaa, 77}}) + Call(), Answer("hello")});
  all.push_back({"6.5.3 the last of several values holds",
                 Settings({{kInitialWindowSize, 1}, {kInitialWindowSize, 65535}}) + Call(), Answer("hello")});
  all.push_back({"6.6 PUSH_PROMISE from a client", Open() + Frame(kPushPromise, kEndHeaders, 1, U32(2) + kBlock),
                 ConnectionError({kProtocolError})});
  all.push_back({"6.7 PING: on a stream", Ping(kNone, "8 bytes.", 1), ConnectionError({kProtocolError})});
  all.push_back({"6.7 PING: six bytes", Ping(kNone, "6bytes"), ConnectionError({kFrameSizeError})});
  all.push_back({"6.7 PING: an ACK is not answered", Ping(kAck, "unasked."), Frames("SETTINGS SETTINGS.ACK")});
  all.push_back(
      {"6.8 GOAWAY: on a stream", Frame(kGoaway, kNone, 1, U32(0) + U32(0)), ConnectionError({kProtocolError})});
  all.push_back({"6.8 GOAWAY: open calls still end", Open() + Frame(kGoaway, kNone, 0, U32(0) + U32(0)) + Data(),
                 Answer("hello")});
  all.push_back({"6.10 CONTINUATION: several",
                 Frame(kHeaders, kNone, 1, kBlock.substr(0, 10)) +
                     Frame(kContinuation, kNone, 1, kBlock.substr(10, 20)) + Frame(kContinuation, kNone, 1) +
                     Frame(kContinuation, kEndHeaders, 1, kBlock.substr(30)) + Data(),
                 Answer("hello")});
  all.push_back({"6.10 CONTINUATION: stream 0",
                 Frame(kHeaders, kNone, 1, kBlock) + Frame(kContinuation, kEndHeaders, 0),
                 ConnectionError({kProtocolError})});
  all.push_back({"6.10 CONTINUATION: after END_HEADERS", Open() + Frame(kContinuation, kEndHeaders, 1, kBlock),
                 ConnectionError({kProtocolError, kStreamClosed})});
  all.push_back({"6.10 CONTINUATION: DATA between", Frame(kHeaders, kNone, 1, kBlock) + Data(),
                 ConnectionError({kProtocolError})});
  all.push_back({"6.10 CONTINUATION: after DATA",
                 Open() + Data(1, kNone) + Frame(kContinuation, kEndHeaders, 1, kBlock),
                 ConnectionError({kProtocolError, kStreamClosed})});
  all.push_back(
      {"7 GOAWAY: unknown code", Open() + Frame(kGoaway, kNone, 0, U32(0) + U32(0xff)) + Data(), Answer("hello")});
}

void FlowControl(std::vector<Case>& all) {
  all.push_back({"6.9 WINDOW_UPDATE: 0 for the connection", WindowUpdate(0, 0), ConnectionError({kProtocolError})});
  all.push_back({"6.9 WINDOW_UPDATE: 0 for a stream", Open() + WindowUpdate(1, 0), StreamError({kProtocolError})});
  all.push_back(
      {"6.9 WINDOW_UPDATE: three bytes", Frame(kWindowUpdate, kNone, 0, "123"), ConnectionError({kFrameSizeError})});
  all.push_back({"6.9.1 the connection's window over 2^31-1", WindowUpdate(0, INT32_MAX) + WindowUpdate(0, INT32_MAX),
                 ConnectionError({kFlowControlError})});
  all.push_back({"6.9.1 a stream's window over 2^31-1",
                 Open() + WindowUpdate(1, INT32_MAX) + WindowUpdate(1, INT32_MAX), StreamError({kFlowControlError})});
  // The message of 10 bytes comes one byte at a time: each DATA frame takes the window that there is.
  all.push_back({"6.9.1 a window of one byte", Settings({{kInitialWindowSize, 1}}) + Call(),
                 Frames("SETTINGS SETTINGS.ACK SETTINGS.ACK HEADERS(1) DATA(1) 1")});
  all.push_back({"6.9.2 a window opened by SETTINGS",
                 Settings({{kInitialWindowSize, 0}}) + Call() + Settings({{kInitialWindowSize, 65535}}),
                 Answer("hello")});
  // 0, 3 more by an update, then 2 less than before: one byte may go.
  all.push_back({"6.9.2 a negative window",
                 Settings({{kInitialWindowSize, 3}}) + Open() + Settings({{kInitialWindowSize, 0}}) +
                     Settings({{kInitialWindowSize, 65535}}) + Data(),
                 Answer("hello")});
  all.push_back({"6.9.2 a window over 2^31-1 by SETTINGS",
                 Open() + WindowUpdate(1, INT32_MAX - 65535) + Settings({{kInitialWindowSize, 65536}}),
                 ConnectionError({kFlowControlError})});
}

}  // namespace

std::vector<Case> FrameCases() {
  std::vector<Case> all;
  Preface(all);
  Framing(all);
  States(all);
  Kinds(all);
  FlowControl(all);
  return all;
}

}  // namespace tenon::testing
