#include "kernel/member/replacement.h"

#include <charconv>
#include <string_view>

#include "fmt/ranges.h"
#include "kernel/base/crc32c.h"
#include "kernel/member/data_dir.h"

namespace tenon {
namespace {

constexpr char kName[] = "REPLACE";
constexpr std::string_view kHead = "tenon 1 replace\n";
constexpr size_t kMostBytes = 1 << 20;

// Takes a line "NAME VALUE" from the front.
bool TakeLine(std::string_view& text, std::string_view name, std::string_view& value) {
  const size_t end = text.find('\n');
  if (end == text.npos || !text.starts_with(name) || text.substr(name.size(), 1) != " ") return false;
  value = text.substr(name.size() + 1, end - name.size() - 1);
  text.remove_prefix(end + 1);
  return true;
}

bool TakeNumber(std::string_view& text, std::string_view name, uint64_t& number) {
  std::string_view value;
  if (!TakeLine(text, name, value)) return false;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number, 16);
  return error == std::errc() && end == value.data() + value.size();
}

bool TakeList(std::string_view& text, std::string_view name, std::vector<std::string>& list) {
  std::string_view value;
  if (!TakeLine(text, name, value)) return false;
  while (!value.empty()) {
    const size_t comma = std::min(value.find(','), value.size());
    list.emplace_back(value.substr(0, comma));
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
  return true;
}

}  // namespace

Result<std::optional<Replacement>> Replacement::Read(Disk& disk, const std::string& data_dir) {
  const std::string path = fmt::format("{}/{}", data_dir, kName);
  const Result<std::unique_ptr<File>> file = disk.OpenFile(path, Disk::Open::kRead);
  if (absl::IsNotFound(file.status())) return std::nullopt;
  RETURN_IF_ERROR(file);
  ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
  std::string bytes(std::min<uint64_t>(size, kMostBytes), '\0');
  ASSIGN_OR_RETURN(const size_t n, (*file)->ReadAt(0, bytes.data(), bytes.size()));
  bytes.resize(n);

  std::string_view text = bytes;
  Replacement out;
  uint64_t crc = 0;
  const bool headed = text.starts_with(kHead);
  if (headed) text.remove_prefix(kHead.size());
  const bool read = headed && TakeNumber(text, "cluster", out.cluster_id) && TakeNumber(text, "former", out.former) &&
                    TakeNumber(text, "member", out.member) && TakeList(text, "peer-urls", out.peer_urls) &&
                    TakeList(text, "others", out.others);
  const size_t covered = bytes.size() - text.size();
  if (!read || !TakeNumber(text, "crc32c", crc) || !text.empty() ||
      crc != Crc32c(0, std::string_view(bytes).substr(0, covered))) {
    return absl::DataLossError(
        fmt::format("{} is damaged: remove it; tenonutl member replace says then what is left to do", path));
  }
  return out;
}

Status Replacement::Write(Disk& disk, const std::string& data_dir) const {
  std::string text = fmt::format("{}cluster {:x}\nformer {:x}\nmember {:x}\npeer-urls {}\nothers {}\n", kHead,
                                 cluster_id, former, member, fmt::join(peer_urls, ","), fmt::join(others, ","));
  text += fmt::format("crc32c {:08x}\n", Crc32c(0, text));
  return WriteWhole(disk, data_dir, kName, text);
}

Status Replacement::Remove(Disk& disk, const std::string& data_dir) {
  const Status removed = disk.Remove(fmt::format("{}/{}", data_dir, kName));
  if (absl::IsNotFound(removed)) return Ok();
  RETURN_IF_ERROR(removed);
  return disk.SyncDirectory(data_dir);
}

}  // namespace tenon
