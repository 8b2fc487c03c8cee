#include "kernel/plugin/loader.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/plugin/fakes.h"
#include "tests/plugin/folder.h"

namespace tenon::plugin {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class LoaderTest : public testing::Test {
 protected:
  Result<LoadedModule> Load(ModuleRequest request, LoaderOptions options = {}) {
    return Loader(folder_.path(), std::move(options)).Load(request);
  }
  // The refusal of one plugin, with its path written as PLUGIN and the folder as FOLDER.
  std::string Refusal(ModuleRequest request, LoaderOptions options = {}) {
    const auto module = Load(std::move(request), std::move(options));
    EXPECT_FALSE(module.ok());
    std::string text(Message(module.status()));
    for (size_t at = text.find(folder_.path()); at != std::string::npos; at = text.find(folder_.path(), at)) {
      text.replace(at, folder_.path().size(), "FOLDER");
    }
    return text;
  }
  Folder folder_;
};

// --- the file -------------------------------------------------------------------------------------------------------

TEST_F(LoaderTest, AMissingPluginNamesTheNearestAndAll) {
  folder_.Plugin("storage-null", "storage-wiredtiger");
  folder_.Write("transport-h2", "x");
  EXPECT_EQ(
      Refusal({.kind = "storage", .use = "wiredtigr", .where = "etcd.yaml:12:5"}),
      "etcd.yaml:12:5: there is no storage plugin \"wiredtigr\" in FOLDER: correct \"use\", perhaps to \"wiredtiger\"; "
      "there are storage-wiredtiger, transport-h2");
  EXPECT_EQ(
      Refusal({.kind = "storage", .use = "bolt"}),
      "there is no storage plugin \"bolt\" in FOLDER: correct \"use\"; there are storage-wiredtiger, transport-h2");
}

TEST_F(LoaderTest, AnEmptyDirectorySaysSo) {
  EXPECT_EQ(Refusal({.kind = "storage", .use = "x"}),
            "there is no storage plugin \"x\" in FOLDER, which holds no plugin at all: install one or correct the "
            "plugin directory");
}

TEST_F(LoaderTest, BadRequests) {
  EXPECT_EQ(Refusal({.kind = "storage", .use = ""}),
            "the storage module has an empty \"use\": name a plugin or a path");
  EXPECT_EQ(
      Refusal({.kind = "storag", .use = "x"}),
      "there is no module kind \"storag\": use one of storage, transport, authn, authz, lease, quota, compactor, peer, "
      "service, observer");
  EXPECT_EQ(Refusal({.kind = "storage", .use = folder_.path("gone")}),
            "plugin FOLDER/gone.so does not exist: correct \"use\" or install the file");
}

struct MadeFile {
  const char* name;
  std::function<void(std::string& bytes)> change;  // of a good plugin
  const char* refusal;
};

TEST_F(LoaderTest, FilesThatAreNoPluginOfThisMachine) {
  const MadeFile files[] = {
      {"text", [](std::string& b) { b = "#!/bin/sh\n"; },
       "is not an ELF file: name the .so that the plugin's build made"},
      {"empty", [](std::string& b) { b = ""; }, "is empty: build or copy it again"},
      {"head", [](std::string& b) { b.resize(40); }, "is a truncated or damaged ELF file: build or copy it again"},
      {"half", [](std::string& b) { b.resize(b.size() / 4); },
       "is a truncated or damaged ELF file: build or copy it again"},
      {"bits", [](std::string& b) { b[4] = 1; }, "is a 32-bit ELF file: build it for MACHINE, as this server is"},
      {"endian", [](std::string& b) { b[5] = 2; }, "is a big-endian ELF file: build it for MACHINE, as this server is"},
      {"machine", [](std::string& b) { b[18] = 22, b[19] = 0; },
       "is built for s390: build it for MACHINE, as this server is"},
      {"unknown", [](std::string& b) { b[18] = 1, b[19] = 2; },
       "is built for machine number 513: build it for MACHINE, as this server is"},
      {"object", [](std::string& b) { b[16] = 1; }, "is an object file, not a shared object: link it with -shared"},
      {"program", [](std::string& b) { b[16] = 2; }, "is a program, not a shared object: link it with -shared"},
      {"core", [](std::string& b) { b[16] = 4; }, "is no library, not a shared object: link it with -shared"},
  };
#if defined(__x86_64__)
  const std::string machine = "x86_64";
#else
  const std::string machine = "aarch64";
#endif
  for (const MadeFile& file : files) {
    std::string bytes = Folder::Bytes(Folder::Built() + "/storage-null.so");
    file.change(bytes);
    folder_.Write(file.name, bytes);
    std::string expected = fmt::format("plugin FOLDER/{}.so {}", file.name, file.refusal);
    if (const size_t at = expected.find("MACHINE"); at != std::string::npos) expected.replace(at, 7, machine);
    EXPECT_EQ(Refusal({.kind = "storage", .use = folder_.path(file.name)}), expected);
  }
}

TEST_F(LoaderTest, ThisProgramIsNoPlugin) {
  folder_.Write("self", Folder::Bytes("/proc/self/exe"));
  EXPECT_EQ(Refusal({.kind = "storage", .use = folder_.path("self")}),
            "plugin FOLDER/self.so is a program, not a shared object: link it with -shared");
}

TEST_F(LoaderTest, DirectoriesAndPipesAreRefusedWithoutWaiting) {
  mkdir(folder_.path("dir").c_str(), 0755);
  mkfifo(folder_.path("pipe").c_str(), 0644);
  EXPECT_EQ(Refusal({.kind = "storage", .use = folder_.path("dir")}),
            "plugin FOLDER/dir.so is a directory: name the .so file in it");
  EXPECT_EQ(Refusal({.kind = "storage", .use = folder_.path("pipe")}),
            "plugin FOLDER/pipe.so is not a regular file: name the .so file itself");
}

TEST_F(LoaderTest, WhatOthersMayWriteIsRefused) {
  folder_.Plugin("storage-null");
  const std::string path = folder_.path("storage-null");
  const ModuleRequest request{.kind = "storage", .use = "null"};
  chmod(path.c_str(), 0775);
  EXPECT_EQ(
      Refusal(request),
      "plugin FOLDER/storage-null.so may be written by its group (mode 0775): run chmod go-w FOLDER/storage-null.so");
  chmod(path.c_str(), 0757);
  EXPECT_EQ(
      Refusal(request),
      "plugin FOLDER/storage-null.so may be written by others (mode 0757): run chmod go-w FOLDER/storage-null.so");
  chmod(path.c_str(), 0777);
  EXPECT_EQ(Refusal(request),
            "plugin FOLDER/storage-null.so may be written by its group and others (mode 0777): run chmod go-w "
            "FOLDER/storage-null.so");
  chmod(path.c_str(), 0755);
  chmod(folder_.path().c_str(), 0775);
  EXPECT_EQ(
      Refusal(request),
      "plugin FOLDER/storage-null.so lies in FOLDER, which its group may write (mode 0775): run chmod go-w FOLDER");
  chmod(folder_.path().c_str(), 01777);
  EXPECT_TRUE(Load(request).ok()) << "nobody else can replace a file in a sticky directory";
}

TEST_F(LoaderTest, ASymbolicLinkIsAsSafeAsWhereItLies) {
  Folder other;
  other.Plugin("storage-null");
  symlink(other.path("storage-null").c_str(), folder_.path("storage-link").c_str());
  EXPECT_TRUE(Load({.kind = "storage", .use = "link"}).ok());
  chmod(folder_.path().c_str(), 0777);
  EXPECT_EQ(Message(Load({.kind = "storage", .use = "link"}).status()),
            fmt::format("plugin {0} lies in {1}, which its group and others may write (mode 0777): run chmod go-w {1}",
                        other.path("storage-null"), folder_.path()));
}

// As root and as anybody else: the owner of our own files is a stranger when only 4242 is trusted.
TEST_F(LoaderTest, AStrangersFileIsRefused) {
  folder_.Plugin("storage-null");
  EXPECT_EQ(Refusal({.kind = "storage", .use = "null"}, {.trusted_owners = {4242}}),
            fmt::format(
                "plugin FOLDER/storage-null.so belongs to user {}, who could change it: give it to root or to the user "
                "that runs the server",
                geteuid()));
}

TEST_F(LoaderTest, AStrangersDirectoryIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  folder_.Plugin("storage-null");
  ASSERT_EQ(chown(folder_.path().c_str(), 4242, 4242), 0);
  EXPECT_EQ(Refusal({.kind = "storage", .use = "null"}),
            "plugin FOLDER/storage-null.so lies in FOLDER, which belongs to user 4242: give that directory to root or "
            "to the user "
            "that runs the server");
}

TEST_F(LoaderTest, APinnedHashMustMatch) {
  folder_.Write("storage-text", "abc");
  const std::string sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";  // FIPS 180-4's example
  EXPECT_EQ(
      Refusal({.kind = "storage", .use = "text", .sha256 = std::string(64, 'A')}),
      fmt::format(
          "plugin FOLDER/storage-text.so has the SHA-256 {}, but {} is pinned: install the file that was meant or "
          "correct \"sha256\"",
          sha, std::string(64, 'a')));
  EXPECT_EQ(Refusal({.kind = "storage", .use = "text", .sha256 = "abcd"}),
            "plugin FOLDER/storage-text.so: \"abcd\" is no SHA-256: write the 64 hexadecimal digits that sha256sum "
            "FOLDER/storage-text.so prints");
  EXPECT_EQ(
      Refusal({.kind = "storage", .use = "text", .sha256 = std::string(64, 'g')}),
      fmt::format("plugin FOLDER/storage-text.so: \"{}\" is no SHA-256: write the 64 hexadecimal digits that sha256sum "
                  "FOLDER/storage-text.so prints",
                  std::string(64, 'g')));
  EXPECT_THAT(Refusal({.kind = "storage", .use = "text", .sha256 = sha}), HasSubstr("is not an ELF file"))
      << "the pin was right";
}

TEST_F(LoaderTest, AFileThatChangedAfterItWasLoadedIsRefused) {
  folder_.Plugin("storage-null");
  ASSERT_TRUE(Load({.kind = "storage", .use = "null"}).ok());
  std::filesystem::remove(folder_.path("storage-null"));
  folder_.Plugin("storage-two", "storage-null");
  EXPECT_EQ(Refusal({.kind = "storage", .use = "null"}),
            "plugin FOLDER/storage-null.so was changed on disk after this server had loaded it: restart the server, or "
            "give the new "
            "build a new file name");
}

// --- the plugin -----------------------------------------------------------------------------------------------------

struct Case {
  const char* name;  // the variant of plugin.c
  const char* kind;
  const char* refusal;  // after "etcd.yaml:1:2: plugin FOLDER/NAME.so "
};

class BadPluginTest : public LoaderTest, public testing::WithParamInterface<Case> {};

TEST_P(BadPluginTest, IsRefusedInOneSentence) {
  folder_.Plugin(GetParam().name);
  const ModuleRequest request{.kind = GetParam().kind, .use = folder_.path(GetParam().name), .where = "etcd.yaml:1:2"};
  EXPECT_EQ(Refusal(request),
            fmt::format("etcd.yaml:1:2: plugin FOLDER/{}.so {}", GetParam().name, GetParam().refusal));
}

// The same without the trial run in a child, for all that is not fatal to the process.
TEST_P(BadPluginTest, IsRefusedWithoutAChildToo) {
  const std::string name = GetParam().name;
  if (name == "abort" || name == "crash" || name == "exit" || name == "hang" || name == "wild-pointer") return;
  folder_.Plugin(name);
  const ModuleRequest request{.kind = GetParam().kind, .use = folder_.path(name), .where = "etcd.yaml:1:2"};
  EXPECT_EQ(Refusal(request, {.probe = false}),
            fmt::format("etcd.yaml:1:2: plugin FOLDER/{}.so {}", name, GetParam().refusal));
}

INSTANTIATE_TEST_SUITE_P(
    , BadPluginTest,
    testing::Values(
        // What its ELF headers show.
        Case{"no-entry", "storage",
             "does not export tenon_plugin_query_v1: it is no Tenon plugin, or its build hides that function"},
        Case{"execstack", "storage", "wants an executable stack: link it with -Wl,-z,noexecstack"},
        Case{"textrel", "storage", "has text relocations: compile all of it with -fPIC"},
        Case{"rpath", "storage",
             "has the DT_RPATH \"/opt/acme/lib\", which overrides the server's library paths: link it with "
             "-Wl,--enable-new-dtags or without -rpath"},
        Case{"unique", "storage",
             "exports shared_by_all as STB_GNU_UNIQUE, which all plugins would share: compile it with "
             "-fvisibility=hidden or "
             "-fno-gnu-unique"},
        Case{"proto-etcd", "storage",
             "registers the protobuf file \"rpc.proto\", a name of etcd's own: put it under a folder of yours "
             "(acme/rpc.proto) "
             "or compile it with optimize_for = LITE_RUNTIME"},
        // What it does while it is loaded.
        Case{"unresolved", "storage",
             "cannot be loaded (undefined symbol: function_that_nobody_has): install or rebuild what it misses"},
        Case{"abort", "storage",
             "aborted while it was being loaded (Aborted; it wrote: the moon is in the wrong house): do not use this "
             "build, "
             "ask its maker"},
        Case{"crash", "storage",
             "crashed while it was being loaded (Segmentation fault; it wrote nothing): do not use this build, ask its "
             "maker"},
        Case{"exit", "storage",
             "ended the process while it was being loaded (exit code 3; it wrote nothing): do not use this build, ask "
             "its maker"},
        Case{"wild-pointer", "storage",
             "crashed while it was being loaded (Segmentation fault; it wrote nothing): do not use this build, ask its "
             "maker"},
        // What it says of itself.
        Case{"null-query", "storage",
             "answers NULL to tenon_plugin_query_v1: return the address of a static tenon_plugin"},
        Case{"unstable", "storage", "answers something else at the second tenon_plugin_query_v1: return static data"},
        Case{"abi", "storage", "is built for ABI 2.0, this server has 1.0: build it with the headers of ABI 1"},
        Case{"tiny-plugin", "storage",
             "describes itself in 4 bytes, at least 64 are needed: set size to sizeof(tenon_plugin)"},
        Case{"short-plugin", "storage",
             "describes itself in 16 bytes, at least 64 are needed: set size to sizeof(tenon_plugin)"},
        Case{"no-id", "storage",
             "leaves its id or version empty: set both, for example \"org.example.lmdb\" and \"1.0.0\""},
        Case{"no-module", "storage", "offers no module: list at least one"},
        Case{"many-modules", "storage", "claims to have 1073741824 modules: set module_count"},
        Case{"short-desc", "storage",
             "has module descriptors of 24 bytes, at least 48 are needed: set module_desc_size to "
             "sizeof(tenon_module_desc)"},
        Case{"long-desc", "storage",
             "says that descriptor 0 has 64 bytes in an array of 56: set its size to sizeof(tenon_module_desc)"},
        Case{"empty-name", "storage", "leaves the kind or the name of module number 0 empty: set both"},
        Case{"no-vt", "storage", "has no table for module null: set vt"},
        Case{"short-table", "storage",
             "has a short table for module null: 100 bytes, kind tenon.storage/1 needs at least 192; set m.size to "
             "sizeof its table"},
        Case{"null-apply", "storage",
             "leaves the function apply of module null NULL: kind tenon.storage/1 requires it"},
        Case{"null-persist", "storage",
             "leaves the function persist of module null NULL: kind tenon.storage/1 requires it"},
        Case{"no-recover", "service",
             "leaves the function recover of module queue NULL: kind tenon.draft.service/1 requires it"},
        Case{"no-such-kind", "storage",
             "has no module of kind storage (tenon.storage/1): it offers audit (tenon.draft.observer/1)"},
        Case{"future-kind", "storage",
             "has no module of kind storage (tenon.storage/1): it offers null (tenon.storage/2)"},
        Case{"same-name", "storage", "has two modules named null: give each its own name"},
        Case{"storage-two", "storage", "has 2 modules of kind storage: say which with \"module\", one of left, right"},
        Case{"table-of-storage", "storage",
             "declares the table \"key\" for module null: kind storage owns no tables, remove it"},
        Case{"table-of-lease", "lease", "declares the table \"key\" for module lease: kind lease may own only lease"},
        Case{"table-name", "service",
             "declares the table \"a b\" for module queue: a table's name is 1 to 64 of A-Z a-z 0-9 _ . -"},
        Case{"table-twice", "service", "declares the table \"jobs\" for module queue: it is there twice"},
        Case{"load", "storage", "refused to load: no licence file in /etc/acme"}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST_F(LoaderTest, AHangingPluginIsGivenUp) {
  folder_.Plugin("hang");
  EXPECT_EQ(Refusal({.kind = "storage", .use = folder_.path("hang")}, {.probe_timeout_ns = 200'000'000}),
            "plugin FOLDER/hang.so hung while it was being loaded (more than 200 ms; it wrote nothing): do not use "
            "this build, ask "
            "its maker");
}

// Last of the protobuf cases: acme/queue.proto stays registered in this process.
TEST_F(LoaderTest, ASecondPluginWithTheSameProtoFileIsRefusedBeforeItRuns) {
  folder_.Plugin("proto-first");
  folder_.Plugin("proto-second");
  const auto first = Load({.kind = "storage", .use = folder_.path("proto-first")});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(Refusal({.kind = "storage", .use = folder_.path("proto-second")}),
            "plugin FOLDER/proto-second.so registers the protobuf file \"acme/queue.proto\", which plugin "
            "FOLDER/proto-first.so has "
            "registered: give one of them another name");
}

// --- what is let in -------------------------------------------------------------------------------------------------

TEST_F(LoaderTest, AGoodPluginTellsWhoItIs) {
  folder_.Plugin("storage-null");
  LogCapture log;
  SetLogLevel(LogLevel::kDebug);
  const auto module = Load({.kind = "storage", .use = "null", .where = "etcd.yaml:1:2"});
  SetLogLevel(LogLevel::kInfo);
  ASSERT_TRUE(module.ok()) << module.status();
  EXPECT_STREQ(module->plugin->id, "org.example.null");
  EXPECT_STREQ(module->plugin->version, "1.2.3");
  EXPECT_STREQ(module->desc->name, "null");
  EXPECT_EQ(module->kind->id, TENON_KIND_STORAGE);
  EXPECT_EQ(module->path, folder_.path("storage-null"));
  EXPECT_EQ(module->where, "etcd.yaml:1:2");
  EXPECT_EQ(module->sha256.size(), 64u);
  EXPECT_THAT(log.text(), HasSubstr("\"msg\":\"mapped plugin\",\"plugin\":\"org.example.null\",\"version\":\"1.2.3\""));
  EXPECT_TRUE(Load({.kind = "storage", .use = "null", .sha256 = module->sha256}).ok());
}

TEST_F(LoaderTest, ANameWithoutItsKindIsFoundToo) {
  folder_.Plugin("lease");
  EXPECT_TRUE(Load({.kind = "lease", .use = "lease"}).ok());
}

TEST_F(LoaderTest, TwiceIsTheSameDsoAndItsLoadIsCalledOnce) {
  folder_.Plugin("storage-null");
  link(folder_.path("storage-null").c_str(), folder_.path("storage-other").c_str());
  const auto first = Load({.kind = "storage", .use = "null"});
  const auto second = Load({.kind = "storage", .use = "null"});
  const auto third = Load({.kind = "storage", .use = "other"});  // a second name of the same file
  ASSERT_TRUE(first.ok() && second.ok() && third.ok()) << second.status() << third.status();
  EXPECT_EQ(first->vt, second->vt);
  EXPECT_EQ(first->vt, third->vt);
  EXPECT_EQ(first->plugin, second->plugin);
}

TEST_F(LoaderTest, TheCodeStaysMapped) {
  folder_.Plugin("storage-null");
  const auto module = Load({.kind = "storage", .use = "null"});
  ASSERT_TRUE(module.ok());
  for (int i = 0; i < 3; i++) {
    void* handle = dlopen(module->path.c_str(), RTLD_NOW | RTLD_NOLOAD);
    ASSERT_NE(handle, nullptr);
    dlclose(handle);
    dlclose(handle);  // one more than is ours
  }
  Dl_info info;
  EXPECT_NE(dladdr(module->vt, &info), 0);
  EXPECT_EQ(module->Table<tenon_storage_v1>().durable_index(nullptr), 7u);
}

TEST_F(LoaderTest, OneOfSeveralModulesIsNamedByModuleOrUse) {
  folder_.Plugin("storage-two");
  folder_.Plugin("storage-two", "storage-right");
  const auto left = Load({.kind = "storage", .use = "two", .module = "left"});
  ASSERT_TRUE(left.ok()) << left.status();
  EXPECT_STREQ(left->desc->name, "left");
  const auto right = Load({.kind = "storage", .use = "right"});
  ASSERT_TRUE(right.ok()) << right.status();
  EXPECT_STREQ(right->desc->name, "right");
  EXPECT_EQ(Refusal({.kind = "storage", .use = "two", .module = "rain"}),
            "plugin FOLDER/storage-two.so has no module \"rain\" of kind storage: it has left, right");
}

TEST_F(LoaderTest, TheSchemaDecidesAboutTheConfiguration) {
  folder_.Plugin("storage-null");
  std::string seen;
  const auto refuse = [&](const char* schema) {
    seen = schema;
    return absl::InvalidArgumentError("etcd.yaml:14:7: \"cahce\" is unknown, did you mean \"cache\"?");
  };
  EXPECT_EQ(Refusal({.kind = "storage", .use = "null", .where = "etcd.yaml:12:5", .check_config = refuse}),
            "etcd.yaml:14:7: \"cahce\" is unknown, did you mean \"cache\"?");
  EXPECT_THAT(seen, HasSubstr("\"size\""));
  EXPECT_TRUE(Load({.kind = "storage", .use = "null", .check_config = [](const char*) { return Ok(); }}).ok());
}

TEST_F(LoaderTest, MoreExportsAreOnlyWarnedAbout) {
  folder_.Plugin("storage-chatty");
  LogCapture log;
  EXPECT_TRUE(Load({.kind = "storage", .use = "chatty"}).ok());
  EXPECT_THAT(log.text(), HasSubstr("a plugin exports more than its entry function"));
}

TEST_F(LoaderTest, ListsWhatIsThere) {
  folder_.Plugin("storage-null");
  folder_.Write("alpha", "");
  std::ofstream(folder_.path() + "/README") << "x";
  EXPECT_THAT(Loader(folder_.path()).Available(), testing::ElementsAre("alpha", "storage-null"));
  EXPECT_TRUE(Loader("/nonexistent").Available().empty());
}

TEST_F(LoaderTest, CostOfTheTrialRun) {
  folder_.Plugin("storage-null", "storage-a");
  folder_.Plugin("storage-null", "storage-b");
  const auto ms = [&](const char* use, bool probe) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_TRUE(Load({.kind = "storage", .use = use}, {.probe = probe}).ok());
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  };
  const double with = ms("a", true), without = ms("b", false);
  std::printf("load with a trial run %.2f ms, without %.2f ms\n", with, without);
}

}  // namespace
}  // namespace tenon::plugin
