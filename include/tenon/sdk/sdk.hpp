// sdk.hpp - C++20 over the plugin ABI. Header only; compiled INTO the plugin, so nothing here crosses the border.
//
// A module is a class. Its constructor takes (const Host&, const Config&); it may have Start(), Stop() and
// GetExtension(id). Functions throw sdk::Error; the tables made here turn that into a tenon_status and a tenon_error.
//
//   class Engine { public: Engine(const sdk::Host&, const sdk::Config&); void Open(const tenon_storage_open&); ... };
//   const tenon_storage_v1 kTable = sdk::StorageTable<Engine>();                                     // storage.hpp
//   TENON_PLUGIN("org.example.lmdb", "OLDAP-2.8", {sizeof(tenon_module_desc), 0, TENON_KIND_STORAGE, "lmdb", ...,
//   &kTable.m})
#pragma once
#include <tenon/abi/abi.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <new>
#include <string>
#include <string_view>

namespace tenon::sdk {

inline std::string_view View(tenon_slice s) { return {reinterpret_cast<const char*>(s.p), s.n}; }
inline tenon_slice Slice(std::string_view v) { return {reinterpret_cast<const uint8_t*>(v.data()), v.size()}; }

// What a module throws. `text` is one sentence; it is cut to the 239 bytes that cross the border.
class Error : public std::exception {
 public:
  Error(tenon_status code, std::string text, int sys_errno = 0)
      : code_(code), sys_errno_(sys_errno), text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }
  tenon_status code() const noexcept { return code_; }
  int sys_errno() const noexcept { return sys_errno_; }

 private:
  tenon_status code_;
  int sys_errno_;
  std::string text_;
};

// Fills *error, which may be NULL, and returns code.
inline tenon_status Fail(tenon_error* error, tenon_status code, const char* text, int sys_errno = 0) noexcept {
  if (error != nullptr) {
    error->code = code;
    error->etcd_error = 0;
    error->sys_errno = sys_errno;
    std::snprintf(error->msg, sizeof error->msg, "%s", text);
  }
  return code;
}

// Runs fn, which returns nothing or a tenon_status; nothing unwinds out of here.
template <class Fn>
tenon_status Guard(tenon_error* error, Fn&& fn) noexcept {
  try {
    if constexpr (std::is_void_v<decltype(fn())>) {
      fn();
      return TENON_OK;
    } else {
      return fn();
    }
  } catch (const Error& e) {
    return Fail(error, e.code(), e.what(), e.sys_errno());
  } catch (const std::bad_alloc&) {
    return Fail(error, TENON_EXHAUSTED, "out of memory");
  } catch (const std::exception& e) {
    return Fail(error, TENON_INTERNAL, e.what());
  } catch (...) {
    return Fail(error, TENON_INTERNAL, "unknown exception");
  }
}

// The kernel's services as this instance sees them; copy it freely. Services that are absent do nothing,
// except in Config, where reading a value without the service is an error.
class Host {
 public:
  explicit Host(const tenon_host* host)
      : host_(host),
        log_(Get<tenon_host_log_v1>(TENON_HOST_LOG)),
        exec_(Get<tenon_host_exec_v1>(TENON_HOST_EXEC)),
        config_(Get<tenon_host_config_v1>(TENON_HOST_CONFIG)) {}

  // A field of a log line; both sides are borrowed.
  struct Field {
    std::string_view key, value;
  };
  void Log(int level, std::string_view msg, std::initializer_list<Field> fields = {}) const noexcept {
    if (log_ == nullptr || !log_->enabled(host_, level)) return;
    tenon_kv rows[16];
    size_t n = 0;
    for (const Field& f : fields) {
      if (n < 16) rows[n++] = {Slice(f.key), Slice(f.value)};
    }
    log_->write(host_, level, Slice(msg), rows, n);
  }
  // The module cannot go on; the kernel stops the member. Returns.
  void Fatal(tenon_status code, const char* text, int sys_errno = 0) const noexcept {
    tenon_error error{sizeof error};
    Fail(&error, code, text, sys_errno);
    host_->fatal(host_, &error);
  }
  // The clock of deadlines.
  uint64_t MonoNs() const noexcept {
    if (exec_ != nullptr) return exec_->mono_ns(host_);
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  // A table of the kernel, or nullptr.
  template <class Table>
  const Table* Get(const char* id) const {
    return host_ == nullptr ? nullptr : static_cast<const Table*>(host_->get(host_, id));
  }

  const tenon_host* raw() const { return host_; }
  const tenon_host_config_v1* config() const { return config_; }

 private:
  const tenon_host* host_;
  const tenon_host_log_v1* log_;
  const tenon_host_exec_v1* exec_;
  const tenon_host_config_v1* config_;
};

// The `config` section of this instance, valid in the constructor only. An absent key gives the fallback; a wrong
// type throws INVALID with file, line and column. The kernel has checked the section against the schema before.
class Config {
 public:
  Config(const Host& host, const tenon_cfg* node) : service_(host.config()), node_(node) {
    if (node_ != nullptr && service_ == nullptr)
      throw Error(TENON_PRECONDITION, "the host has no configuration service");
  }

  uint64_t Bytes(const char* path, uint64_t fallback) const {
    return Read(path, fallback, "a size such as 64MiB", [&](auto* n, uint64_t* v) { return service_->bytes(n, v); });
  }
  int64_t I64(const char* path, int64_t fallback) const {
    return Read(path, fallback, "an integer", [&](auto* n, int64_t* v) { return service_->i64(n, v); });
  }
  std::chrono::nanoseconds Duration(const char* path, std::chrono::nanoseconds fallback) const {
    return std::chrono::nanoseconds(Read(path, static_cast<int64_t>(fallback.count()), "a duration such as 1m30s",
                                         [&](auto* n, int64_t* v) { return service_->duration_ns(n, v); }));
  }
  bool Bool(const char* path, bool fallback) const {
    return Read(path, fallback ? 1 : 0, "true or false", [&](auto* n, int* v) { return service_->boolean(n, v); }) != 0;
  }
  std::string Str(const char* path, std::string_view fallback) const {
    const tenon_cfg* node = Find(path);
    if (node == nullptr) return std::string(fallback);
    if (service_->kind(node) != TENON_CFG_SCALAR) throw Wrong(path, node, "must be a text");
    return std::string(View(service_->scalar(node)));
  }

  // An error about the value at `path`, for example one that does not fit another; `node` may be NULL.
  Error Wrong(const char* path, const tenon_cfg* node, std::string_view why) const {
    std::string text;
    if (node != nullptr) text.append(View(service_->where(node))).append(": ");
    return Error(TENON_INVALID, text.append(path).append(" ").append(why));
  }
  Error Wrong(const char* path, std::string_view why) const { return Wrong(path, Find(path), why); }

 private:
  const tenon_cfg* Find(const char* path) const { return node_ == nullptr ? nullptr : service_->find(node_, path); }
  template <class T, class Reader>
  T Read(const char* path, T value, const char* what, Reader reader) const {
    const tenon_cfg* node = Find(path);
    if (node != nullptr && reader(node, &value) != TENON_OK) throw Wrong(path, node, std::string("must be ") + what);
    return value;
  }

  const tenon_host_config_v1* service_;
  const tenon_cfg* node_;
};

// The lifecycle part of a module's table. size: of the whole table.
template <class T>
constexpr tenon_module_vt ModuleVt(uint32_t size, uint64_t features = 0, uint16_t flags = 0) {
  tenon_module_vt vt{};
  vt.size = size;
  vt.flags = flags;
  vt.features = features;
  vt.create = [](const tenon_host* h, const tenon_cfg* c, void** self, tenon_error* error) noexcept -> tenon_status {
    return Guard(error, [&] {
      const Host host(h);
      *self = new T(host, Config(host, c));
    });
  };
  vt.start = [](void* self, tenon_error* error) noexcept -> tenon_status {
    return Guard(error, [&] {
      if constexpr (requires(T & t) { t.Start(); }) static_cast<T*>(self)->Start();
    });
  };
  vt.stop = [](void* self) noexcept {
    if constexpr (requires(T & t) { t.Stop(); }) static_cast<T*>(self)->Stop();
  };
  vt.destroy = [](void* self) noexcept { delete static_cast<T*>(self); };
  if constexpr (requires(T & t, const char* id) { t.GetExtension(id); }) {
    vt.get_extension = [](void* self, const char* id) noexcept -> const void* {
      return static_cast<T*>(self)->GetExtension(id);
    };
  }
  return vt;
}

}  // namespace tenon::sdk

#ifndef TENON_SDK_BUILD
#define TENON_SDK_BUILD "gcc " __VERSION__
#endif

// The exported symbol and its static data. ID: "org.example.lmdb"; LICENSE: an SPDX expression for the .so;
// then one or more braced tenon_module_desc.
#define TENON_PLUGIN(ID, LICENSE, ...)                                                                     \
  static const tenon_module_desc tenon_plugin_modules_[] = {__VA_ARGS__};                                  \
  static const tenon_plugin tenon_plugin_ = {sizeof(tenon_plugin),                                         \
                                             TENON_ABI_MAJOR,                                              \
                                             TENON_ABI_MINOR,                                              \
                                             ID,                                                           \
                                             "0.1.0",                                                      \
                                             "Tenon",                                                      \
                                             LICENSE,                                                      \
                                             TENON_SDK_BUILD,                                              \
                                             sizeof(tenon_module_desc),                                    \
                                             sizeof tenon_plugin_modules_ / sizeof *tenon_plugin_modules_, \
                                             tenon_plugin_modules_,                                        \
                                             nullptr};                                                     \
  extern "C" TENON_EXPORT const tenon_plugin* tenon_plugin_query_v1(void) noexcept { return &tenon_plugin_; }
