"""A client of CRI: cri.py SOCKET METHOD MESSAGES. Calls the method with all messages at once and prints the answers, all as
JSON. It covers the part of the public API (k8s.io/cri-api, runtime.v1) that tests need; other fields are left out."""
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

# Message: its fields by name, each with its number and kind. A list's kind is in brackets; a map is {}.
MESSAGES = {
    "RunPodSandboxRequest": {"config": (1, "PodSandboxConfig"), "runtime_handler": (2, str)},
    "PodSandboxConfig": {
        "metadata": (1, "Metadata"), "hostname": (2, str), "log_directory": (3, str), "dns_config": (4, "DNSConfig"),
        "port_mappings": (5, ["PortMapping"]), "labels": (6, {}), "annotations": (7, {}), "linux": (8, "Linux"),
    },
    "Metadata": {"name": (1, str), "uid": (2, str), "namespace": (3, str), "attempt": (4, int)},
    "DNSConfig": {"servers": (1, [str]), "searches": (2, [str]), "options": (3, [str])},
    "PortMapping": {"protocol": (1, int), "container_port": (2, int), "host_port": (3, int), "host_ip": (4, str)},
    "Linux": {"cgroup_parent": (1, str)},
    "RunPodSandboxResponse": {"pod_sandbox_id": (1, str)},
    "StopPodSandboxRequest": {"pod_sandbox_id": (1, str)},
    "StopPodSandboxResponse": {},
    "RemovePodSandboxRequest": {"pod_sandbox_id": (1, str)},
    "RemovePodSandboxResponse": {},
    "PodSandboxStatusRequest": {"pod_sandbox_id": (1, str), "verbose": (2, int)},
    "PodSandboxStatusResponse": {"status": (1, "PodSandboxStatus"), "info": (2, {})},
    "PodSandboxStatus": {"id": (1, str), "metadata": (2, "Metadata"), "state": (3, int), "network": (5, "Network")},
    "Network": {"ip": (1, str), "additional_ips": (2, ["PodIP"])},
    "PodIP": {"ip": (1, str)},
    "StatusRequest": {"verbose": (1, int)},
    "StatusResponse": {"status": (1, "RuntimeStatus"), "info": (2, {})},
    "RuntimeStatus": {"conditions": (1, ["Condition"])},
    "Condition": {"type": (1, str), "status": (2, int), "reason": (3, str), "message": (4, str)},
    "Entry": {"key": (1, str), "value": (2, str)},
}


def varint(n):
    head = n & 0x7F
    return bytes([head]) if n < 0x80 else bytes([head | 0x80]) + varint(n >> 7)


def encode(kind, value):
    out = b""
    for name, content in value.items():
        number, of = MESSAGES[kind][name]
        if of == {}:
            of, content = ["Entry"], [{"key": k, "value": v} for k, v in content.items()]
        each, of = (content, of[0]) if isinstance(of, list) else ([content], of)
        for one in each:
            if of is int:
                out += varint(number << 3) + varint(int(one))
                continue
            data = one.encode() if of is str else encode(of, one)
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def read_varint(data, at):
    n = shift = 0
    while True:
        n |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return n, at


def decode(kind, data):
    known = {number: (name, of) for name, (number, of) in MESSAGES[kind].items()}
    out, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            content, at = read_varint(data, at)
        else:
            assert key & 7 == 2, f"{kind}: wire type {key & 7}"
            size, at = read_varint(data, at)
            content, at = data[at:at + size], at + size
        if key >> 3 not in known:
            continue
        name, of = known[key >> 3]
        if of == {}:
            entry = decode("Entry", content)
            out.setdefault(name, {})[entry.get("key", "")] = entry.get("value", "")
            continue
        single = of[0] if isinstance(of, list) else of
        value = content if single is int else content.decode() if single is str else decode(single, content)
        out.setdefault(name, []).append(value) if isinstance(of, list) else out.update({name: value})
    return out


def main(socket, method, messages):
    with grpc.insecure_channel("unix://" + socket) as channel:
        ask = channel.unary_unary(
            "/runtime.v1.RuntimeService/" + method,
            request_serializer=lambda message: encode(method + "Request", message),
            response_deserializer=lambda data: decode(method + "Response", data),
        )

        def one(message):
            try:
                return {"answer": ask(message, timeout=120, wait_for_ready=True)}
            except grpc.RpcError as e:
                return {"error": f"{e.code().name}: {e.details()}"}

        messages = json.loads(messages)
        with ThreadPoolExecutor(max(1, len(messages))) as pool:
            print(json.dumps(list(pool.map(one, messages))))


main(*sys.argv[1:])
