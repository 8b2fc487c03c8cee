// A plugin directory of a test's own: files are copied into it from the build tree or made by hand.
#pragma once
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace tenon::plugin {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "tenon-plugins-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = std::filesystem::canonical(name);
    chmod(path_.c_str(), 0755);
  }
  ~Folder() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }
  std::string path(const std::string& name) const { return path_ + "/" + name + ".so"; }

  static std::string Built() { return std::filesystem::canonical("/proc/self/exe").parent_path() / "plugins"; }
  static bool Built(const std::string& name) { return std::filesystem::exists(Built() + "/" + name + ".so"); }

  // Copies a plugin of the build tree here; returns the folder.
  std::string Plugin(const std::string& name, const std::string& as = "") {
    Write(as.empty() ? name : as, Bytes(Built() + "/" + name + ".so"));
    return path_;
  }
  // Makes a file NAME.so.
  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(path(name), std::ios::binary) << bytes;
    chmod(path(name).c_str(), 0755);
  }
  static std::string Bytes(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    EXPECT_TRUE(in.good()) << file;
    std::ostringstream bytes;
    bytes << in.rdbuf();
    return bytes.str();
  }

 private:
  std::string path_;
};

}  // namespace tenon::plugin
