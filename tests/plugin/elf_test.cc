#include "kernel/plugin/elf.h"

#include <gtest/gtest.h>

#include "kernel/plugin/proto_scan.h"
#include "tests/plugin/folder.h"

namespace tenon::plugin {
namespace {

std::string Plugin(const std::string& name) { return Folder::Bytes(Folder::Built() + "/" + name + ".so"); }

TEST(ElfTest, AGoodPluginExportsOneName) {
  const auto facts = ReadElf(Plugin("storage-null"));
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->exports, std::vector<std::string>{"tenon_plugin_query_v1"});
  EXPECT_FALSE(facts->uses_protobuf);
  EXPECT_FALSE(facts->executable);
  EXPECT_TRUE(CheckPluginElf(*facts).ok());
}

// Headers are read from a file that anybody may have damaged: no cut and no changed byte may make us read outside it.
TEST(ElfTest, EveryCutIsRefusedOrReadWithinTheFile) {
  const std::string whole = Plugin("storage-null");
  for (size_t size = 0; size < whole.size(); size += size < 4096 ? 1 : 97) {
    const std::string cut = whole.substr(0, size);
    const auto facts = ReadElf(cut);
    if (size < 64) {
      EXPECT_FALSE(facts.ok()) << size;
    }
  }
}

TEST(ElfTest, NoChangedByteOfTheHeadersLeadsAstray) {
  const std::string whole = Plugin("storage-null");
  size_t read = 0;
  for (size_t at = 0; at < 1024; at++) {
    for (const char value : {'\x00', '\x01', '\x7f', '\x80', '\xff'}) {
      std::string changed = whole;
      changed[at] = value;
      read += ReadElf(changed).ok() ? 1 : 0;
    }
  }
  EXPECT_GT(read, 0u);
}

// A FileDescriptorProto of a file `name` with package "p".
std::string Descriptor(const std::string& name) {
  return std::string("\x0a") + static_cast<char>(name.size()) + name + "\x12\x01p";
}

TEST(ProtoScanTest, FindsRegisteredFilesAmongOtherBytes) {
  const std::string file = "junk rpc.proto junk" + std::string(3, '\0') + Descriptor("acme/queue.proto") +
                           std::string(5, '\0') + Descriptor("rpc.proto") + "tail";
  EXPECT_EQ(RegisteredProtoFiles(file), (std::vector<std::string>{"acme/queue.proto", "rpc.proto"}));
}

TEST(ProtoScanTest, LeavesOutWhatIsInAFileDescriptorSet) {
  const std::string inner = Descriptor("rpc.proto");
  const std::string set = std::string("\x0a") + static_cast<char>(inner.size()) + inner;
  EXPECT_TRUE(RegisteredProtoFiles(std::string(8, '\0') + set + std::string(8, '\0')).empty());
}

TEST(ProtoScanTest, AnImportIsNoRegistration) {
  const std::string file = Descriptor("acme/queue.proto") + "\x1a\x09rpc.proto\x1a\x08kv.proto";
  EXPECT_EQ(RegisteredProtoFiles(file), std::vector<std::string>{"acme/queue.proto"});
}

TEST(ProtoScanTest, ReadsWhatProtocGenerates) {
  EXPECT_EQ(RegisteredProtoFiles(Plugin("proto-etcd")), std::vector<std::string>{"rpc.proto"});
  EXPECT_EQ(RegisteredProtoFiles(Plugin("proto-first")), std::vector<std::string>{"acme/queue.proto"});
  EXPECT_TRUE(RegisteredProtoFiles(Plugin("storage-null")).empty());
  EXPECT_TRUE(ReadElf(Plugin("proto-etcd"))->uses_protobuf);
}

TEST(ProtoScanTest, NamesAtTheEdgesOfTheFile) {
  for (const std::string file : {".proto", "\x0a\x06.proto", "\x09rpc.proto\x12", "rpc.proto"}) {
    EXPECT_TRUE(RegisteredProtoFiles(file).empty()) << file;
  }
  const std::string long_name = std::string(150, 'x') + ".proto";  // a length of two bytes
  EXPECT_EQ(RegisteredProtoFiles(std::string("\x0a\x9c\x01") + long_name + "\x12\x01p"),
            std::vector<std::string>{long_name});
}

TEST(ProtoScanTest, KnowsEtcdsNames) {
  EXPECT_TRUE(IsEtcdProtoFile("kv.proto"));
  EXPECT_TRUE(IsEtcdProtoFile("etcd/api/etcdserverpb/rpc.proto"));
  EXPECT_FALSE(IsEtcdProtoFile("acme/kv.proto"));
}

}  // namespace
}  // namespace tenon::plugin
