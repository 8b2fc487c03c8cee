#include "kernel/os/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

namespace tenon {
namespace {

StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT: return StatusCode::kNotFound;
    case EEXIST: return StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS: return StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE: return StatusCode::kResourceExhausted;
    default: return StatusCode::kInternal;
  }
}

// "fdatasync /data/wal/0.wal: Input/output error"
Status Failed(std::string_view operation, std::string_view path, int error) {
  return Status(CodeOf(error),
                ToAbsl(fmt::format("{} {}: {}", operation, path, std::generic_category().message(error))));
}
Status Failed(std::string_view operation, std::string_view path) { return Failed(operation, path, errno); }

// Calls again when a signal came in between. For fdatasync that is no retry of a failed sync: nothing was attempted.
template <class F>
auto Uninterrupted(F call) {
  decltype(call()) r;
  do r = call();
  while (r < 0 && errno == EINTR);
  return r;
}

// A descriptor, closed when it goes.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

class OsFile : public File {
 public:
  OsFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Status WriteAt(uint64_t offset, std::string_view data) override {
    while (!data.empty()) {
      const ssize_t n =
          Uninterrupted([&] { return ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset)); });
      if (n < 0) return Failed("pwrite", path_);
      if (n == 0) return Failed("pwrite", path_, EIO);  // would loop for ever
      data.remove_prefix(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return Ok();
  }

  Result<size_t> ReadAt(uint64_t offset, char* to, size_t n) override {
    size_t done = 0;
    while (done < n) {
      const ssize_t r =
          Uninterrupted([&] { return ::pread(fd_.get(), to + done, n - done, static_cast<off_t>(offset + done)); });
      if (r < 0) return Failed("pread", path_);
      if (r == 0) break;
      done += static_cast<size_t>(r);
    }
    return done;
  }

  Status Sync() override {
    if (Uninterrupted([&] { return ::fdatasync(fd_.get()); }) < 0) return Failed("fdatasync", path_);
    return Ok();
  }

  Status Truncate(uint64_t size) override {
    if (Uninterrupted([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); }) < 0) {
      return Failed("ftruncate", path_);
    }
    return Ok();
  }

  Status Reserve(uint64_t size) override {
    // Not posix_fallocate: where the file system cannot, it would write all of it.
    if (Uninterrupted([&] { return ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(size)); }) == 0) return Ok();
    if (errno == EOPNOTSUPP)
      return absl::UnimplementedError(fmt::format("fallocate {}: not on this file system", path_));
    return Failed("fallocate", path_);
  }

  Result<uint64_t> Size() override {
    struct stat s {};
    if (::fstat(fd_.get(), &s) < 0) return Failed("fstat", path_);
    return static_cast<uint64_t>(s.st_size);
  }

 private:
  const Descriptor fd_;
  const std::string path_;
};

// flock belongs to the open file description: it goes with the process, however it dies.
class OsLock : public FileLock {
 public:
  explicit OsLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  const Descriptor fd_;
};

Result<Descriptor> OpenDescriptor(const std::string& path, int flags) {
  const int fd = Uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0600); });
  if (fd < 0) return Failed("open", path);
  return Descriptor(fd);
}

int Flags(Disk::Open how) {
  switch (how) {
    case Disk::Open::kRead: return O_RDONLY;
    case Disk::Open::kReadWrite: return O_RDWR;
    case Disk::Open::kCreate: return O_RDWR | O_CREAT | O_EXCL;
    case Disk::Open::kCreateOrTruncate: return O_RDWR | O_CREAT | O_TRUNC;
  }
  return O_RDONLY;
}

}  // namespace

Result<std::unique_ptr<File>> OsDisk::OpenFile(const std::string& path, Open how) {
  ASSIGN_OR_RETURN(Descriptor fd, OpenDescriptor(path, Flags(how)));
  return std::unique_ptr<File>(std::make_unique<OsFile>(std::move(fd), path));
}

Result<std::vector<std::string>> OsDisk::List(const std::string& directory) {
  std::unique_ptr<DIR, int (*)(DIR*)> d(::opendir(directory.c_str()), &::closedir);
  if (d == nullptr) return Failed("opendir", directory);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* e = ::readdir(d.get());
    if (e == nullptr) {
      if (errno != 0) return Failed("readdir", directory);
      break;
    }
    const std::string_view name = e->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<bool> OsDisk::Exists(const std::string& path) {
  struct stat s {};
  if (::lstat(path.c_str(), &s) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return Failed("stat", path);
}

Status OsDisk::MakeDirectory(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string prefix = path.substr(0, end);
    if (!prefix.empty() && ::mkdir(prefix.c_str(), 0700) < 0 && errno != EEXIST) {
      const int error = errno;  // a parent on a read-only file system may exist all the same
      struct stat s {};
      if (::stat(prefix.c_str(), &s) < 0) return Failed("mkdir", prefix, error);
    }
    if (end == std::string::npos) break;
  }
  struct stat s {};
  if (::stat(path.c_str(), &s) < 0) return Failed("mkdir", path);
  if (!S_ISDIR(s.st_mode)) return Failed("mkdir", path, ENOTDIR);
  return Ok();
}

Status OsDisk::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) < 0) return Failed("rename", fmt::format("{} to {}", from, to));
  return Ok();
}

Status OsDisk::Remove(const std::string& path) {
  if (::unlink(path.c_str()) < 0) return Failed("unlink", path);
  return Ok();
}

Status OsDisk::RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return Failed("remove", path, error.value());
  return Ok();
}

Status OsDisk::SyncDirectory(const std::string& path) {
  ASSIGN_OR_RETURN(const Descriptor fd, OpenDescriptor(path, O_RDONLY | O_DIRECTORY));
  if (Uninterrupted([&] { return ::fsync(fd.get()); }) < 0) return Failed("fsync", path);
  return Ok();
}

Result<std::unique_ptr<FileLock>> OsDisk::Lock(const std::string& path) {
  ASSIGN_OR_RETURN(Descriptor fd, OpenDescriptor(path, O_RDWR | O_CREAT));
  if (Uninterrupted([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) < 0) {
    if (errno != EWOULDBLOCK) return Failed("flock", path);
    return Status(StatusCode::kFailedPrecondition, ToAbsl(fmt::format("{}: locked by another process", path)));
  }
  return std::unique_ptr<FileLock>(std::make_unique<OsLock>(std::move(fd)));
}

Result<DiskSpace> OsDisk::Space(const std::string& path) {
  struct statvfs s {};
  if (::statvfs(path.c_str(), &s) < 0) return Failed("statvfs", path);
  return DiskSpace{.free_bytes = static_cast<uint64_t>(s.f_bavail) * s.f_frsize,
                   .total_bytes = static_cast<uint64_t>(s.f_blocks) * s.f_frsize};
}

}  // namespace tenon
