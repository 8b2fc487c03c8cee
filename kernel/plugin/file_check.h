// Is this file one that nobody but root and ourselves can have written?
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "kernel/base/status.h"

namespace tenon::plugin {

struct PluginFile {
  std::string path;  // canonical
  std::string bytes;
  std::string sha256;  // lower case hex
  dev_t device = 0;
  ino_t inode = 0;
};

// Reads the file after checking what it is, its owner and mode, and those of the directory it lies in (a sticky
// directory such as /tmp counts as safe: nobody else can replace the file there).
// The sentences begin with "plugin PATH".
Result<PluginFile> ReadTrustedFile(const std::string& path, const std::vector<uid_t>& trusted_owners);

// Does the file have the SHA-256 that the configuration pins? An empty pin is no pin.
Status CheckPin(const PluginFile& file, const std::string& pin);

}  // namespace tenon::plugin
