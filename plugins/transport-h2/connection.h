// A socket: reads for its protocol and writes what that has to say. A client's, whose first bytes tell the protocol, or
// one that we opened to speak first. Loop's thread only.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "plugins/transport-h2/loop.h"
#include "plugins/transport-h2/output.h"

namespace tenon::transport_h2 {

// What a connection speaks: knows no socket.
class Protocol {
 public:
  virtual ~Protocol() = default;

  enum class Then {
    kGoOn,
    kClose  // after what is to be written
  };
  virtual Then Receive(const uint8_t* bytes, size_t n) = 0;
  // The other end closed its half.
  virtual Then EndOfInput() = 0;
  // Adds what can be sent now; a part of it, if it is much. kClose: nothing more comes once that is written.
  virtual Then Fill(Output* output) = 0;
  // False: the other end has to take what there is before it is heard again.
  virtual bool WantsInput() const = 0;
  // No new calls; tell the other end.
  virtual void Drain() = 0;
  // The connection is gone: cancels what is open.
  virtual void Abort() = 0;
};

class Connection final : public Source {
 public:
  Connection(Loop& loop, int fd, uint32_t roles);
  ~Connection();

  // Of a socket that we opened, perhaps still connecting. Closes unless Greeted comes within the time.
  void Speak(std::unique_ptr<Protocol> protocol, uint64_t patience_ns);

  Loop& loop() { return loop_; }
  uint32_t roles() const { return roles_; }
  // As Go prints an address: "127.0.0.1:4711", "[::1]:4711", "@" for a unix socket.
  const std::string& remote_address() const { return remote_address_; }
  bool draining() const { return draining_; }
  uint64_t last_read_ns() const { return last_read_ns_; }
  bool blocked() const { return blocked_; }  // the socket takes no more just now
  uint64_t RoundTripNs() const;              // as the system measured it; 0: it did not
  int error() const { return error_; }       // the system's, for which it closed; 0: none

  void Ready(uint32_t events) override;
  void MarkDirty() { loop_.MarkDirty(this); }
  void Flush();
  void Drain();
  void Close();
  void Greeted();  // the other end has said who it is
  // Close, when what is to be said has been said.
  void CloseAfterWriting();

  size_t place = 0;    // in the loop's list
  bool dirty = false;  // in the loop's list of those that may have something to write

 private:
  void Read();
  void Received(const uint8_t* bytes, size_t n);
  bool Choose(std::string_view first);
  void WatchWhatMatters();

  Loop& loop_;
  int fd_;
  const uint32_t roles_;
  uint32_t watched_ = 0;
  bool closing_ = false;  // write the rest, then close
  bool blocked_ = false;
  bool draining_ = false;
  int error_ = 0;
  uint64_t last_read_ns_ = 0;
  std::string remote_address_;
  std::string first_;  // bytes that do not tell the protocol yet
  std::unique_ptr<Protocol> protocol_;
  std::unique_ptr<Output> output_;  // only while bytes wait
  Timer hello_;  // patience, until the other end said who it is; at the end, until it took our last word
};

}  // namespace tenon::transport_h2
