"""Short constructors, so that a case reads like the request it sends. Texts stand for bytes."""

from harness.messages import rpc

ALL = {"key": "\0", "end": "\0"}


def data(text):
    return text if isinstance(text, bytes) else text.encode()


def Range(key="", end="", **more):
    return rpc.RangeRequest(key=data(key), range_end=data(end), **more)


def Put(key="", value="", **more):
    return rpc.PutRequest(key=data(key), value=data(value), **more)


def Delete(key="", end="", **more):
    return rpc.DeleteRangeRequest(key=data(key), range_end=data(end), **more)


def Compare(key, target, result, wanted=None, end=""):
    """Compare("a", "VERSION", "EQUAL", 1). `wanted` None leaves the union empty."""
    compare = rpc.Compare(key=data(key), target=target, result=result, range_end=data(end))
    if wanted is not None:
        field = {
            "VERSION": "version",
            "CREATE": "create_revision",
            "MOD": "mod_revision",
            "VALUE": "value",
            "LEASE": "lease",
        }[target]
        setattr(compare, field, data(wanted) if target == "VALUE" else wanted)
    return compare


def Txn(compare=(), then=(), otherwise=()):
    return rpc.TxnRequest(
        compare=compare, success=[op(request) for request in then], failure=[op(request) for request in otherwise]
    )


def op(request):
    """The RequestOp that holds a request; None is an op with an empty union."""
    if request is None:
        return rpc.RequestOp()
    field = {
        rpc.RangeRequest: "request_range",
        rpc.PutRequest: "request_put",
        rpc.DeleteRangeRequest: "request_delete_range",
        rpc.TxnRequest: "request_txn",
    }[type(request)]
    return rpc.RequestOp(**{field: request})
