#include "kernel/plugin/elf.h"

#include <elf.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

namespace tenon::plugin {
namespace {

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
#elif defined(__riscv)
constexpr uint16_t kMachine = EM_RISCV;
#else
#error "say here which e_machine this architecture has"
#endif
static_assert(sizeof(void*) == 8 && std::endian::native == std::endian::little);

std::string MachineName(uint16_t machine) {
  switch (machine) {
    case EM_386: return "i386";
    case EM_ARM: return "ARM";
    case EM_X86_64: return "x86_64";
    case EM_AARCH64: return "aarch64";
    case EM_RISCV: return "RISC-V";
    case EM_PPC64: return "ppc64";
    case EM_S390: return "s390";
  }
  return fmt::format("machine number {}", machine);
}

Status Bad(std::string text) { return absl::InvalidArgumentError(text); }
Status Truncated() { return Bad("is a truncated or damaged ELF file: build or copy it again"); }

// The file with every access checked.
class Image {
 public:
  explicit Image(std::string_view file) : file_(file) {}

  template <class T>
  std::optional<T> At(uint64_t offset) const {
    if (offset > file_.size() || file_.size() - offset < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, file_.data() + offset, sizeof value);
    return value;
  }

  // NUL-terminated text; empty if it runs out of the file.
  std::string Text(uint64_t offset) const {
    if (offset >= file_.size()) return "";
    const size_t end = file_.find('\0', offset);
    return end == std::string_view::npos ? "" : std::string(file_.substr(offset, end - offset));
  }

  // Where the mapped address lies in the file.
  std::optional<uint64_t> Offset(uint64_t address) const {
    for (const Elf64_Phdr& load : loads) {
      if (address >= load.p_vaddr && address - load.p_vaddr < load.p_filesz)
        return address - load.p_vaddr + load.p_offset;
    }
    return std::nullopt;
  }

  std::vector<Elf64_Phdr> loads;

 private:
  std::string_view file_;
};

// How many dynamic symbols there are: only the hash tables know.
std::optional<uint64_t> SymbolCount(const Image& image, std::optional<uint64_t> hash,
                                    std::optional<uint64_t> gnu_hash) {
  if (hash) {
    const auto chains = image.At<uint32_t>(*hash + 4);
    return chains ? std::optional<uint64_t>(*chains) : std::nullopt;
  }
  if (!gnu_hash) return std::nullopt;
  const auto buckets = image.At<uint32_t>(*gnu_hash), first = image.At<uint32_t>(*gnu_hash + 4);
  const auto blooms = image.At<uint32_t>(*gnu_hash + 8);
  if (!buckets || !first || !blooms) return std::nullopt;
  const uint64_t bucket_at = *gnu_hash + 16 + 8ull * *blooms, chain_at = bucket_at + 4ull * *buckets;
  uint64_t last = 0;
  for (uint64_t i = 0; i < *buckets; i++) {
    const auto head = image.At<uint32_t>(bucket_at + 4 * i);
    if (!head) return std::nullopt;
    last = std::max<uint64_t>(last, *head);
  }
  if (last < *first) return *first;  // no defined symbol at all
  for (;; last++) {
    const auto link = image.At<uint32_t>(chain_at + 4 * (last - *first));
    if (!link) return std::nullopt;
    if (*link & 1) return last + 1;
  }
}

}  // namespace

Result<ElfFacts> ReadElf(std::string_view file) {
  if (!file.starts_with(ELFMAG)) return Bad("is not an ELF file: name the .so that the plugin's build made");
  Image image(file);
  if (file.size() < EI_NIDENT + 4) return Truncated();
  if (file[EI_CLASS] != ELFCLASS64) {
    return Bad(fmt::format("is a 32-bit ELF file: build it for {}, as this server is", MachineName(kMachine)));
  }
  if (file[EI_DATA] != ELFDATA2LSB) {
    return Bad(fmt::format("is a big-endian ELF file: build it for {}, as this server is", MachineName(kMachine)));
  }
  const auto header = image.At<Elf64_Ehdr>(0);
  if (!header) return Truncated();
  if (header->e_machine != kMachine) {
    return Bad(fmt::format("is built for {}: build it for {}, as this server is", MachineName(header->e_machine),
                           MachineName(kMachine)));
  }
  if (header->e_type != ET_DYN) {
    const char* what = header->e_type == ET_REL    ? "an object file"
                       : header->e_type == ET_EXEC ? "a program"
                                                   : "no library";
    return Bad(fmt::format("is {}, not a shared object: link it with -shared", what));
  }

  ElfFacts facts;
  facts.executable_stack = true;  // what glibc assumes when nothing is said
  std::optional<Elf64_Phdr> dynamic;
  for (uint64_t i = 0; i < header->e_phnum; i++) {
    const auto segment = image.At<Elf64_Phdr>(header->e_phoff + i * header->e_phentsize);
    if (!segment) return Truncated();
    if (segment->p_type == PT_LOAD) {
      if (segment->p_offset > file.size() || file.size() - segment->p_offset < segment->p_filesz) return Truncated();
      image.loads.push_back(*segment);
    }
    if (segment->p_type == PT_DYNAMIC) dynamic = *segment;
    if (segment->p_type == PT_GNU_STACK) facts.executable_stack = (segment->p_flags & PF_X) != 0;
    if (segment->p_type == PT_INTERP) facts.executable = true;
  }
  if (!dynamic) return Truncated();

  std::optional<uint64_t> strings, symbols, hash, gnu_hash;
  std::vector<uint64_t> needed;
  std::optional<uint64_t> rpath;
  for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= dynamic->p_filesz; at += sizeof(Elf64_Dyn)) {
    const auto entry = image.At<Elf64_Dyn>(dynamic->p_offset + at);
    if (!entry) return Truncated();
    if (entry->d_tag == DT_NULL) break;
    const uint64_t value = entry->d_un.d_val;
    switch (entry->d_tag) {
      case DT_STRTAB: strings = image.Offset(value); break;
      case DT_SYMTAB: symbols = image.Offset(value); break;
      case DT_HASH: hash = image.Offset(value); break;
      case DT_GNU_HASH: gnu_hash = image.Offset(value); break;
      case DT_NEEDED: needed.push_back(value); break;
      case DT_RPATH: rpath = value; break;
      case DT_TEXTREL: facts.text_relocations = true; break;
      case DT_FLAGS: facts.text_relocations |= (value & DF_TEXTREL) != 0; break;
      case DT_FLAGS_1: facts.executable |= (value & DF_1_PIE) != 0; break;
    }
  }
  const std::optional<uint64_t> count = SymbolCount(image, hash, gnu_hash);
  if (!strings || !symbols || !count) return Truncated();
  for (const uint64_t name : needed) facts.needed.push_back(image.Text(*strings + name));
  if (rpath) facts.rpath = image.Text(*strings + *rpath);
  for (const std::string& library : facts.needed) facts.uses_protobuf |= library.starts_with("libprotobuf.so");

  for (uint64_t i = 1; i < *count; i++) {
    const auto symbol = image.At<Elf64_Sym>(*symbols + i * sizeof(Elf64_Sym));
    if (!symbol) return Truncated();
    const std::string name = image.Text(*strings + symbol->st_name);
    const unsigned binding = ELF64_ST_BIND(symbol->st_info), visibility = ELF64_ST_VISIBILITY(symbol->st_other);
    if (symbol->st_shndx == SHN_UNDEF) {
      facts.uses_protobuf |= name.find("6google8protobuf8internal14AddDescriptors") != std::string::npos;
      continue;
    }
    if (binding == STB_LOCAL || (visibility != STV_DEFAULT && visibility != STV_PROTECTED)) continue;
    if (symbol->st_shndx == SHN_ABS) continue;  // the names of version nodes
    facts.exports.push_back(name);
    if (binding == STB_GNU_UNIQUE) facts.unique_exports.push_back(name);
  }
  return facts;
}

Status CheckPluginElf(const ElfFacts& facts) {
  if (facts.executable) return Bad("is a program, not a shared object: link it with -shared");
  if (std::find(facts.exports.begin(), facts.exports.end(), "tenon_plugin_query_v1") == facts.exports.end()) {
    return Bad("does not export tenon_plugin_query_v1: it is no Tenon plugin, or its build hides that function");
  }
  if (facts.executable_stack) {
    return Bad("wants an executable stack: link it with -Wl,-z,noexecstack");
  }
  if (facts.text_relocations) return Bad("has text relocations: compile all of it with -fPIC");
  if (!facts.rpath.empty()) {
    return Bad(
        fmt::format("has the DT_RPATH \"{}\", which overrides the server's library paths: link it with "
                    "-Wl,--enable-new-dtags or without -rpath",
                    facts.rpath));
  }
  if (!facts.unique_exports.empty()) {
    return Bad(
        fmt::format("exports {} as STB_GNU_UNIQUE, which all plugins would share: compile it with "
                    "-fvisibility=hidden or -fno-gnu-unique",
                    facts.unique_exports.front()));
  }
  return Ok();
}

}  // namespace tenon::plugin
