// A Disk in memory that fails as real ones do: the twin of kernel/os/disk.h for tests and the simulator.
//
// It keeps apart what a process sees and what is on the platter. A power loss keeps of what was not synced
//   - for each sector of 512 bytes any of its states since the last sync (so writes are torn and reordered),
//   - any of the sizes that the file had,
//   - any of the names that were made, moved or removed without SyncDirectory, each move within a folder as a whole,
// chosen by the seed. Everything is deterministic: the same seed and calls give the same losses. Operations that change
// something are counted, so that a test can fail or cut each of them in turn. [any thread]
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kernel/ports/disk.h"

namespace tenon {

class MemoryDisk : public Disk {
 public:
  explicit MemoryDisk(uint64_t seed = 1) : random_(seed) {}

  // --- Disk
  Result<std::unique_ptr<File>> OpenFile(const std::string& path, Open how) override;
  Result<std::vector<std::string>> List(const std::string& directory) override;
  Result<bool> Exists(const std::string& path) override;
  Status MakeDirectory(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status RemoveTree(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override;
  Result<DiskSpace> Space(const std::string& path) override;

  // --- Crashes. Both end all open files and locks: their later calls fail.
  enum class Loss {
    kEverything,  // nothing that was not synced survives
    kNothing,     // the system wrote back everything just in time
    kRandom,
  };
  void LosePower(Loss loss = Loss::kRandom);
  void KillProcess();  // the page cache stays

  // --- Faults. n counts the changing operations from now; 0 is the next one.
  uint64_t operations() const;
  // It fails with `code` and changes nothing; but a failed WriteAt may have written a part, and a failed Sync has
  // forgotten what it was to make durable while readers still see it, as Linux does (ATC'20, fsync failures).
  void FailOperation(uint64_t n, StatusCode code);
  // The power goes before it: it and all that follow fail and change nothing, until LosePower or KillProcess.
  void CutPowerAt(uint64_t n);
  void SetCapacity(uint64_t bytes);         // ResourceExhausted when files grow beyond it in sum
  void FailReads(const std::string& path);  // a bad sector: each ReadAt fails

  // --- The platter, for damage at rest: what is set is seen and durable at once.
  std::string Contents(const std::string& path) const;  // as a process sees it
  void SetContents(const std::string& path, std::string bytes);

 private:
  struct Change;  // of a file: bytes written or a new size
  struct Node;    // a file or a folder
  class MemoryFile;
  class MemoryLock;
  using NodePtr = std::shared_ptr<Node>;
  using Names = std::map<std::string, NodePtr>;

  // All need mutex_.
  Status BeforeChange(std::string_view operation, const std::string& path);
  NodePtr Find(const std::string& path) const;
  Result<NodePtr> FindOr(std::string_view operation, const std::string& path, bool directory) const;
  void Enter(const NodePtr& folder, std::map<std::string, NodePtr> change);  // null: removes the name
  uint64_t UsedBytes(const NodePtr& node) const;
  void Settle(const NodePtr& node, Loss loss);
  void SettleFile(Node& file, Loss loss);
  uint64_t Random(uint64_t below);

  mutable std::mutex mutex_;
  uint64_t random_;
  NodePtr root_ = NewFolder();
  uint64_t epoch_ = 0;  // counts crashes: files opened before are dead
  uint64_t operations_ = 0;
  std::optional<uint64_t> power_cut_at_;
  std::map<uint64_t, StatusCode> failures_;
  uint64_t capacity_ = UINT64_MAX;
  std::set<std::string> locked_, unreadable_;

  static NodePtr NewFolder();
};

}  // namespace tenon
