#include "tests/sim/disk.h"

#include <algorithm>
#include <utility>

#include "kernel/wal/record.h"

namespace tenon::sim {
namespace {

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}
bool Strikes(std::optional<uint64_t>& in) {
  if (!in) return false;
  if ((*in)-- > 0) return false;
  in.reset();
  return true;
}

}  // namespace

class SimDisk::SimFile : public File {
 public:
  SimFile(SimDisk& disk, std::unique_ptr<File> file, std::shared_ptr<std::string> path)
      : disk_(disk), file_(std::move(file)), shared_path_(std::move(path)) {}

  Status WriteAt(uint64_t offset, std::string_view data) override {
    RETURN_IF_ERROR(disk_.Changing("pwrite", path(), data.size(), 10'000));
    const Status status = file_->WriteAt(offset, data);
    if (status.code() == StatusCode::kResourceExhausted) {
      disk_.counts_[Fault::kDiskFull]++;
      disk_.struck_ = true;
    }
    return status;
  }
  Result<size_t> ReadAt(uint64_t offset, char* to, size_t n) override {
    if (disk_.mutant_ == Mutant::kDamageAccepted && disk_.damage_ && disk_.damage_->path == path() &&
        !std::exchange(disk_.damage_->wiped, true)) {
      // As a reader behaves that takes the first bad record for the end: it wipes what follows.
      std::string cut = disk_.damage_->before;
      std::fill(cut.begin() + static_cast<ptrdiff_t>(disk_.damage_->record), cut.end(), '\0');
      disk_.platter_.SetContents(path(), std::move(cut));
    }
    return file_->ReadAt(offset, to, n);
  }
  Status Sync() override {
    // The log's segments; with the engine's and the mark's nothing is acknowledged.
    const bool is_log = EndsWith(path(), ".wal");
    const bool lies = disk_.mutant_ == Mutant::kAckBeforeSync || disk_.mutant_ == Mutant::kEventBeforeSync;
    if (lies && is_log) return disk_.Before("no sync", path(), 0, 1'000);
    RETURN_IF_ERROR(disk_.Before("fdatasync", path(), 0, 90'000));
    disk_.WaitWhileStuck(is_log);
    if (Strikes(disk_.sync_error_in_)) {
      disk_.counts_[Fault::kSyncError]++;
      disk_.struck_ = true;
      disk_.sync_failed_ |= is_log;
      disk_.platter_.FailOperation(0, StatusCode::kInternal);
    }
    RETURN_IF_ERROR(file_->Sync());
    if (!is_log) return Ok();
    disk_.logs_.Synced(disk_.machine_, path(), [&](uint64_t offset, size_t n) {
      std::string bytes(n, '\0');
      bytes.resize(file_->ReadAt(offset, bytes.data(), n).value_or(0));
      return bytes;
    });
    return Ok();
  }
  Status Truncate(uint64_t size) override {
    RETURN_IF_ERROR(disk_.Changing("ftruncate", path(), size, 20'000));
    return file_->Truncate(size);
  }
  Status Reserve(uint64_t size) override {
    RETURN_IF_ERROR(disk_.Changing("fallocate", path(), size, 20'000));
    return file_->Reserve(size);
  }
  Result<uint64_t> Size() override { return file_->Size(); }

 private:
  const std::string& path() const { return *shared_path_; }

  SimDisk& disk_;
  const std::unique_ptr<File> file_;
  const std::shared_ptr<std::string> shared_path_;  // as of the last rename
};

Status SimDisk::Before(std::string_view operation, const std::string& path, uint64_t bytes, uint64_t typical_ns) {
  trace_.Add(operation);
  trace_.Add(path);
  trace_.Add(bytes);
  uint64_t took = random_.Between(typical_ns / 2, typical_ns * 2);
  if (scheduler_.MonoNs() < slow_until_ns_) took += random_.Between(1'000'000, 400'000'000);
  scheduler_.Spend(took);
  if (Strikes(power_cut_in_)) {
    counts_[Fault::kPowerCut]++;
    power_is_off_ = true;
    struck_ = true;
    platter_.CutPowerAt(0);
  }
  return Ok();
}

void SimDisk::WaitWhileStuck(bool is_log) {
  const uint64_t now = scheduler_.MonoNs();
  if (is_log && stick_for_ns_ > 0 && scheduler_.MayStandStill()) {
    stuck_until_ns_ = now + std::exchange(stick_for_ns_, 0);
    counts_[Fault::kStuckDisk]++;
    stuck_began_();
    scheduler_.StandStill(stuck_until_ns_);
    Unstick();
  } else if (stuck_until_ns_ > now) {
    // Other files: what is done behind this is seen at once, so it may not be late for ever.
    scheduler_.Spend(std::min<uint64_t>(stuck_until_ns_ - now, 2'000'000'000));
  }
}

void SimDisk::Stick(Scheduler::Queue& log_thread, uint64_t for_ns, std::function<void()> began) {
  if (stuck()) return;
  stuck_thread_ = &log_thread;
  log_thread.set_may_stand_still(true);
  stick_for_ns_ = for_ns;
  stuck_began_ = std::move(began);
}

void SimDisk::Unstick() {
  if (stuck_thread_ != nullptr) stuck_thread_->set_may_stand_still(false);
  stuck_thread_ = nullptr;
  stick_for_ns_ = stuck_until_ns_ = 0;
}

Status SimDisk::Changing(std::string_view operation, const std::string& path, uint64_t bytes, uint64_t typical_ns) {
  RETURN_IF_ERROR(Before(operation, path, bytes, typical_ns));
  if (!power_is_off_ && Strikes(write_error_in_)) {
    counts_[Fault::kWriteError]++;
    struck_ = true;
    platter_.FailOperation(0, StatusCode::kInternal);
  }
  return Ok();
}

Result<std::unique_ptr<File>> SimDisk::OpenFile(const std::string& path, Open how) {
  if (how == Open::kCreate || how == Open::kCreateOrTruncate) RETURN_IF_ERROR(Before("open", path, 0, 20'000));
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, platter_.OpenFile(path, how));
  auto name = std::make_shared<std::string>(path);
  std::erase_if(open_paths_, [](const auto& open) { return open.expired(); });
  open_paths_.push_back(name);
  return std::unique_ptr<File>(std::make_unique<SimFile>(*this, std::move(file), std::move(name)));
}
Status SimDisk::MakeDirectory(const std::string& path) {
  RETURN_IF_ERROR(Before("mkdir", path, 0, 20'000));
  return platter_.MakeDirectory(path);
}
Status SimDisk::Rename(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(Changing("rename", to, 0, 20'000));
  RETURN_IF_ERROR(platter_.Rename(from, to));
  for (const auto& open : open_paths_) {
    if (const auto name = open.lock(); name != nullptr && *name == from) *name = to;
  }
  return Ok();
}
Status SimDisk::Remove(const std::string& path) {
  RETURN_IF_ERROR(Before("unlink", path, 0, 20'000));
  return platter_.Remove(path);
}
Status SimDisk::RemoveTree(const std::string& path) {
  RETURN_IF_ERROR(Before("remove", path, 0, 20'000));
  RETURN_IF_ERROR(platter_.RemoveTree(path));
  if (removed_ && path == watched_folder_) removed_();
  return Ok();
}
Status SimDisk::SyncDirectory(const std::string& path) {
  RETURN_IF_ERROR(Changing("fsync", path, 0, 60'000));
  return platter_.SyncDirectory(path);
}

void SimDisk::FillUp(uint64_t spare_bytes) {
  platter_.SetCapacity(UINT64_MAX - 1);
  const uint64_t used = UINT64_MAX - 1 - platter_.Space("/")->free_bytes;
  platter_.SetCapacity(used + spare_bytes);
  full_ = true;
}
void SimDisk::MakeSpace() {
  platter_.SetCapacity(UINT64_MAX);
  full_ = false;
}

void SimDisk::Restarted() {
  power_cut_in_.reset();
  Unstick();  // a new process finds a disk that answers
  power_is_off_ = struck_ = sync_failed_ = false;
}
void SimDisk::KillProcess() {
  Restarted();
  platter_.KillProcess();
}
void SimDisk::LosePower(MemoryDisk::Loss loss) {
  Restarted();
  platter_.LosePower(loss);
}

bool SimDisk::Damage(const std::string& wal_dir, Random& random) {
  const auto names = platter_.List(wal_dir);
  if (!names.ok()) return false;
  std::vector<std::string> segments;
  for (const std::string& name : *names) {
    if (EndsWith(name, ".wal")) segments.push_back(name);
  }
  if (segments.empty()) return false;
  const std::string path =
      wal_dir + "/" + segments[random.Chance(70) ? segments.size() - 1 : random.Below(segments.size())];
  const std::string bytes = platter_.Contents(path);
  struct Place {
    uint64_t record, data, size;
  };
  std::vector<Place> places;
  for (uint64_t at = 0; at < bytes.size();) {
    const wal::Frame frame = wal::LookAt(bytes, at);
    if (frame.kind != wal::Frame::Kind::kRecord) break;
    if (frame.type == wal::RecordType::kEntry && !frame.data.empty()) {
      places.push_back({at, static_cast<uint64_t>(frame.data.data() - bytes.data()), frame.data.size()});
    }
    at += frame.size;
  }
  if (places.empty()) return false;
  const Place& place = places[random.Below(places.size())];
  const uint64_t at = place.data + random.Below(place.size);
  std::string damaged = bytes;
  damaged[at] ^= static_cast<char>(1 << random.Below(8));
  damage_ = DamageDone{path, bytes, place.record, at, damaged[at], false};
  platter_.SetContents(path, std::move(damaged));
  return true;
}

void SimDisk::HealDamage() {
  if (damage_ && platter_.Exists(damage_->path).value_or(false)) {
    std::string bytes = platter_.Contents(damage_->path);
    if (damage_->at < bytes.size() && bytes[damage_->at] == damage_->damaged) {
      bytes[damage_->at] = damage_->before[damage_->at];
      platter_.SetContents(damage_->path, std::move(bytes));
    }
  }
  damage_.reset();
}

void SimDisk::DamageCopy(const std::string& path, Random& random) {
  std::string bytes = platter_.Contents(path);
  if (bytes.empty()) return;
  bytes[random.Below(bytes.size())] ^= static_cast<char>(1 << random.Below(8));
  platter_.SetContents(path, std::move(bytes));
}

void SimDisk::Lose(const std::string& path) {
  platter_.RemoveTree(path).IgnoreError();
  platter_.SyncDirectory(path.substr(0, path.rfind('/'))).IgnoreError();
  if (removed_ && path == watched_folder_) removed_();
}

void SimDisk::Repair() {
  if (!damage_) return;
  if (platter_.Exists(damage_->path).value_or(false)) platter_.SetContents(damage_->path, damage_->before);
  damage_.reset();
}

}  // namespace tenon::sim
