#include "kernel/plugin/file_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "absl/strings/ascii.h"
#include "fmt/ranges.h"
#include "kernel/base/sha.h"

namespace tenon::plugin {
namespace {

Status Refuse(const std::string& path, std::string_view predicate) {
  return absl::FailedPreconditionError(fmt::format("plugin {} {}", path, predicate));
}

// "its group", "others" or "its group and others" may write; empty: nobody.
std::string Writers(mode_t mode) {
  if ((mode & S_IWGRP) && (mode & S_IWOTH)) return "its group and others";
  if (mode & S_IWGRP) return "its group";
  return (mode & S_IWOTH) ? "others" : "";
}

bool Trusts(const std::vector<uid_t>& owners, uid_t owner) {
  return std::find(owners.begin(), owners.end(), owner) != owners.end();
}

Status CheckDirectory(const std::string& file, const std::string& directory, const std::vector<uid_t>& owners) {
  struct stat facts;
  if (stat(directory.c_str(), &facts) != 0) {
    return Refuse(file, fmt::format("lies in {}, which cannot be examined ({}): correct its permissions", directory,
                                    std::strerror(errno)));
  }
  if (!Trusts(owners, facts.st_uid)) {
    return Refuse(file, fmt::format("lies in {}, which belongs to user {}: give that directory to root or to the user "
                                    "that runs the server",
                                    directory, facts.st_uid));
  }
  const std::string writers = Writers(facts.st_mode);
  if (!writers.empty() && !(facts.st_mode & S_ISVTX)) {
    return Refuse(file, fmt::format("lies in {0}, which {1} may write (mode {2:04o}): run chmod go-w {0}", directory,
                                    writers, facts.st_mode & 07777));
  }
  return Ok();
}

}  // namespace

Result<PluginFile> ReadTrustedFile(const std::string& path, const std::vector<uid_t>& owners) {
  const std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), &free);
  if (real == nullptr) {
    if (errno == ENOENT)
      return absl::NotFoundError(fmt::format("plugin {} does not exist: correct \"use\" or install the file", path));
    return Refuse(path, fmt::format("cannot be reached ({}): correct \"use\" or the permissions on the way to it",
                                    std::strerror(errno)));
  }
  PluginFile file;
  file.path = real.get();

  // O_NONBLOCK: opening a FIFO must not wait for its other end.
  const int fd = open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return Refuse(file.path, fmt::format("cannot be opened ({}): let the user that runs the server read it",
                                         std::strerror(errno)));
  }
  struct Closer {
    int fd;
    ~Closer() { close(fd); }
  } closer{fd};
  struct stat facts;
  if (fstat(fd, &facts) != 0) return Refuse(file.path, fmt::format("cannot be examined: {}", std::strerror(errno)));
  if (S_ISDIR(facts.st_mode)) return Refuse(file.path, "is a directory: name the .so file in it");
  if (!S_ISREG(facts.st_mode)) return Refuse(file.path, "is not a regular file: name the .so file itself");
  if (!Trusts(owners, facts.st_uid)) {
    return Refuse(file.path, fmt::format("belongs to user {}, who could change it: give it to root or to the user that "
                                         "runs the server",
                                         facts.st_uid));
  }
  if (const std::string writers = Writers(facts.st_mode); !writers.empty()) {
    return Refuse(file.path, fmt::format("may be written by {} (mode {:04o}): run chmod go-w {}", writers,
                                         facts.st_mode & 07777, file.path));
  }
  const std::string directory = std::filesystem::path(file.path).parent_path();
  RETURN_IF_ERROR(CheckDirectory(file.path, directory, owners));
  // A symbolic link can be turned elsewhere by whoever may write where it lies.
  std::error_code ignored;
  const std::filesystem::path named = std::filesystem::absolute(path, ignored).parent_path();
  if (!std::filesystem::equivalent(named, directory, ignored))
    RETURN_IF_ERROR(CheckDirectory(file.path, named, owners));

  if (facts.st_size == 0) return Refuse(file.path, "is empty: build or copy it again");
  file.bytes.resize(static_cast<size_t>(facts.st_size));
  size_t have = 0;
  while (have < file.bytes.size()) {
    const ssize_t n = read(fd, file.bytes.data() + have, file.bytes.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Refuse(file.path, fmt::format("cannot be read ({}): check the disk", std::strerror(errno)));
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  file.bytes.resize(have);
  file.sha256 = fmt::format("{:02x}", fmt::join(Sha256(file.bytes), ""));
  file.device = facts.st_dev;
  file.inode = facts.st_ino;
  return file;
}

Status CheckPin(const PluginFile& file, const std::string& pin) {
  if (pin.empty()) return Ok();
  const bool hex =
      std::all_of(pin.begin(), pin.end(), [](char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)); });
  if (pin.size() != 64 || !hex) {
    return absl::InvalidArgumentError(
        fmt::format("plugin {0}: \"{1}\" is no SHA-256: write the 64 hexadecimal digits that "
                    "sha256sum {0} prints",
                    file.path, pin));
  }
  if (absl::AsciiStrToLower(pin) != file.sha256) {
    return Refuse(file.path,
                  fmt::format("has the SHA-256 {}, but {} is pinned: install the file that was meant or correct "
                              "\"sha256\"",
                              file.sha256, absl::AsciiStrToLower(pin)));
  }
  return Ok();
}

}  // namespace tenon::plugin
