// tenon-floor: how long the disk takes to make a few kilobytes durable. No server can answer a put faster.
//
// The file is written and synced in full before, as Tenon's log segments are: what is measured is the write itself
// and not the file system's bookkeeping for new blocks.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>

#include "bench/h2_client.h"
#include "bench/histogram.h"
#include "kernel/base/status.h"

namespace tenon::bench {
namespace {

constexpr size_t kFileSize = 16 << 20;

Status Errno(std::string_view what) { return absl::InternalError(fmt::format("{}: {}", what, std::strerror(errno))); }

// `rounds` times: write `size` bytes behind the last ones, wait until they are on the disk.
Result<Histogram> Measure(int fd, size_t size, int rounds) {
  const std::string block(size, 'x');
  Histogram times;
  for (int i = 0; i < rounds; i++) {
    const auto at = static_cast<off_t>(static_cast<size_t>(i) * size % kFileSize);
    const uint64_t before = NowNs();
    if (pwrite(fd, block.data(), size, at) != static_cast<ssize_t>(size)) return Errno("pwrite");
    if (fdatasync(fd) != 0) return Errno("fdatasync");
    times.Record(NowNs() - before);
  }
  return times;
}

Status FillAndSync(int fd) {
  const std::string zeros(1 << 20, '\0');
  for (size_t at = 0; at < kFileSize; at += zeros.size()) {
    if (pwrite(fd, zeros.data(), zeros.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(zeros.size())) {
      return Errno("pwrite");
    }
  }
  return fsync(fd) == 0 ? Ok() : Errno("fsync");
}

Status Floor(const std::string& folder, int rounds, bool json) {
  std::string name = folder + "/tenon-floor-XXXXXX";
  const int fd = mkstemp(name.data());
  if (fd < 0) return Errno(name);
  unlink(name.c_str());  // nothing stays, however we end
  RETURN_IF_ERROR(FillAndSync(fd));
  ASSIGN_OR_RETURN(const Histogram small, Measure(fd, 4 << 10, rounds));
  ASSIGN_OR_RETURN(const Histogram large, Measure(fd, 16 << 10, rounds));
  close(fd);
  if (json) {
    fmt::print(
        "{{\"rounds\": {}, \"4k_p50_us\": {:.1f}, \"4k_p99_us\": {:.1f}, \"16k_p50_us\": {:.1f}, "
        "\"16k_p99_us\": {:.1f}}}\n",
        rounds, small.Quantile(0.5) / 1e3, small.Quantile(0.99) / 1e3, large.Quantile(0.5) / 1e3,
        large.Quantile(0.99) / 1e3);
  } else {
    fmt::print(
        "write + fdatasync into a written file, {} rounds: 4 KiB p50 {:.0f} us p99 {:.0f} us, 16 KiB p50 {:.0f} "
        "us p99 {:.0f} us\n",
        rounds, small.Quantile(0.5) / 1e3, small.Quantile(0.99) / 1e3, large.Quantile(0.5) / 1e3,
        large.Quantile(0.99) / 1e3);
  }
  return Ok();
}

int Main(int argc, char** argv) {
  CLI::App app("What the disk allows: write + fdatasync of 4 and 16 KiB into a file that is already written.",
               "tenon-floor");
  std::string folder = ".";
  int rounds = 1000;
  bool json = false;
  app.add_option("--dir", folder, "a folder on the disk to measure")->capture_default_str();
  app.add_option("--rounds", rounds, "writes of each size")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_flag("--json", json, "print JSON");
  CLI11_PARSE(app, argc, argv);
  const Status status = Floor(folder, rounds, json);
  if (!status.ok()) fmt::print(stderr, "tenon-floor: {}\n", Message(status));
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace tenon::bench

int main(int argc, char** argv) { return tenon::bench::Main(argc, argv); }
