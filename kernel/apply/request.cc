#include "kernel/apply/request.h"

#include "kernel/apply/parse.h"
#include "kernel/base/coding.h"

namespace tenon::apply {

std::string EncodeEntry(uint64_t id, Field field, std::string_view request, Term term) {
  // header (field 100) { ID (field 1) }, then the operation.
  std::string out;
  out.reserve(48 + request.size());
  const size_t header_size = 1 + VarintSize(id);
  AppendVarint(out, static_cast<uint64_t>(field) << 3 | 2);
  AppendVarint(out, request.size());
  out += request;
  AppendVarint(out, 100u << 3 | 2);
  AppendVarint(out, header_size);
  out += static_cast<char>(1 << 3);
  AppendVarint(out, id);
  if (term.value != 0) {  // tenon (field 20000) { term (field 7) }
    AppendVarint(out, 20000u << 3 | 2);
    AppendVarint(out, 1 + VarintSize(term.value));
    out += static_cast<char>(7 << 3);
    AppendVarint(out, term.value);
  }
  return out;
}

Result<Request> DecodeEntry(std::string_view bytes) {
  etcdserverpb::InternalRaftRequest raw;
  if (!ParseNested(bytes, raw, kMaxEntryDepth)) {
    return absl::DataLossError(fmt::format("apply: an entry of {} bytes is not an InternalRaftRequest", bytes.size()));
  }
  Request request;
  request.id = raw.has_header() ? raw.header().id() : raw.id();
  int operations = 0;
#define TENON_TAKE(name)                                  \
  if (raw.has_##name()) {                                 \
    operations++;                                         \
    request.operation = std::move(*raw.mutable_##name()); \
    raw.clear_##name();                                   \
  }
  TENON_TAKE(put)
  TENON_TAKE(delete_range)
  TENON_TAKE(txn)
  TENON_TAKE(compaction)
  TENON_TAKE(alarm)
  TENON_TAKE(cluster_version_set)
  TENON_TAKE(cluster_member_attr_set)
  TENON_TAKE(lease_grant)
  TENON_TAKE(lease_revoke)
  TENON_TAKE(lease_checkpoint)
#undef TENON_TAKE
  if (raw.has_tenon()) {
    request.term = Term(raw.tenon().term());
    raw.mutable_tenon()->clear_term();
    if (raw.tenon().ByteSizeLong() == 0) raw.clear_tenon();
  }
  raw.clear_header();
  raw.clear_id();
  const bool more = raw.ByteSizeLong() != 0;  // an operation of somebody else
  if (operations != 1 || more) {
    return absl::DataLossError(
        fmt::format("apply: an entry of {} bytes holds {} operations that this server knows{}, not one: it may need a "
                    "module that is "
                    "not configured",
                    bytes.size(), operations, more ? " and others" : ""));
  }
  return request;
}

}  // namespace tenon::apply
