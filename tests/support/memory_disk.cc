#include "tests/support/memory_disk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernel/base/check.h"

namespace tenon {
namespace {

constexpr uint64_t kSector = 512;

Status Failed(StatusCode code, std::string_view operation, std::string_view path, std::string_view why) {
  return Status(code, ToAbsl(fmt::format("{} {}: {}", operation, path, why)));
}

std::string_view WordsFor(StatusCode code) {
  switch (code) {
    case StatusCode::kNotFound: return "No such file or directory";
    case StatusCode::kAlreadyExists: return "File exists";
    case StatusCode::kResourceExhausted: return "No space left on device";
    case StatusCode::kUnavailable: return "the power is off";
    default: return "Input/output error";
  }
}
Status Failed(StatusCode code, std::string_view operation, std::string_view path) {
  return Failed(code, operation, path, WordsFor(code));
}

std::vector<std::string> Split(const std::string& path) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    if (const std::string part = path.substr(at, end - at); !part.empty() && part != ".") parts.push_back(part);
    at = end + 1;
  }
  return parts;
}

std::string ParentOf(const std::string& path) {
  const std::vector<std::string> parts = Split(path);
  std::string parent;
  for (size_t i = 0; i + 1 < parts.size(); i++) parent += "/" + parts[i];
  return parent;
}
std::string NameOf(const std::string& path) {
  const std::vector<std::string> parts = Split(path);
  return parts.empty() ? "" : parts.back();
}

}  // namespace

// A write, or (no data) a truncation to `offset`.
struct MemoryDisk::Change {
  uint64_t offset = 0;
  std::optional<std::string> data;

  void ApplyTo(std::string& bytes) const {
    if (!data) return bytes.resize(offset, '\0');
    if (bytes.size() < offset + data->size()) bytes.resize(offset + data->size(), '\0');
    bytes.replace(offset, data->size(), *data);
  }

  // Only what falls into the sector at `begin`; `sector` holds its bytes.
  void ApplyToSector(char* sector, uint64_t begin) const {
    const uint64_t end = begin + kSector;
    if (!data) {
      if (offset < end) std::memset(sector + (std::max(offset, begin) - begin), 0, end - std::max(offset, begin));
      return;
    }
    const uint64_t from = std::max(begin, offset), to = std::min(end, offset + data->size());
    if (from < to) std::memcpy(sector + (from - begin), data->data() + (from - offset), to - from);
  }
  bool Touches(uint64_t begin) const {
    return data ? offset < begin + kSector && begin < offset + data->size() : offset < begin + kSector;
  }
};

struct MemoryDisk::Node {
  bool is_folder = false;
  // A folder: what is seen, what is durable, and the changes between them.
  Names names, durable_names;
  std::vector<Names> name_changes;
  // A file, likewise.
  std::string bytes, durable_bytes;
  std::vector<Change> changes;
};

MemoryDisk::NodePtr MemoryDisk::NewFolder() {
  auto node = std::make_shared<Node>();
  node->is_folder = true;
  return node;
}

class MemoryDisk::MemoryFile : public File {
 public:
  MemoryFile(MemoryDisk& disk, NodePtr node, std::string path, bool writable)
      : disk_(disk), node_(std::move(node)), path_(std::move(path)), writable_(writable), epoch_(disk.epoch_) {}

  Status WriteAt(uint64_t offset, std::string_view data) override {
    std::lock_guard lock(disk_.mutex_);
    RETURN_IF_ERROR(CheckAlive("pwrite"));
    if (!writable_) return Failed(StatusCode::kInternal, "pwrite", path_, "Bad file descriptor");
    Status status = disk_.BeforeChange("pwrite", path_);
    if (status.code() == StatusCode::kUnavailable) return status;
    const uint64_t grows = offset + data.size() > node_->bytes.size() ? offset + data.size() - node_->bytes.size() : 0;
    if (status.ok() && grows > 0 && disk_.capacity_ != UINT64_MAX &&
        disk_.UsedBytes(disk_.root_) + grows > disk_.capacity_) {
      status = Failed(StatusCode::kResourceExhausted, "pwrite", path_);
    }
    if (!status.ok()) {  // a part of it: up to the end of some sector, since the system copies page by page
      const uint64_t sectors = (offset + data.size()) / kSector - offset / kSector;
      const uint64_t whole = disk_.Random(sectors + 1);
      data = whole == 0 ? "" : data.substr(0, (offset / kSector + whole) * kSector - offset);
    }
    if (!data.empty()) Make({offset, std::string(data)});
    return status;
  }

  Result<size_t> ReadAt(uint64_t offset, char* to, size_t n) override {
    std::lock_guard lock(disk_.mutex_);
    RETURN_IF_ERROR(CheckAlive("pread"));
    if (disk_.unreadable_.count(path_) > 0) return Failed(StatusCode::kInternal, "pread", path_);
    if (offset >= node_->bytes.size()) return size_t{0};
    n = std::min<size_t>(n, node_->bytes.size() - offset);
    std::memcpy(to, node_->bytes.data() + offset, n);
    return n;
  }

  Status Sync() override {
    std::lock_guard lock(disk_.mutex_);
    RETURN_IF_ERROR(CheckAlive("fdatasync"));
    const Status status = disk_.BeforeChange("fdatasync", path_);
    if (status.code() == StatusCode::kUnavailable) return status;
    if (status.ok()) {
      for (const Change& change : node_->changes) change.ApplyTo(node_->durable_bytes);
    }
    node_->changes.clear();
    return status;
  }

  Status Truncate(uint64_t size) override {
    std::lock_guard lock(disk_.mutex_);
    RETURN_IF_ERROR(CheckAlive("ftruncate"));
    RETURN_IF_ERROR(disk_.BeforeChange("ftruncate", path_));
    Make({size, std::nullopt});
    return Ok();
  }

  Status Reserve(uint64_t size) override {
    std::lock_guard lock(disk_.mutex_);
    RETURN_IF_ERROR(CheckAlive("fallocate"));
    RETURN_IF_ERROR(disk_.BeforeChange("fallocate", path_));
    if (disk_.capacity_ != UINT64_MAX && disk_.UsedBytes(disk_.root_) + size > disk_.capacity_) {
      return Failed(StatusCode::kResourceExhausted, "fallocate", path_);
    }
    Make({size, std::nullopt});
    return Ok();
  }

  Result<uint64_t> Size() override {
    std::lock_guard lock(disk_.mutex_);
    RETURN_IF_ERROR(CheckAlive("fstat"));
    return node_->bytes.size();
  }

 private:
  Status CheckAlive(std::string_view operation) const {
    if (epoch_ == disk_.epoch_) return Ok();
    return Failed(StatusCode::kFailedPrecondition, operation, path_, "the file was opened before the crash");
  }
  void Make(Change change) {
    change.ApplyTo(node_->bytes);
    node_->changes.push_back(std::move(change));
  }

  MemoryDisk& disk_;
  const NodePtr node_;
  const std::string path_;
  const bool writable_;
  const uint64_t epoch_;
};

class MemoryDisk::MemoryLock : public FileLock {
 public:
  MemoryLock(MemoryDisk& disk, std::string path) : disk_(disk), path_(std::move(path)), epoch_(disk.epoch_) {}
  ~MemoryLock() override {
    std::lock_guard lock(disk_.mutex_);
    if (epoch_ == disk_.epoch_) disk_.locked_.erase(path_);
  }

 private:
  MemoryDisk& disk_;
  const std::string path_;
  const uint64_t epoch_;
};

// --- Disk

Result<std::unique_ptr<File>> MemoryDisk::OpenFile(const std::string& path, Open how) {
  std::lock_guard lock(mutex_);
  const bool creates = how == Open::kCreate || how == Open::kCreateOrTruncate;
  NodePtr node = Find(path);
  if (node != nullptr && how == Open::kCreate) return Failed(StatusCode::kAlreadyExists, "open", path);
  if (node != nullptr && node->is_folder) return Failed(StatusCode::kInternal, "open", path, "Is a directory");
  if (node == nullptr && !creates) return Failed(StatusCode::kNotFound, "open", path);
  if (node == nullptr) {
    ASSIGN_OR_RETURN(const NodePtr folder, FindOr("open", ParentOf(path), true));
    RETURN_IF_ERROR(BeforeChange("open", path));
    node = std::make_shared<Node>();
    Enter(folder, {{NameOf(path), node}});
  } else if (how == Open::kCreateOrTruncate) {
    RETURN_IF_ERROR(BeforeChange("open", path));
    node->changes.push_back({0, std::nullopt});
    node->bytes.clear();
  }
  return std::unique_ptr<File>(std::make_unique<MemoryFile>(*this, node, path, how != Open::kRead));
}

Result<std::vector<std::string>> MemoryDisk::List(const std::string& directory) {
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const NodePtr folder, FindOr("opendir", directory, true));
  std::vector<std::string> names;
  for (const auto& [name, node] : folder->names) names.push_back(name);
  return names;
}

Result<bool> MemoryDisk::Exists(const std::string& path) {
  std::lock_guard lock(mutex_);
  return Find(path) != nullptr;
}

Status MemoryDisk::MakeDirectory(const std::string& path) {
  std::lock_guard lock(mutex_);
  NodePtr at = root_;
  for (const std::string& name : Split(path)) {
    const auto found = at->names.find(name);
    if (found == at->names.end()) {
      RETURN_IF_ERROR(BeforeChange("mkdir", path));
      Enter(at, {{name, NewFolder()}});
    }
    at = at->names[name];
    if (!at->is_folder) return Failed(StatusCode::kInternal, "mkdir", path, "Not a directory");
  }
  return Ok();
}

Status MemoryDisk::Rename(const std::string& from, const std::string& to) {
  std::lock_guard lock(mutex_);
  const NodePtr node = Find(from), target = Find(to);
  if (node == nullptr) return Failed(StatusCode::kNotFound, "rename", from);
  ASSIGN_OR_RETURN(const NodePtr from_folder, FindOr("rename", ParentOf(from), true));
  ASSIGN_OR_RETURN(const NodePtr to_folder, FindOr("rename", ParentOf(to), true));
  if (target != nullptr && (target->is_folder != node->is_folder || !target->names.empty())) {
    return Failed(StatusCode::kInternal, "rename", to, "Directory not empty");
  }
  RETURN_IF_ERROR(BeforeChange("rename", from));
  if (from_folder == to_folder) {
    Enter(from_folder, {{NameOf(from), nullptr}, {NameOf(to), node}});
  } else {
    Enter(to_folder, {{NameOf(to), node}});
    Enter(from_folder, {{NameOf(from), nullptr}});
  }
  return Ok();
}

Status MemoryDisk::Remove(const std::string& path) {
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const NodePtr node, FindOr("unlink", path, false));
  RETURN_IF_ERROR(BeforeChange("unlink", path));
  Enter(Find(ParentOf(path)), {{NameOf(path), nullptr}});
  return Ok();
}

Status MemoryDisk::RemoveTree(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (Find(path) == nullptr) return Ok();
  RETURN_IF_ERROR(BeforeChange("remove", path));
  Enter(Find(ParentOf(path)), {{NameOf(path), nullptr}});
  return Ok();
}

Status MemoryDisk::SyncDirectory(const std::string& path) {
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const NodePtr folder, FindOr("fsync", path == "." ? "" : path, true));
  RETURN_IF_ERROR(BeforeChange("fsync", path));
  folder->durable_names = folder->names;
  folder->name_changes.clear();
  return Ok();
}

Result<std::unique_ptr<FileLock>> MemoryDisk::Lock(const std::string& path) {
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const NodePtr folder, FindOr("open", ParentOf(path), true));
  if (Find(path) == nullptr) {
    RETURN_IF_ERROR(BeforeChange("open", path));
    Enter(folder, {{NameOf(path), std::make_shared<Node>()}});
  }
  if (!locked_.insert(path).second) {
    return Status(StatusCode::kFailedPrecondition, ToAbsl(fmt::format("{}: locked by another process", path)));
  }
  return std::unique_ptr<FileLock>(std::make_unique<MemoryLock>(*this, path));
}

Result<DiskSpace> MemoryDisk::Space(const std::string&) {
  std::lock_guard lock(mutex_);
  const uint64_t used = UsedBytes(root_);
  return DiskSpace{.free_bytes = capacity_ > used ? capacity_ - used : 0, .total_bytes = capacity_};
}

// --- Crashes

void MemoryDisk::KillProcess() {
  std::lock_guard lock(mutex_);
  epoch_++;
  locked_.clear();
  power_cut_at_.reset();
  failures_.clear();
}

void MemoryDisk::LosePower(Loss loss) {
  KillProcess();
  std::lock_guard lock(mutex_);
  Settle(root_, loss);
}

void MemoryDisk::Settle(const NodePtr& node, Loss loss) {
  if (!node->is_folder) return SettleFile(*node, loss);
  Names names = node->durable_names;
  // A journal keeps a beginning of the changes; a file system without one may keep any of them.
  const bool journal = Random(2) == 0;
  const uint64_t kept = loss == Loss::kNothing      ? node->name_changes.size()
                        : loss == Loss::kEverything ? 0
                                                    : Random(node->name_changes.size() + 1);
  for (size_t i = 0; i < node->name_changes.size(); i++) {
    const bool survives = loss != Loss::kRandom || journal ? i < kept : Random(2) == 0;
    if (!survives) continue;
    for (const auto& [name, child] : node->name_changes[i]) {
      if (child == nullptr) {
        names.erase(name);
      } else {
        names[name] = child;
      }
    }
  }
  node->names = node->durable_names = std::move(names);
  node->name_changes.clear();
  for (const auto& [name, child] : node->names) Settle(child, loss);
}

void MemoryDisk::SettleFile(Node& file, Loss loss) {
  std::string bytes = file.durable_bytes;
  if (loss == Loss::kNothing) {
    for (const Change& change : file.changes) change.ApplyTo(bytes);
  }
  if (loss == Loss::kRandom && !file.changes.empty()) {
    // A beginning of the changes is whole on disk; of each sector any state since then may be.
    const uint64_t whole = Random(2) == 0 ? 0 : Random(file.changes.size() + 1);
    for (uint64_t i = 0; i < whole; i++) file.changes[i].ApplyTo(bytes);
    const std::vector<Change> rest(file.changes.begin() + static_cast<ptrdiff_t>(whole), file.changes.end());

    std::vector<uint64_t> sizes = {bytes.size()};
    std::string later = bytes;
    for (const Change& change : rest) {
      change.ApplyTo(later);
      sizes.push_back(later.size());
    }
    const uint64_t size = sizes[Random(sizes.size())];
    bytes.resize((size + kSector - 1) / kSector * kSector, '\0');
    for (uint64_t begin = 0; begin < bytes.size(); begin += kSector) {
      std::vector<const Change*> touching;
      for (const Change& change : rest) {
        if (change.Touches(begin)) touching.push_back(&change);
      }
      const uint64_t kept = Random(touching.size() + 1);
      for (uint64_t i = 0; i < kept; i++) touching[i]->ApplyToSector(bytes.data() + begin, begin);
    }
    bytes.resize(size);
  }
  file.bytes = file.durable_bytes = std::move(bytes);
  file.changes.clear();
}

// --- Faults

uint64_t MemoryDisk::operations() const {
  std::lock_guard lock(mutex_);
  return operations_;
}
void MemoryDisk::FailOperation(uint64_t n, StatusCode code) {
  std::lock_guard lock(mutex_);
  failures_[operations_ + n] = code;
}
void MemoryDisk::CutPowerAt(uint64_t n) {
  std::lock_guard lock(mutex_);
  power_cut_at_ = operations_ + n;
}
void MemoryDisk::SetCapacity(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  capacity_ = bytes;
}
void MemoryDisk::FailReads(const std::string& path) {
  std::lock_guard lock(mutex_);
  unreadable_.insert(path);
}

std::string MemoryDisk::Contents(const std::string& path) const {
  std::lock_guard lock(mutex_);
  const NodePtr node = Find(path);
  CHECK_MSG(node != nullptr && !node->is_folder, path);
  return node->bytes;
}
void MemoryDisk::SetContents(const std::string& path, std::string bytes) {
  std::lock_guard lock(mutex_);
  const NodePtr node = Find(path);
  CHECK_MSG(node != nullptr && !node->is_folder, path);
  node->changes.clear();
  node->bytes = node->durable_bytes = std::move(bytes);
}

// --- Helpers

Status MemoryDisk::BeforeChange(std::string_view operation, const std::string& path) {
  const uint64_t n = operations_;
  if (power_cut_at_ && n >= *power_cut_at_) return Failed(StatusCode::kUnavailable, operation, path);
  operations_++;
  const auto failure = failures_.find(n);
  if (failure != failures_.end()) return Failed(failure->second, operation, path);
  return Ok();
}

MemoryDisk::NodePtr MemoryDisk::Find(const std::string& path) const {
  NodePtr at = root_;
  for (const std::string& name : Split(path)) {
    const auto found = at->names.find(name);
    if (found == at->names.end()) return nullptr;
    at = found->second;
  }
  return at;
}

Result<MemoryDisk::NodePtr> MemoryDisk::FindOr(std::string_view operation, const std::string& path,
                                               bool directory) const {
  NodePtr node = Find(path);
  if (node == nullptr) return Failed(StatusCode::kNotFound, operation, path);
  if (node->is_folder == directory) return node;
  return Failed(StatusCode::kInternal, operation, path, directory ? "Not a directory" : "Is a directory");
}

void MemoryDisk::Enter(const NodePtr& folder, Names change) {
  for (const auto& [name, node] : change) {
    if (node == nullptr) {
      folder->names.erase(name);
    } else {
      folder->names[name] = node;
    }
  }
  folder->name_changes.push_back(std::move(change));
}

uint64_t MemoryDisk::UsedBytes(const NodePtr& node) const {
  uint64_t sum = node->bytes.size();
  for (const auto& [name, child] : node->names) sum += UsedBytes(child);
  return sum;
}

// splitmix64
uint64_t MemoryDisk::Random(uint64_t below) {
  random_ += 0x9e3779b97f4a7c15;
  uint64_t z = random_;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return (z ^ z >> 31) % below;
}

}  // namespace tenon
