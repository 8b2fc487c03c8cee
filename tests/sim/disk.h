// The seeded disk: MemoryDisk, which knows what survives a crash, plus faults, delays and the trace.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/faults.h"
#include "tests/sim/log_watch.h"
#include "tests/sim/scheduler.h"
#include "tests/support/memory_disk.h"

namespace tenon::sim {

class SimDisk : public Disk {
 public:
  SimDisk(size_t machine, uint64_t seed, Scheduler& scheduler, LogWatch& logs, Trace& trace, Counts& counts,
          Mutant mutant)
      : machine_(machine),
        platter_(seed),
        random_(seed ^ 0x5d15c),
        scheduler_(scheduler),
        logs_(logs),
        trace_(trace),
        counts_(counts),
        mutant_(mutant) {}

  // --- Disk
  Result<std::unique_ptr<File>> OpenFile(const std::string& path, Open how) override;
  Result<std::vector<std::string>> List(const std::string& directory) override { return platter_.List(directory); }
  Result<bool> Exists(const std::string& path) override { return platter_.Exists(path); }
  Status MakeDirectory(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status RemoveTree(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override { return platter_.Lock(path); }
  Result<DiskSpace> Space(const std::string& path) override { return platter_.Space(path); }

  // The engine that keeps its files in this folder is told when somebody removes it.
  void OnRemoved(std::string folder, std::function<void()> fn) {
    watched_folder_ = std::move(folder);
    removed_ = std::move(fn);
  }

  // --- Faults: armed now, they strike at a later operation. 0: the next one of its kind.
  void ArmWriteError(uint64_t after) { write_error_in_ = after; }
  void ArmSyncError(uint64_t after) { sync_error_in_ = after; }
  void ArmPowerCut(uint64_t after) { power_cut_in_ = after; }
  void Disarm() {
    write_error_in_.reset();
    sync_error_in_.reset();
    power_cut_in_.reset();
    slow_until_ns_ = 0;
    if (!stuck()) Unstick();
  }
  void SetSlowUntil(uint64_t mono_ns) { slow_until_ns_ = mono_ns; }
  bool slow() const { return slow_until_ns_ > scheduler_.MonoNs(); }
  // The next sync of the log, which runs on that thread, begins only after so long and holds the thread up; what is
  // synced meanwhile is slow. `began` is called when it does.
  void Stick(Scheduler::Queue& log_thread, uint64_t for_ns, std::function<void()> began);
  bool stuck() const { return stuck_until_ns_ > scheduler_.MonoNs(); }
  void FillUp(uint64_t spare_bytes);
  void MakeSpace();
  bool full() const { return full_; }

  bool power_is_off() const { return power_is_off_; }
  // Since the last crash: an operation failed by our doing, so the member may refuse to start or stop.
  bool struck() const { return struck_; }
  // Since the last crash: a sync failed on which acknowledgements depend.
  bool sync_failed() const { return sync_failed_; }

  // After it files are as a new process finds them. Armed faults stay armed.
  void KillProcess();
  void LosePower(MemoryDisk::Loss loss);

  // Flips a bit in a record of the log; false: there is none. Undone by Repair.
  bool Damage(const std::string& wal_dir, Random& random);
  // A folder with all that is in it is gone, for good.
  void Lose(const std::string& path);
  // Flips a bit anywhere in a file; it stays.
  void DamageCopy(const std::string& path, Random& random);
  void Repair();
  // Makes good the flipped bit alone, if it is still there, and forgets it. What was written since stays.
  void HealDamage();
  bool damaged() const { return damage_.has_value(); }

 private:
  class SimFile;
  Status Before(std::string_view operation, const std::string& path, uint64_t bytes, uint64_t typical_ns);
  Status Changing(std::string_view operation, const std::string& path, uint64_t bytes, uint64_t typical_ns);
  void WaitWhileStuck(bool is_log);
  void Unstick();
  void Restarted();

  struct DamageDone {
    std::string path, before;
    uint64_t record;  // where the damaged record begins
    uint64_t at;      // the byte
    char damaged;     // what it became
    bool wiped;       // by the mutant's reader
  };

  const size_t machine_;
  MemoryDisk platter_;
  Random random_;
  Scheduler& scheduler_;
  LogWatch& logs_;
  Trace& trace_;
  Counts& counts_;
  const Mutant mutant_;
  std::optional<uint64_t> write_error_in_, sync_error_in_, power_cut_in_;
  uint64_t slow_until_ns_ = 0;
  uint64_t stick_for_ns_ = 0, stuck_until_ns_ = 0;
  Scheduler::Queue* stuck_thread_ = nullptr;
  std::function<void()> stuck_began_;
  bool full_ = false, power_is_off_ = false, struck_ = false, sync_failed_ = false;
  std::optional<DamageDone> damage_;
  std::string watched_folder_;
  std::function<void()> removed_;
  std::vector<std::weak_ptr<std::string>> open_paths_;
};

}  // namespace tenon::sim
