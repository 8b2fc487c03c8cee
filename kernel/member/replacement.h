// How far the replacement of a member whose log is lost has come: the file REPLACE of its data directory.
//
// A member without its log never comes back under its id. `tenonutl member replace` lets the cluster remove it and add
// another one in its place. It writes this file before it changes anything, and again when it knows the new member's
// id: by then nothing of the former one is where a server looks. The server's start joins as that new member, whatever
// its flags say of a first start, and does not start as long as there is no id. Once the new member votes the file
// goes.
//
//   tenon 1 replace
//   cluster cdf818194e3a8c32
//   former 8e9e05c52164694d
//   member 91bc3c398fb3c146                       (0: not known yet)
//   peer-urls http://10.0.0.3:2380                (the former's and the new one's)
//   others http://10.0.0.1:2380,http://10.0.0.2:2380
//   crc32c 5e0d9b1a                               (of the lines above)
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/base/status.h"
#include "kernel/ports/disk.h"

namespace tenon {

struct Replacement {
  uint64_t cluster_id = 0;
  MemberId former = 0;
  MemberId member = 0;
  std::vector<std::string> peer_urls;
  std::vector<std::string> others;  // peer URLs of the other members: where to ask who there is

  bool operator==(const Replacement&) const = default;

  // Nothing: no replacement is under way. DataLoss: the file is not as Write leaves it.
  static Result<std::optional<Replacement>> Read(Disk& disk, const std::string& data_dir);
  // Survives power loss when it returns OK; cut off before, the former file is there as it was.
  Status Write(Disk& disk, const std::string& data_dir) const;
  static Status Remove(Disk& disk, const std::string& data_dir);  // OK if there is none
};

}  // namespace tenon
