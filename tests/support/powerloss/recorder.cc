// libpowerloss.so: preloaded into a server, it records what the server does to the files of one folder.
//
//   LD_PRELOAD=libpowerloss.so POWERLOSS_DIR=/absolute/folder POWERLOSS_LOG=/elsewhere/log server ...
//
// A change is made and recorded under one lock, so that the log has the order in which the system took the changes. A
// sync is two records around the call, outside the lock: what was recorded before its begin is on disk at its end.
// Whatever changes a file and cannot be recorded (a shared writable mapping, O_SYNC, ...) ends the process: a recording
// that is not whole would accuse or acquit wrongly.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/powerloss/format.h"

namespace powerloss {
namespace {

constexpr int kMaxFd = 1 << 16;

std::atomic<uint32_t> g_handles[kMaxFd];  // by descriptor; 0: not ours
std::atomic<uint32_t> g_next_handle{1};
std::atomic<uint64_t> g_next_sync{1};
std::recursive_mutex g_mutex;
int g_log = -1;
pid_t g_process = 0;
char g_root[PATH_MAX];
std::atomic<bool> g_ready{false};

template <class F>
F* Real(const char* name, F*& cached) {
  if (cached == nullptr) cached = reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
  return cached;
}
// The function that this library stands before.
#define REAL(name)                         \
  ([]() -> decltype(&::name) {             \
    static decltype(::name)* real;         \
    return ::powerloss::Real(#name, real); \
  }())

// One write: records and marks of several processes must not mix.
void Append(Op op, uint16_t flags, uint32_t handle, uint64_t offset, uint64_t length, std::string_view path = {},
            std::string_view path2 = {}, const iovec* data = nullptr, int data_count = 0) {
  Header header{kMagic,
                op,
                flags,
                handle,
                offset,
                length,
                static_cast<uint32_t>(path.size()),
                static_cast<uint32_t>(path2.size())};
  std::vector<iovec> parts{{&header, sizeof header},
                           {const_cast<char*>(path.data()), path.size()},
                           {const_cast<char*>(path2.data()), path2.size()}};
  size_t left = data_count > 0 ? length : 0;
  for (int i = 0; i < data_count && left > 0; i++) {
    parts.push_back({data[i].iov_base, std::min(left, data[i].iov_len)});
    left -= parts.back().iov_len;
  }
  ssize_t total = 0;
  for (const iovec& part : parts) total += static_cast<ssize_t>(part.iov_len);
  if (syscall(SYS_writev, g_log, parts.data(), parts.size()) != total) {
    static constexpr char kText[] = "powerloss: cannot write the log\n";
    syscall(SYS_write, 2, kText, sizeof kText - 1);
    abort();
  }
}

[[noreturn]] void GiveUp(std::string_view why) {
  const std::string text = "powerloss: the recording is void: " + std::string(why) + "\n";
  syscall(SYS_write, 2, text.data(), text.size());
  Append(Op::kUncovered, 0, 0, 0, 0, why);
  abort();
}

bool Recording() { return g_ready.load(std::memory_order_acquire) && getpid() == g_process; }

uint32_t HandleOf(int fd) {
  if (fd < 0 || fd >= kMaxFd || !Recording()) return 0;
  return g_handles[fd].load(std::memory_order_acquire);
}

// The path under the recorded folder ("." for itself); nothing if it is elsewhere.
bool Inside(int at, const char* path, std::string* relative) {
  if (!Recording() || path == nullptr) return false;
  std::filesystem::path full(path);
  if (full.is_relative()) {
    char base[PATH_MAX];
    const std::string link = at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/" + std::to_string(at);
    const ssize_t n = readlink(link.c_str(), base, sizeof base);
    if (n <= 0) return false;
    full = std::filesystem::path(std::string(base, static_cast<size_t>(n))) / full;
  }
  const std::string normal = full.lexically_normal();
  const std::string_view root = g_root;
  if (normal.compare(0, root.size(), root) != 0) return false;
  if (normal.size() > root.size() && normal[root.size()] != '/') return false;
  *relative = normal.size() > root.size() + 1 ? normal.substr(root.size() + 1) : ".";
  while (relative->size() > 1 && relative->back() == '/') relative->pop_back();
  return true;
}

bool IsZero(const void* data, size_t n) {
  const char* p = static_cast<const char*>(data);
  return n == 0 || (p[0] == 0 && std::memcmp(p, p + 1, n - 1) == 0);
}

// ---- what each kind of call does beside the real one ----

template <class F>
int Open(int at, const char* path, int flags, F real) {
  std::string name;
  if (!Inside(at, path, &name)) {
    const int fd = real();
    if (fd >= 0 && fd < kMaxFd) g_handles[fd].store(0, std::memory_order_release);
    return fd;
  }
  const std::scoped_lock lock(g_mutex);
  if ((flags & O_TMPFILE) == O_TMPFILE) GiveUp("O_TMPFILE");
  if ((flags & O_ACCMODE) != O_RDONLY && (flags & (O_SYNC | O_DSYNC)) != 0) GiveUp("O_SYNC or O_DSYNC: " + name);
  struct stat before {};
  const bool existed = fstatat(at, path, &before, 0) == 0;
  const int fd = real();
  if (fd < 0) return fd;
  if (fd >= kMaxFd) GiveUp("a descriptor over 65535");
  struct stat now {};
  if (fstat(fd, &now) != 0) GiveUp("fstat fails");
  uint16_t how = S_ISDIR(now.st_mode) ? kDirectory : 0;
  if (!existed) how |= kCreated;
  if (existed && (flags & O_TRUNC) != 0 && (flags & O_ACCMODE) != O_RDONLY) how |= kTruncated;
  const uint32_t handle = g_next_handle++;
  Append(Op::kOpen, how, handle, 0, 0, name);
  g_handles[fd].store(handle, std::memory_order_release);
  return fd;
}

void Wrote(uint32_t handle, off_t offset, const iovec* parts, int count, ssize_t n) {
  if (n <= 0) return;
  const bool zeros = std::all_of(parts, parts + count, [](const iovec& p) { return IsZero(p.iov_base, p.iov_len); });
  Append(Op::kWrite, zeros ? kZeros : 0, handle, static_cast<uint64_t>(offset), static_cast<uint64_t>(n), {}, {}, parts,
         zeros ? 0 : count);
}

template <class F>
ssize_t WriteAt(int fd, const iovec* parts, int count, off_t offset, F real) {
  const uint32_t handle = HandleOf(fd);
  if (handle == 0) return real();
  const std::scoped_lock lock(g_mutex);
  const ssize_t n = real();
  const int error = errno;
  Wrote(handle, offset, parts, count, n);
  errno = error;
  return n;
}

template <class F>
ssize_t WriteHere(int fd, const iovec* parts, int count, F real) {
  const uint32_t handle = HandleOf(fd);
  if (handle == 0) return real();
  const std::scoped_lock lock(g_mutex);
  const ssize_t n = real();
  const int error = errno;
  if (n > 0) Wrote(handle, lseek(fd, 0, SEEK_CUR) - n, parts, count, n);
  errno = error;
  return n;
}

template <class F>
int Sync(int fd, bool data_only, F real) {
  const uint32_t handle = HandleOf(fd);
  if (handle == 0) return real();
  const uint64_t number = g_next_sync++;
  const uint16_t flags = data_only ? kDataOnly : 0;
  {
    const std::scoped_lock lock(g_mutex);
    Append(Op::kSyncBegin, flags, handle, number, 0);
  }
  const int ret = real();
  if (ret != 0) return ret;  // nothing is known: as if it had not been asked for
  const std::scoped_lock lock(g_mutex);
  Append(Op::kSyncEnd, flags, handle, number, 0);
  return 0;
}

template <class F>
int Duplicate(int fd, F real) {
  if (!Recording()) return real();  // not the lock in a forked child: another thread may have held it
  const uint32_t handle = HandleOf(fd);
  const std::scoped_lock lock(g_mutex);
  const int copy = real();
  if (copy >= kMaxFd && handle != 0) GiveUp("a descriptor over 65535");
  if (copy >= 0 && copy < kMaxFd) g_handles[copy].store(handle, std::memory_order_release);
  return copy;
}

template <class F>
int ChangeName(Op op, int at, const char* path, F real) {
  std::string name;
  if (!Inside(at, path, &name)) return real();
  const std::scoped_lock lock(g_mutex);
  const int ret = real();
  if (ret == 0) Append(op, 0, 0, 0, 0, name);
  return ret;
}

template <class F>
int ChangeNames(Op op, int at, const char* from, int to_at, const char* to, F real) {
  std::string a, b;
  const bool from_inside = Inside(at, from, &a), to_inside = Inside(to_at, to, &b);
  if (!from_inside && !to_inside) return real();
  const std::scoped_lock lock(g_mutex);
  if (!from_inside || !to_inside) GiveUp("a rename or link across the edge of the folder");
  const int ret = real();
  if (ret == 0) Append(op, 0, 0, 0, 0, a, b);
  return ret;
}

template <class F>
int Truncate(int fd, off_t length, F real) {
  const uint32_t handle = HandleOf(fd);
  if (handle == 0) return real();
  const std::scoped_lock lock(g_mutex);
  const int ret = real();
  if (ret == 0) Append(Op::kTruncate, 0, handle, 0, static_cast<uint64_t>(length));
  return ret;
}

template <class F>
int Allocate(int fd, int mode, off_t offset, off_t length, F real) {
  const uint32_t handle = HandleOf(fd);
  if (handle == 0) return real();
  const std::scoped_lock lock(g_mutex);
  if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0) GiveUp("fallocate that punches, collapses or zeroes");
  const int ret = real();
  const uint16_t flags = (mode & FALLOC_FL_KEEP_SIZE) != 0 ? kKeepSize : 0;
  if (ret == 0) Append(Op::kAllocate, flags, handle, static_cast<uint64_t>(offset), static_cast<uint64_t>(length));
  return ret;
}

// Calls that change a file in a way that is not recorded.
void MustNotTouch(int fd, const char* call) {
  if (HandleOf(fd) == 0) return;
  const std::scoped_lock lock(g_mutex);
  GiveUp(std::string(call) + " on a recorded file");
}

void MustNotTouch(const char* path, const char* call) {
  std::string name;
  if (!Inside(AT_FDCWD, path, &name)) return;
  const std::scoped_lock lock(g_mutex);
  GiveUp(std::string(call) + " of " + name);
}

__attribute__((constructor)) void Begin() {
  const char* root = getenv("POWERLOSS_DIR");
  const char* log = getenv("POWERLOSS_LOG");
  if (root == nullptr || log == nullptr) return;
  if (realpath(root, g_root) == nullptr || std::strcmp(g_root, root) != 0) {
    fprintf(stderr, "powerloss: POWERLOSS_DIR must be an absolute path without links that exists: %s\n", root);
    abort();
  }
  const int fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  if (fd < 0) {
    perror("powerloss: POWERLOSS_LOG");
    abort();
  }
  g_log = static_cast<int>(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900));  // out of the way of the server's own
  if (g_log < 0) g_log = fd;
  unsetenv("LD_PRELOAD");  // children are not recorded
  g_process = getpid();
  g_ready.store(true, std::memory_order_release);
}

mode_t ModeOf(int flags, va_list list) { return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0; }

}  // namespace
}  // namespace powerloss

// ---- the calls ----

using namespace powerloss;
#define EXPORT extern "C" __attribute__((visibility("default")))

#define DEFINE_OPEN(name)                                                              \
  EXPORT int name(const char* path, int flags, ...) {                                  \
    va_list list;                                                                      \
    va_start(list, flags);                                                             \
    const mode_t mode = ModeOf(flags, list);                                           \
    va_end(list);                                                                      \
    return Open(AT_FDCWD, path, flags, [&] { return REAL(name)(path, flags, mode); }); \
  }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

#define DEFINE_OPENAT(name)                                                          \
  EXPORT int name(int at, const char* path, int flags, ...) {                        \
    va_list list;                                                                    \
    va_start(list, flags);                                                           \
    const mode_t mode = ModeOf(flags, list);                                         \
    va_end(list);                                                                    \
    return Open(at, path, flags, [&] { return REAL(name)(at, path, flags, mode); }); \
  }
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

// What _FORTIFY_SOURCE makes of an open without a mode.
EXPORT int __open_2(const char* path, int flags) { return open(path, flags); }
EXPORT int __open64_2(const char* path, int flags) { return open64(path, flags); }
EXPORT int __openat_2(int at, const char* path, int flags) { return openat(at, path, flags); }
EXPORT int __openat64_2(int at, const char* path, int flags) { return openat64(at, path, flags); }

EXPORT int creat(const char* path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
EXPORT int creat64(const char* path, mode_t mode) { return open64(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

EXPORT FILE* fopen(const char* path, const char* mode) {
  if (std::strpbrk(mode, "wa+") != nullptr) MustNotTouch(path, "fopen to write");
  return REAL(fopen)(path, mode);
}
EXPORT FILE* fopen64(const char* path, const char* mode) {
  if (std::strpbrk(mode, "wa+") != nullptr) MustNotTouch(path, "fopen to write");
  return REAL(fopen64)(path, mode);
}

EXPORT ssize_t pwrite(int fd, const void* data, size_t n, off_t offset) {
  const iovec part{const_cast<void*>(data), n};
  return WriteAt(fd, &part, 1, offset, [&] { return REAL(pwrite)(fd, data, n, offset); });
}
EXPORT ssize_t pwrite64(int fd, const void* data, size_t n, off64_t offset) {
  const iovec part{const_cast<void*>(data), n};
  return WriteAt(fd, &part, 1, offset, [&] { return REAL(pwrite64)(fd, data, n, offset); });
}
EXPORT ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  return WriteAt(fd, parts, count, offset, [&] { return REAL(pwritev)(fd, parts, count, offset); });
}
EXPORT ssize_t pwritev64(int fd, const iovec* parts, int count, off64_t offset) {
  return WriteAt(fd, parts, count, offset, [&] { return REAL(pwritev64)(fd, parts, count, offset); });
}
EXPORT ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset, int flags) {
  if (flags != 0 || offset == -1) MustNotTouch(fd, "pwritev2 with flags");
  return WriteAt(fd, parts, count, offset, [&] { return REAL(pwritev2)(fd, parts, count, offset, flags); });
}
EXPORT ssize_t pwritev64v2(int fd, const iovec* parts, int count, off64_t offset, int flags) {
  return pwritev2(fd, parts, count, offset, flags);
}
EXPORT ssize_t write(int fd, const void* data, size_t n) {
  const iovec part{const_cast<void*>(data), n};
  return WriteHere(fd, &part, 1, [&] { return REAL(write)(fd, data, n); });
}
EXPORT ssize_t writev(int fd, const iovec* parts, int count) {
  return WriteHere(fd, parts, count, [&] { return REAL(writev)(fd, parts, count); });
}

EXPORT int fsync(int fd) {
  return Sync(fd, false, [&] { return REAL(fsync)(fd); });
}
EXPORT int fdatasync(int fd) {
  return Sync(fd, true, [&] { return REAL(fdatasync)(fd); });
}
// It starts or awaits writing of pages and flushes neither the file's size nor the disk's cache: no promise, no record.
EXPORT int sync_file_range(int fd, off64_t offset, off64_t n, unsigned flags) {
  return REAL(sync_file_range)(fd, offset, n, flags);
}

EXPORT int ftruncate(int fd, off_t length) noexcept {
  return Truncate(fd, length, [&] { return REAL(ftruncate)(fd, length); });
}
EXPORT int ftruncate64(int fd, off64_t length) noexcept {
  return Truncate(fd, length, [&] { return REAL(ftruncate64)(fd, length); });
}
EXPORT int truncate(const char* path, off_t length) noexcept {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const int ret = ftruncate(fd, length);
  close(fd);
  return ret;
}
EXPORT int truncate64(const char* path, off64_t length) noexcept { return truncate(path, length); }
EXPORT int fallocate(int fd, int mode, off_t offset, off_t length) {
  return Allocate(fd, mode, offset, length, [&] { return REAL(fallocate)(fd, mode, offset, length); });
}
EXPORT int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  return Allocate(fd, mode, offset, length, [&] { return REAL(fallocate64)(fd, mode, offset, length); });
}
EXPORT int posix_fallocate(int fd, off_t offset, off_t length) {
  return Allocate(fd, 0, offset, length, [&] { return REAL(posix_fallocate)(fd, offset, length); });
}
EXPORT int posix_fallocate64(int fd, off64_t offset, off64_t length) {
  return Allocate(fd, 0, offset, length, [&] { return REAL(posix_fallocate64)(fd, offset, length); });
}

EXPORT int rename(const char* from, const char* to) noexcept {
  return ChangeNames(Op::kRename, AT_FDCWD, from, AT_FDCWD, to, [&] { return REAL(rename)(from, to); });
}
EXPORT int renameat(int at, const char* from, int to_at, const char* to) noexcept {
  return ChangeNames(Op::kRename, at, from, to_at, to, [&] { return REAL(renameat)(at, from, to_at, to); });
}
EXPORT int renameat2(int at, const char* from, int to_at, const char* to, unsigned flags) noexcept {
  if ((flags & ~RENAME_NOREPLACE) != 0) MustNotTouch(from, "renameat2 with flags");
  return ChangeNames(Op::kRename, at, from, to_at, to, [&] { return REAL(renameat2)(at, from, to_at, to, flags); });
}
EXPORT int link(const char* from, const char* to) noexcept {
  return ChangeNames(Op::kLink, AT_FDCWD, from, AT_FDCWD, to, [&] { return REAL(link)(from, to); });
}
EXPORT int linkat(int at, const char* from, int to_at, const char* to, int flags) noexcept {
  return ChangeNames(Op::kLink, at, from, to_at, to, [&] { return REAL(linkat)(at, from, to_at, to, flags); });
}
EXPORT int symlink(const char* target, const char* path) noexcept {
  MustNotTouch(path, "symlink");
  return REAL(symlink)(target, path);
}
EXPORT int unlink(const char* path) noexcept {
  return ChangeName(Op::kUnlink, AT_FDCWD, path, [&] { return REAL(unlink)(path); });
}
EXPORT int rmdir(const char* path) noexcept {
  return ChangeName(Op::kRemoveDir, AT_FDCWD, path, [&] { return REAL(rmdir)(path); });
}
EXPORT int unlinkat(int at, const char* path, int flags) noexcept {
  const Op op = (flags & AT_REMOVEDIR) != 0 ? Op::kRemoveDir : Op::kUnlink;
  return ChangeName(op, at, path, [&] { return REAL(unlinkat)(at, path, flags); });
}
// The C library's own remove calls its unlink past this library.
EXPORT int remove(const char* path) noexcept {
  if (unlink(path) == 0) return 0;
  return errno == EISDIR || errno == EPERM ? rmdir(path) : -1;
}
EXPORT int mkdir(const char* path, mode_t mode) noexcept {
  return ChangeName(Op::kMakeDir, AT_FDCWD, path, [&] { return REAL(mkdir)(path, mode); });
}
EXPORT int mkdirat(int at, const char* path, mode_t mode) noexcept {
  return ChangeName(Op::kMakeDir, at, path, [&] { return REAL(mkdirat)(at, path, mode); });
}

EXPORT int close(int fd) {
  if (HandleOf(fd) == 0) return REAL(close)(fd);
  const std::scoped_lock lock(g_mutex);
  Append(Op::kClose, 0, g_handles[fd].exchange(0), 0, 0);
  return REAL(close)(fd);
}
EXPORT int dup(int fd) noexcept {
  return Duplicate(fd, [&] { return REAL(dup)(fd); });
}
EXPORT int dup2(int fd, int to) noexcept {
  return Duplicate(fd, [&] { return REAL(dup2)(fd, to); });
}
EXPORT int dup3(int fd, int to, int flags) noexcept {
  return Duplicate(fd, [&] { return REAL(dup3)(fd, to, flags); });
}

#define DEFINE_FCNTL(name)                                                \
  EXPORT int name(int fd, int command, ...) {                             \
    va_list list;                                                         \
    va_start(list, command);                                              \
    void* argument = va_arg(list, void*);                                 \
    va_end(list);                                                         \
    const auto real = [&] { return REAL(name)(fd, command, argument); };  \
    const bool copies = command == F_DUPFD || command == F_DUPFD_CLOEXEC; \
    return copies ? Duplicate(fd, real) : real();                         \
  }
DEFINE_FCNTL(fcntl)
DEFINE_FCNTL(fcntl64)

EXPORT void* mmap(void* at, size_t n, int protection, int flags, int fd, off_t offset) noexcept {
  const bool writes = (protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0;
  if (fd >= 0 && writes) MustNotTouch(fd, "a shared writable mmap");
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, n, protection, flags, fd, offset));
}
EXPORT void* mmap64(void* at, size_t n, int protection, int flags, int fd, off64_t offset) noexcept {
  return mmap(at, n, protection, flags, fd, offset);
}
EXPORT ssize_t copy_file_range(int in, off64_t* in_at, int out, off64_t* out_at, size_t n, unsigned flags) {
  MustNotTouch(out, "copy_file_range");
  return REAL(copy_file_range)(in, in_at, out, out_at, n, flags);
}
EXPORT ssize_t sendfile(int out, int in, off_t* offset, size_t n) noexcept {
  MustNotTouch(out, "sendfile");
  return static_cast<ssize_t>(syscall(SYS_sendfile, out, in, offset, n));
}
EXPORT ssize_t sendfile64(int out, int in, off64_t* offset, size_t n) noexcept { return sendfile(out, in, offset, n); }
EXPORT ssize_t splice(int in, off64_t* in_at, int out, off64_t* out_at, size_t n, unsigned flags) {
  MustNotTouch(out, "splice");
  return REAL(splice)(in, in_at, out, out_at, n, flags);
}
