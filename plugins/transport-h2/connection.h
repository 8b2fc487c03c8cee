// One client's socket: reads for its protocol and writes what that has to say. Loop's thread only.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "plugins/transport-h2/loop.h"
#include "plugins/transport-h2/output.h"

namespace tenon::transport_h2 {

// What a connection speaks once its first bytes told: knows no socket.
class Protocol {
 public:
  virtual ~Protocol() = default;

  enum class Then {
    kGoOn,
    kClose  // after what is to be written
  };
  virtual Then Receive(const uint8_t* bytes, size_t n) = 0;
  // The client closed its half.
  virtual Then EndOfInput() = 0;
  // Adds what can be sent now; a part of it, if it is much. kClose: nothing more comes once that is written.
  virtual Then Fill(Output* output) = 0;
  // False: the client has to take what there is before it is heard again.
  virtual bool WantsInput() const = 0;
  // No new calls; tell the client.
  virtual void Drain() = 0;
  // The connection is gone: cancels what is open.
  virtual void Abort() = 0;
};

class Connection final : public Source {
 public:
  Connection(Loop& loop, int fd, uint32_t roles);
  ~Connection();

  Loop& loop() { return loop_; }
  uint32_t roles() const { return roles_; }
  // As Go prints an address: "127.0.0.1:4711", "[::1]:4711", "@" for a unix socket.
  const std::string& remote_address() const { return remote_address_; }
  bool draining() const { return draining_; }
  uint64_t last_read_ns() const { return last_read_ns_; }

  void Ready(uint32_t events) override;
  void MarkDirty() { loop_.MarkDirty(this); }
  void Flush();
  void Drain();
  void Close();
  void Greeted();  // the client has said who it is
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
  bool blocked_ = false;  // the socket takes no more
  bool draining_ = false;
  uint64_t last_read_ns_ = 0;
  std::string remote_address_;
  std::string first_;  // bytes that do not tell the protocol yet
  std::unique_ptr<Protocol> protocol_;
  std::unique_ptr<Output> output_;  // only while bytes wait
  Timer hello_;  // patience, until the client said who it is; at the end, until it took our last word
};

}  // namespace tenon::transport_h2
