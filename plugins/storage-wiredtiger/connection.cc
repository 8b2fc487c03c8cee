#include "plugins/storage-wiredtiger/connection.h"

#include <cerrno>
#include <utility>

namespace tenon::storage_wiredtiger {

Connection::Connection(const sdk::Host& host) : host_(host), handler_{} {
  handler_.base.handle_error = &Connection::OnError;
  handler_.base.handle_message = &Connection::OnMessage;
  handler_.self = this;
}

Connection::~Connection() {
  if (connection_ != nullptr) connection_->close(connection_, nullptr);
}

void Connection::Open(const std::string& directory, const std::string& config) {
  const int ret = wiredtiger_open(directory.c_str(), &handler_.base, config.c_str(), &connection_);
  if (ret == 0) return;
  connection_ = nullptr;
  if (ret == EBUSY) throw sdk::Error(TENON_PRECONDITION, "storage-wiredtiger: " + directory + " is in use", ret);
  // What exists and cannot be opened is damaged, unless the system itself refused. A torn turtle file gives
  // WT_NOTFOUND.
  const bool refused = ret == EACCES || ret == EPERM || ret == EROFS || ret == EMFILE || ret == ENFILE ||
                       ret == ENOMEM || ret == ENOSPC || ret == EIO;
  if (!refused) damaged_ = true;
  Fail(ret, "cannot open " + directory);
}

void Connection::Close() {
  WT_CONNECTION* connection = std::exchange(connection_, nullptr);
  serving_ = false;
  if (connection != nullptr) Check(connection->close(connection, nullptr), "close");
}

WT_SESSION* Connection::OpenSession() {
  WT_SESSION* session = nullptr;
  Check(connection_->open_session(connection_, nullptr, "isolation=snapshot", &session), "open a session");
  return session;
}

void Connection::Reconfigure(const std::string& config) {
  Check(connection_->reconfigure(connection_, config.c_str()), "reconfigure");
}

void Connection::Fail(int ret, std::string_view what) const {
  std::string text = "storage-wiredtiger: ";
  text.append(what).append(": ").append(wiredtiger_strerror(ret));
  {
    const std::scoped_lock lock(mutex_);
    if (!last_message_.empty()) text.append(" (").append(last_message_).append(")");
  }
  if (ret == ENOSPC || ret == EDQUOT) throw sdk::Error(TENON_NO_SPACE, text, ret);
  if (damaged_ || ret == WT_NOTFOUND || ret == WT_TRY_SALVAGE) throw sdk::Error(TENON_CORRUPT, text);
  if (ret == WT_PANIC) throw sdk::Error(TENON_IO, text);
  if (ret == WT_ROLLBACK || ret == WT_CACHE_FULL || ret == ENOMEM) throw sdk::Error(TENON_EXHAUSTED, text);
  throw sdk::Error(ret > 0 ? TENON_IO : TENON_INTERNAL, text, ret > 0 ? ret : 0);
}

void Connection::Corrupt(std::string_view what) const {
  throw sdk::Error(TENON_CORRUPT, "storage-wiredtiger: " + std::string(what));
}

int Connection::OnError(WT_EVENT_HANDLER* handler, WT_SESSION*, int error, const char* message) {
  Connection& self = *reinterpret_cast<Handler*>(handler)->self;
  const std::string_view text = message;
  self.host_.Log(TENON_LOG_ERROR, "WiredTiger reports an error", {{"error", text}});
  if (text.find("checksum error") != text.npos || text.find("fatal read error") != text.npos) self.damaged_ = true;
  {
    const std::scoped_lock lock(self.mutex_);
    // "WT_PANIC" lines only repeat that the cause came before.
    if (error != WT_PANIC || self.last_message_.empty()) {
      // Without the prefix of time, process and thread: [seconds:micros][pid:thread], file, API: text
      const size_t at = text.rfind("], ");
      self.last_message_ = at == text.npos ? text : text.substr(at + 3);
    }
  }
  if (error == WT_PANIC && self.serving_ && !self.told_.exchange(true)) {
    self.host_.Fatal(self.damaged_ ? TENON_CORRUPT : TENON_IO, "storage-wiredtiger: WiredTiger panicked, see the log");
  }
  return 0;
}

int Connection::OnMessage(WT_EVENT_HANDLER* handler, WT_SESSION*, const char* message) {
  Connection& self = *reinterpret_cast<Handler*>(handler)->self;
  self.host_.Log(TENON_LOG_DEBUG, "WiredTiger", {{"message", message}});
  return 0;
}

}  // namespace tenon::storage_wiredtiger
