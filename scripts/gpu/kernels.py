"""Which nodes of a graph a GPU can run, asked of TensorFlow's library itself: no GPU and no tensorflow package is needed.

usage: python3 kernels.py LIBRARY GRAPH
LIBRARY  libtensorflow_cc.so.2 of the CUDA wheel; it registers its GPU kernels on any machine
GRAPH    a saved_model.pb
prints   a JSON list of operations: op, types of its attributes, number of nodes, devices pinned to, devices with a kernel
"""

import collections
import ctypes
import json
import os
import sys

TYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 7: "string", 9: "int64", 10: "bool", 14: "bfloat16",
         19: "float16", 20: "resource", 23: "uint64"}


def fields(data):
    """(number, value) of a protobuf message's fields; length-delimited values as bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
        elif kind == 2:
            size = varint()
            yield key >> 3, data[at:at + size]
            at += size
        else:
            size = {1: 8, 5: 4}[kind]
            yield key >> 3, data[at:at + size]
            at += size


def packed(value):
    """Numbers of a repeated field, packed or not."""
    if isinstance(value, int):
        return [value]
    numbers, number, shift = [], 0, 0
    for byte in value:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(number)
            number = shift = 0
    return numbers


def only(data, number):
    return [value for key, value in fields(data) if key == number]


def nodes_of(graph_file):
    """(op, device, attributes that name a type) of every node."""
    with open(graph_file, "rb") as file:
        saved = file.read()
    for meta in only(saved, 2):
        for graph in only(meta, 2):
            for node in only(graph, 1):
                op = device = ""
                types = {}
                for key, value in fields(node):
                    if key == 2:
                        op = value.decode()
                    elif key == 4:
                        device = value.decode()
                    elif key == 5:
                        name, attribute = only(value, 1)[0].decode(), only(value, 2)[0]
                        for kind in only(attribute, 6):
                            types[name] = kind
                yield op, device, types


class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("free", ctypes.c_void_p)]


def open_library(path):
    folder = os.path.dirname(os.path.abspath(path))
    ctypes.CDLL(os.path.join(folder, "libtensorflow_framework.so.2"), ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(path)
    library.TF_NewStatus.restype = ctypes.c_void_p
    library.TF_GetRegisteredKernelsForOp.restype = ctypes.POINTER(Buffer)
    library.TF_GetRegisteredKernelsForOp.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    return library


def kernels_of(library, op):
    """(device, {attribute: allowed types}, inputs and outputs in host memory) of every kernel of an operation."""
    buffer = library.TF_GetRegisteredKernelsForOp(op.encode(), library.TF_NewStatus())
    data = ctypes.string_at(buffer.contents.data, buffer.contents.length)
    for kernel in only(data, 1):
        device, allowed, host = "", {}, []
        for key, value in fields(kernel):
            if key == 2:
                device = value.decode()
            elif key == 3:
                name, list_ = only(value, 1)[0].decode(), only(only(value, 2)[0], 1)[0]
                allowed[name] = [n for found in only(list_, 6) for n in packed(found)]
            elif key == 4:
                host.append(value.decode())
        yield device, allowed, host


def main():
    library = open_library(sys.argv[1])
    counted = collections.Counter((op, device, tuple(sorted(types.items()))) for op, device, types in nodes_of(sys.argv[2]))
    kernels, report = {}, []
    for (op, pinned, types), count in sorted(counted.items()):
        if op not in kernels:
            kernels[op] = list(kernels_of(library, op))
        named = dict(types)
        fitting = [(device, host) for device, allowed, host in kernels[op]
                   if all(named.get(name) in values for name, values in allowed.items())]
        report.append({
            "op": op,
            "types": {name: TYPES.get(number, str(number)) for name, number in types},
            "nodes": count,
            "pinned": pinned,
            # A kernel of "DEFAULT" is used on every device that has none of its own.
            "devices": [device for device in ("CPU", "GPU") if any(at in (device, "DEFAULT") for at, _ in fitting)],
            "host": sorted({name for device, host in fitting if device in ("GPU", "DEFAULT") for name in host}),
        })
    json.dump(report, sys.stdout)


main()
