// A bound listening socket and the address it came from.
#pragma once
#include <sys/types.h>

#include <string>
#include <string_view>

#include "kernel/base/status.h"

namespace tenon::transport {

struct Address {
  bool tls = false;
  bool local = false;  // a unix socket; `host` is then its path
  std::string host;
  int port = 0;
  std::string scheme;
};

// http://127.0.0.1:2379, http://[::1]:0, unix:///run/x.sock; as in etcd unix://localhost:m0 is the file "localhost:m0".
Result<Address> ParseUrl(std::string_view url);

// Closes what it opened: never an inherited socket. A unix socket's file goes with it, if it is still the one we made.
class Listener {
 public:
  // Takes the address for itself: a second server on it is refused with "bind: address already in use".
  static Result<Listener> Bind(std::string_view url);
  // Accepts on a socket that somebody else bound and will close.
  static Result<Listener> Inherit(std::string_view url, int fd);

  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  int fd() const { return fd_; }
  const std::string& url() const { return url_; }  // with the real port

 private:
  Listener() = default;

  int fd_ = -1;
  bool inherited_ = false;
  std::string url_;
  std::string path_;  // of the unix socket that this object made
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace tenon::transport
