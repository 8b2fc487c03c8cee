#include "plugins/storage-wiredtiger/layout.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace tenon::storage_wiredtiger {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void FailSystem(const std::string& what, int error) {
  throw sdk::Error(error == ENOSPC ? TENON_NO_SPACE : TENON_IO,
                   "storage-wiredtiger: " + what + ": " + std::strerror(error), error);
}

void SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) FailSystem("open " + path, errno);
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  if (error != 0) FailSystem("fsync " + path, error);
}

int HexDigit(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

// The file's size at the last checkpoint of a metadata entry; 0: there is none, or its tree is empty.
uint64_t SizeOfCheckpoint(const Connection& connection, WT_SESSION* session, std::string_view entry) {
  constexpr std::string_view kMark = "addr=\"";
  const size_t at = entry.rfind(kMark);
  if (at == entry.npos) return 0;
  const std::string_view hex = entry.substr(at + kMark.size(), entry.find('"', at + kMark.size()) - at - kMark.size());
  if (hex.empty()) return 0;
  std::string cookie;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    cookie += static_cast<char>(HexDigit(hex[i]) << 4 | HexDigit(hex[i + 1]));
  }
  // A version, the addresses (offset, size, checksum) of root, alloc, avail and discard, then the file's size.
  uint8_t version;
  uint64_t skip[12], file_size;
  const int ret = wiredtiger_struct_unpack(session, cookie.data(), cookie.size(), "BQQQQQQQQQQQQQ", &version, &skip[0],
                                           &skip[1], &skip[2], &skip[3], &skip[4], &skip[5], &skip[6], &skip[7],
                                           &skip[8], &skip[9], &skip[10], &skip[11], &file_size);
  if (ret != 0 || version != 1) connection.Corrupt("a checkpoint's address cannot be read");
  return file_size;
}

}  // namespace

Layout::~Layout() {
  if (lock_ >= 0) close(lock_);
}

void Layout::Lock() {
  std::error_code error;
  fs::directory_iterator it(directory_, error);
  if (error) FailSystem("list " + directory_, error.value());
  for (const fs::directory_entry& entry : it) {
    const std::string name = entry.path().filename();
    if (name != "lock" && name != "wt" && name != "wt.new") {
      throw sdk::Error(TENON_PRECONDITION,
                       "storage-wiredtiger: " + directory_ + " holds " + name + ", which is not this engine's");
    }
  }
  const std::string path = directory_ + "/lock";
  lock_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) FailSystem("open " + path, errno);
  if (flock(lock_, LOCK_EX | LOCK_NB) == 0) return;
  if (errno != EWOULDBLOCK) FailSystem("lock " + path, errno);
  throw sdk::Error(TENON_PRECONDITION, "storage-wiredtiger: " + directory_ + " is in use by another instance");
}

bool Layout::Exists() const {
  if (!fs::exists(home())) return false;
  for (const char* name : {"WiredTiger", "WiredTiger.wt", "WiredTiger.turtle"}) {
    struct stat st;
    const std::string path = home() + "/" + name;
    if (stat(path.c_str(), &st) != 0) {
      if (errno != ENOENT) FailSystem("stat " + path, errno);
      throw sdk::Error(TENON_CORRUPT, "storage-wiredtiger: " + path + " is missing");
    }
    if (st.st_size == 0) throw sdk::Error(TENON_CORRUPT, "storage-wiredtiger: " + path + " is empty");
  }
  return true;
}

std::string Layout::BeginNew() const {
  const std::string path = directory_ + "/wt.new";
  std::error_code error;
  fs::remove_all(path, error);
  if (error) FailSystem("remove " + path, error.value());
  if (mkdir(path.c_str(), 0700) != 0) FailSystem("mkdir " + path, errno);
  return path;
}

void Layout::CommitNew() const {
  const std::string path = directory_ + "/wt.new";
  SyncDirectory(path);
  if (rename(path.c_str(), home().c_str()) != 0) FailSystem("rename " + path, errno);
  SyncDirectory(directory_);
}

void CheckFiles(const Connection& connection, WT_SESSION* session, const std::string& home) {
  WT_CURSOR* cursor = nullptr;
  connection.Check(session->open_cursor(session, "metadata:", nullptr, nullptr, &cursor), "read the metadata");
  int ret;
  while ((ret = cursor->next(cursor)) == 0) {
    const char *key = nullptr, *value = nullptr;
    connection.Check(cursor->get_key(cursor, &key), "read the metadata");
    connection.Check(cursor->get_value(cursor, &value), "read the metadata");
    const std::string_view name = key;
    if (!name.starts_with("file:")) continue;
    const std::string path = home + "/" + std::string(name.substr(5));
    const uint64_t need = SizeOfCheckpoint(connection, session, value);
    struct stat st;
    if (stat(path.c_str(), &st) != 0) {
      if (errno != ENOENT) FailSystem("stat " + path, errno);
      connection.Corrupt(path + " is missing");
    }
    // Shorter than at its checkpoint: cut, or WiredTiger itself gave free space at the end back. Only a full read
    // knows.
    if (static_cast<uint64_t>(st.st_size) >= need) continue;
    if (const int verified = session->verify(session, key, nullptr); verified != 0 && verified != ENOTSUP) {
      connection.Corrupt(path + " is damaged: it has " + std::to_string(st.st_size) + " bytes of " +
                         std::to_string(need));
    }
  }
  if (ret != WT_NOTFOUND) connection.Fail(ret, "read the metadata");
  cursor->close(cursor);
}

}  // namespace tenon::storage_wiredtiger
