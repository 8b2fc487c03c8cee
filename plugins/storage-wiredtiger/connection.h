// WiredTiger's connection, and what its return codes mean to Tenon.
#pragma once
#include <tenon/sdk/sdk.hpp>
#include <wiredtiger.h>

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>

namespace tenon::storage_wiredtiger {

inline WT_ITEM Item(std::string_view bytes) {
  WT_ITEM item{};
  item.data = bytes.data();
  item.size = bytes.size();
  return item;
}
inline std::string_view View(const WT_ITEM& item) { return {static_cast<const char*>(item.data), item.size}; }

// An open database. Its messages go to the host's log; a panic while it serves goes to host->fatal.
class Connection {
 public:
  explicit Connection(const sdk::Host& host);
  ~Connection();
  Connection(const Connection&) = delete;

  void Open(const std::string& directory, const std::string& config);
  void Close();  // throws; closed anyway
  bool is_open() const { return connection_ != nullptr; }
  void SetServing() { serving_ = true; }  // from now on a panic is fatal, before it was only an error of Open

  WT_SESSION* OpenSession();
  void Reconfigure(const std::string& config);

  // Throws what `ret` means; `what` says what was tried.
  void Check(int ret, std::string_view what) const {
    if (ret != 0) Fail(ret, what);
  }
  [[noreturn]] void Fail(int ret, std::string_view what) const;
  [[noreturn]] void Corrupt(std::string_view what) const;

 private:
  // WiredTiger calls back with a pointer to the first member.
  struct Handler {
    WT_EVENT_HANDLER base;
    Connection* self;
  };
  static int OnError(WT_EVENT_HANDLER* handler, WT_SESSION*, int error, const char* message);
  static int OnMessage(WT_EVENT_HANDLER* handler, WT_SESSION*, const char* message);

  const sdk::Host host_;
  Handler handler_;
  WT_CONNECTION* connection_ = nullptr;
  std::atomic<bool> serving_{false}, damaged_{false}, told_{false};
  mutable std::mutex mutex_;
  std::string last_message_;
};

}  // namespace tenon::storage_wiredtiger
