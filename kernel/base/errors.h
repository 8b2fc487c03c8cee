// etcd's errors: the code and the exact words that clients compare. Source: etcd api/v3rpc/rpctypes/error.go.
//
// A handler returns one of these and nothing else for what etcd has a text for; tests/golden compares each with etcd.
#pragma once
#include "kernel/base/status.h"

namespace tenon::errors {

#define TENON_ETCD_ERROR(name, code, text) \
  inline Status name() { return Status(StatusCode::code, "etcdserver: " text); }

TENON_ETCD_ERROR(EmptyKey, kInvalidArgument, "key is not provided")
TENON_ETCD_ERROR(KeyNotFound, kInvalidArgument, "key not found")
TENON_ETCD_ERROR(ValueProvided, kInvalidArgument, "value is provided")
TENON_ETCD_ERROR(LeaseProvided, kInvalidArgument, "lease is provided")
TENON_ETCD_ERROR(TooManyOps, kInvalidArgument, "too many operations in txn request")
TENON_ETCD_ERROR(DuplicateKey, kInvalidArgument, "duplicate key given in txn request")
TENON_ETCD_ERROR(InvalidClientApiVersion, kInvalidArgument, "invalid client api version")
TENON_ETCD_ERROR(InvalidSortOption, kInvalidArgument, "invalid sort option")
TENON_ETCD_ERROR(BadPeerUrls, kInvalidArgument, "given member URLs are invalid")
TENON_ETCD_ERROR(RequestTooLarge, kInvalidArgument, "request is too large")
TENON_ETCD_ERROR(WrongDowngradeVersionFormat, kInvalidArgument, "wrong downgrade target version format")
TENON_ETCD_ERROR(InvalidDowngradeTarget, kInvalidArgument, "invalid downgrade target version")
TENON_ETCD_ERROR(LeaseNotFound, kNotFound, "requested lease not found")
TENON_ETCD_ERROR(LeaseExists, kFailedPrecondition, "lease already exists")
TENON_ETCD_ERROR(LeaseTtlTooLarge, kOutOfRange, "too large lease TTL")
TENON_ETCD_ERROR(MemberNotFound, kNotFound, "member not found")
TENON_ETCD_ERROR(NoSpace, kResourceExhausted, "mvcc: database space exceeded")
// On the wire etcd sends this one as Unknown: its client-side error has no gRPC status.
TENON_ETCD_ERROR(TooManyRequests, kUnknown, "too many requests")
TENON_ETCD_ERROR(Compacted, kOutOfRange, "mvcc: required revision has been compacted")
TENON_ETCD_ERROR(FutureRevision, kOutOfRange, "mvcc: required revision is a future revision")
TENON_ETCD_ERROR(NotLeader, kFailedPrecondition, "not leader")
TENON_ETCD_ERROR(BadLeaderTransferee, kFailedPrecondition, "bad leader transferee")
TENON_ETCD_ERROR(MemberExists, kFailedPrecondition, "member ID already exist")
TENON_ETCD_ERROR(PeerUrlExists, kFailedPrecondition, "Peer URLs already exists")
TENON_ETCD_ERROR(MemberRemoved, kNotFound, "member not found")  // etcd tells no more of it
TENON_ETCD_ERROR(TooManyLearners, kFailedPrecondition, "too many learner members in cluster")
TENON_ETCD_ERROR(LearnerNotReady, kFailedPrecondition, "can only promote a learner member which is in sync with leader")
TENON_ETCD_ERROR(NotSupportedForLearner, kFailedPrecondition, "rpc not supported for learner")
TENON_ETCD_ERROR(NotLearner, kFailedPrecondition, "can only promote a learner member")
TENON_ETCD_ERROR(NoInflightDowngrade, kFailedPrecondition, "no inflight downgrade job")
TENON_ETCD_ERROR(NoLeader, kUnavailable, "no leader")
TENON_ETCD_ERROR(LeaderChanged, kUnavailable, "leader changed")
TENON_ETCD_ERROR(Stopped, kUnavailable, "server stopped")
TENON_ETCD_ERROR(Timeout, kUnavailable, "request timed out")
TENON_ETCD_ERROR(TimeoutDueToLeaderFail, kUnavailable, "request timed out, possibly due to previous leader failure")
TENON_ETCD_ERROR(TimeoutDueToConnectionLost, kUnavailable, "request timed out, possibly due to connection lost")
TENON_ETCD_ERROR(TimeoutLeaderTransfer, kUnknown, "request timed out, leader transfer took too long")
TENON_ETCD_ERROR(Unhealthy, kUnavailable, "unhealthy cluster")
TENON_ETCD_ERROR(Corrupt, kDataLoss, "corrupt cluster")
// Like TooManyRequests, Unknown on the wire.
TENON_ETCD_ERROR(NotEnoughStartedMembers, kUnknown, "re-configuration failed due to not enough started members")

#undef TENON_ETCD_ERROR

// Of a call whose time is over: gRPC's words, not etcd's.
inline Status DeadlineExceeded() { return Status(StatusCode::kDeadlineExceeded, "context deadline exceeded"); }

}  // namespace tenon::errors
