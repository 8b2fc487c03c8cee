// The engine's folder: what is in it, who may open it, and whether its files are all there.
//
//   DIR/lock     held (flock) while the store is open
//   DIR/wt       WiredTiger's home; appears by rename, when an empty store is already durable in it
//   DIR/wt.new   a store whose making was interrupted; never held data
//
// So a missing file inside wt is damage and can never be taken for a store that was about to be made.
#pragma once
#include <string>

#include "plugins/storage-wiredtiger/connection.h"

namespace tenon::storage_wiredtiger {

class Layout {
 public:
  explicit Layout(std::string directory) : directory_(std::move(directory)) {}
  ~Layout();
  Layout(const Layout&) = delete;

  // Takes the lock. PRECONDITION: another holds it, or there are files that are not ours.
  void Lock();
  // Is there a store? CORRUPT: there is, but a file that every store has is missing or empty.
  bool Exists() const;
  // A fresh folder to make a store in, and its move to its place.
  std::string BeginNew() const;
  void CommitNew() const;
  std::string home() const { return directory_ + "/wt"; }

 private:
  std::string directory_;
  int lock_ = -1;
};

// CORRUPT if a file of the open database is missing or cut: WiredTiger itself would open it and panic at the first read
// behind the cut. Before any table is opened.
void CheckFiles(const Connection& connection, WT_SESSION* session, const std::string& home);

}  // namespace tenon::storage_wiredtiger
