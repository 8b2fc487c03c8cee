#include "tests/sim/model.h"

#include <algorithm>
#include <deque>

#include "kernel/base/check.h"
#include "kernel/base/crc32c.h"

namespace tenon::sim {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

bool Inside(const std::string& key, const std::string& low, const std::string& end) {
  if (end.empty()) return key == low;
  if (end == std::string(1, '\0')) return key >= low;
  return key >= low && key < end;
}

void Fill(mvccpb::KeyValue* kv, const std::string& key, const Value& v) {
  kv->set_key(key);
  kv->set_value(v.value);
  kv->set_create_revision(v.create);
  kv->set_mod_revision(v.mod);
  kv->set_version(v.version);
  kv->set_lease(v.lease);
}

struct Working {
  State state;
  int64_t revision;
  std::vector<Row> rows;

  PutResponse Put(const PutRequest& request) {
    PutResponse response;
    const auto old = state.find(request.key());
    Value v{request.value(), revision, revision, 1, request.lease()};
    if (old != state.end()) {
      if (request.prev_kv()) Fill(response.mutable_prev_kv(), old->first, old->second);
      v.create = old->second.create;
      v.version = old->second.version + 1;
    }
    state[request.key()] = v;
    rows.push_back({request.key(), false, v});
    return response;
  }
  DeleteRangeResponse Delete(const DeleteRangeRequest& request) {
    DeleteRangeResponse response;
    for (auto it = state.begin(); it != state.end();) {
      if (!Inside(it->first, request.key(), request.range_end())) {
        ++it;
        continue;
      }
      if (request.prev_kv()) Fill(response.add_prev_kvs(), it->first, it->second);
      response.set_deleted(response.deleted() + 1);
      rows.push_back({it->first, true, {}});
      it = state.erase(it);
    }
    return response;
  }
  Revoked Revoke(int64_t lease) {
    Revoked response;
    for (auto it = state.begin(); it != state.end();) {
      if (it->second.lease != lease) {
        ++it;
        continue;
      }
      response.changed = true;
      rows.push_back({it->first, true, {}});
      it = state.erase(it);
    }
    return response;
  }
  bool Holds(const Compare& c) const {
    const auto found = state.find(c.key());
    const bool there = found != state.end();
    const auto compared = [&](const auto& is, const auto& asked) {
      switch (c.result()) {
        case Compare::EQUAL: return is == asked;
        case Compare::NOT_EQUAL: return is != asked;
        case Compare::GREATER: return is > asked;
        default: return is < asked;
      }
    };
    switch (c.target()) {
      case Compare::VERSION: return compared(there ? found->second.version : 0, c.version());
      case Compare::CREATE: return compared(there ? found->second.create : 0, c.create_revision());
      case Compare::MOD: return compared(there ? found->second.mod : 0, c.mod_revision());
      default: return there && compared(found->second.value, c.value());  // an absent key has no value to compare
    }
  }
  // All that is compared is compared before anything is changed, in nested transactions too.
  void Decide(const TxnRequest& request, std::deque<bool>& path) const {
    const bool ok =
        std::all_of(request.compare().begin(), request.compare().end(), [&](const Compare& c) { return Holds(c); });
    path.push_back(ok);
    for (const RequestOp& op : ok ? request.success() : request.failure()) {
      if (op.has_request_txn()) Decide(op.request_txn(), path);
    }
  }
  TxnResponse Txn(const TxnRequest& request) {
    std::deque<bool> path;
    Decide(request, path);
    return Txn(request, path);
  }
  TxnResponse Txn(const TxnRequest& request, std::deque<bool>& path) {
    TxnResponse response;
    const bool ok = path.front();
    path.pop_front();
    response.set_succeeded(ok);
    for (const RequestOp& op : ok ? request.success() : request.failure()) {
      ResponseOp* out = response.add_responses();
      if (op.has_request_put()) {
        *out->mutable_response_put() = Put(op.request_put());
      } else if (op.has_request_delete_range()) {
        *out->mutable_response_delete_range() = Delete(op.request_delete_range());
      } else if (op.has_request_txn()) {
        *out->mutable_response_txn() = Txn(op.request_txn(), path);
      } else {
        *out->mutable_response_range() = sim::Range(op.request_range(), state);
      }
    }
    return response;
  }
};

}  // namespace

Effect Carry(const Write& write, const State& before, int64_t revision) {
  Working w{before, revision, {}};
  Response response;
  if (const auto* put = std::get_if<PutRequest>(&write)) response = w.Put(*put);
  if (const auto* del = std::get_if<DeleteRangeRequest>(&write)) response = w.Delete(*del);
  if (const auto* txn = std::get_if<TxnRequest>(&write)) response = w.Txn(*txn);
  if (const auto* revoke = std::get_if<LeaseRevokeRequest>(&write)) response = w.Revoke(revoke->id());
  return {std::move(w.state), std::move(w.rows), std::move(response)};
}

RangeResponse Range(const RangeRequest& request, const State& state) {
  RangeResponse response;
  std::vector<State::const_iterator> hits;
  for (auto it = state.begin(); it != state.end(); ++it) {
    if (Inside(it->first, request.key(), request.range_end())) hits.push_back(it);
  }
  response.set_count(static_cast<int64_t>(hits.size()));
  if (request.count_only()) return response;
  if (request.sort_order() == RangeRequest::DESCEND) {
    const bool by_mod = request.sort_target() == RangeRequest::MOD;
    std::stable_sort(hits.begin(), hits.end(), [&](const auto& a, const auto& b) {
      return by_mod ? a->second.mod > b->second.mod : a->first > b->first;
    });
  }
  if (request.limit() > 0 && hits.size() > static_cast<size_t>(request.limit())) {
    hits.resize(static_cast<size_t>(request.limit()));
    response.set_more(true);
  }
  for (const auto& hit : hits) {
    Fill(response.add_kvs(), hit->first, hit->second);
    if (request.keys_only()) response.mutable_kvs(response.kvs_size() - 1)->clear_value();
  }
  return response;
}

bool Changed(const TxnResponse& response) {
  for (const ResponseOp& op : response.responses()) {
    if (op.has_response_put() || op.response_delete_range().deleted() > 0) return true;
    if (op.has_response_txn() && Changed(op.response_txn())) return true;
  }
  return false;
}

bool Changed(const Response& response) {
  if (std::holds_alternative<PutResponse>(response)) return true;
  if (const auto* del = std::get_if<DeleteRangeResponse>(&response)) return del->deleted() > 0;
  if (const auto* revoked = std::get_if<Revoked>(&response)) return revoked->changed;
  return Changed(std::get<TxnResponse>(response));
}

uint32_t HashKv(const History& history, int64_t revision, int64_t compact_revision) {
  // Where no key lives, etcd counts all rows that the compaction left: those visible at its revision.
  const bool empty = history.at(revision).after.empty() && history.count(compact_revision) > 0;
  const State& at = history.at(empty ? compact_revision : revision).after;
  uint32_t crc = Crc32c(0, "key");
  for (const auto& [main, step] : history) {
    if (main > revision) break;
    for (size_t sub = 0; sub < step.rows.size(); sub++) {
      const Row& row = step.rows[sub];
      if (main <= compact_revision) {
        // Only what is still visible at the asked revision counts: the rest may be gone already.
        const auto found = at.find(row.key);
        if (row.tombstone || found == at.end() || found->second.mod != main) continue;
      }
      std::string name;
      for (int shift = 56; shift >= 0; shift -= 8) name += static_cast<char>(static_cast<uint64_t>(main) >> shift);
      name += '_';
      for (int shift = 56; shift >= 0; shift -= 8) name += static_cast<char>(static_cast<uint64_t>(sub) >> shift);
      if (row.tombstone) name += 't';
      mvccpb::KeyValue kv;
      kv.set_key(row.key);
      if (!row.tombstone) Fill(&kv, row.key, row.value);
      crc = Crc32c(Crc32c(crc, name), kv.SerializeAsString());
    }
  }
  return crc;
}

}  // namespace tenon::sim
