"""A reply as three texts that are equal on two servers that behave alike.

What names the server itself is replaced: ids, addresses, raft's counters, sizes of files. Everything else stays:
code, exact text, and each field of the answer, unknown ones too.
"""

import re

from google.protobuf import text_format

from harness import messages
from harness.messages import reflection, reflection_alpha, rpc


def normal(reply, member_id):
    """(code, text, body) of a Reply; body is "" when there is none."""
    text = "" if reply.code == "DEADLINE_EXCEEDED" else reply.text  # the client's own words
    text = text.replace("\u00a0", " ")  # Go's protobuf chooses the kind of space at link time
    text = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
    if member_id:
        text = text.replace(str(member_id), "MEMBER").replace(f"{member_id:x}", "MEMBER")
    return reply.code, text, body_text(reply.message, member_id)


def same_but_for_chance(method, ours, theirs):
    """HashKV of a revision that history was compacted to has two right answers.

    A server that took the hash while it compacted answers with that one, over the compact revision before; else it
    counts again, or says `compacted`. etcd takes it only if the compaction before had ended by then (it lasts some
    ticks), and forgets it when it restarts: which of the two comes is a matter of time on both sides.
    """
    if not method.endswith("/HashKV"):
        return False
    found = [re.search(r"compact_revision: (-?\d+)", body) for _, _, body in (ours, theirs)]
    if all(found):
        return found[0].group(1) != found[1].group(1)
    return sorted((ours[0], theirs[0])) == ["OK", "OUT_OF_RANGE"]


def body_text(message, member_id):
    if message is None:
        return ""
    if isinstance(message, bytes):
        return repr(message)
    if isinstance(message, list):
        if message and isinstance(message[0], rpc.RangeStreamResponse):
            return body_text(merged(message), member_id)
        return "".join(f"[{body_text(part, member_id)}]\n" for part in message)
    copy = type(message)()
    copy.CopyFrom(message)
    scrub(copy, member_id)
    return text_format.MessageToString(copy, print_unknown_fields=True)


def merged(chunks):
    """The RangeResponse that the chunks of a RangeStream add up to."""
    whole = rpc.RangeResponse()
    for chunk in chunks:
        whole.MergeFrom(chunk.range_response)
    return whole


def scrub(message, member_id):
    """Replaces in place what differs between two servers, by 1 when it is set and by nothing when it is not."""
    rule = _RULES.get(type(message))
    if rule:
        rule(message, member_id)
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE and not (field.message_type.GetOptions().map_entry):
            for part in value if field.label == field.LABEL_REPEATED else [value]:
                scrub(part, member_id)


def _present(message, *names):
    for name in names:
        setattr(message, name, 1 if getattr(message, name) else 0)


def _member(message, member_id):
    message.ID = 1 if message.ID == member_id else 2
    for urls in (message.peerURLs, message.clientURLs):
        urls[:] = [re.sub(r"//(localhost|127\.0\.0\.1):\d+$", "//HOST:PORT", url) for url in urls]


def _status(message, member_id):
    _present(message, "raftIndex", "raftTerm", "raftAppliedIndex", "dbSize", "dbSizeInUse")
    message.leader = 1 if message.leader == member_id else 2
    # Go's protobuf chooses one space or two at link time.
    errors = (re.sub(r"\s+", " ", error.replace(str(member_id), "MEMBER")).strip() for error in message.errors)
    message.errors[:] = sorted(errors)


def _alarms(message, member_id):
    for alarm in message.alarms:
        if alarm.memberID == member_id:
            alarm.memberID = 1
    ordered = sorted(message.alarms, key=lambda alarm: (alarm.memberID, alarm.alarm))  # etcd's order is a map's
    del message.alarms[:]
    message.alarms.extend(ordered)


def _time_to_live(response, member_id):
    """Seconds go by on both sides, not the same ones; and etcd's keys come out of a map."""
    if 0 <= response.grantedTTL - response.TTL <= 60:
        response.TTL = response.grantedTTL
    ordered = sorted(response.keys)
    del response.keys[:]
    response.keys.extend(ordered)


def _leases(response, member_id):
    """By what is left of them; those that began together come in any order."""
    ordered = sorted(response.leases, key=lambda lease: lease.ID)
    del response.leases[:]
    response.leases.extend(ordered)


def _reflection(message, member_id):
    """Services by name only: the files are named and cut differently."""
    services = sorted(service.name for service in message.list_services_response.service)
    files = len(message.file_descriptor_response.file_descriptor_proto)
    code = message.error_response.error_code
    message.Clear()
    for name in services:
        message.list_services_response.service.add(name=name)
    if files:
        message.file_descriptor_response.file_descriptor_proto.append(b"files")
    if code:
        message.error_response.error_code = code


_RULES = {
    rpc.ResponseHeader: lambda header, member_id: _present(header, "cluster_id", "member_id", "raft_term"),
    rpc.Member: _member,
    rpc.StatusResponse: _status,
    rpc.AlarmResponse: _alarms,
    rpc.HashResponse: lambda response, member_id: _present(response, "hash"),
    rpc.LeaseTimeToLiveResponse: _time_to_live,
    rpc.LeaseLeasesResponse: _leases,
    reflection.ServerReflectionResponse: _reflection,
    reflection_alpha.ServerReflectionResponse: _reflection,
}

assert messages.METHODS, "the messages are generated before this module is used"
