#!/usr/bin/env python3
"""A second reader of evidence, written from docs/reference/evidence.md alone, in nothing but Python's standard library.

    reader.py FILE...          prints what each file says, or why it is refused
    reader.py --vectors DIR    reads every file in DIR/good and DIR/bad, and names those for which DIR/expected.json differs
"""

import datetime
import json
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from ethereum import N, keccak256, recover, what_is_signed

VERSION, TIER = 1, "metered"
LONGEST_LINE, LONGEST_EVIDENCE, DEEPEST = 65_536, 2 << 30, 127


class Refused(Exception):
    """The evidence is wrong, and why."""


def need(holds, why):
    if not holds:
        raise Refused(why)


# A line

SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escaped(character):
    return SHORT.get(character) or (f"\\u{ord(character):04x}" if character < " " else character)


def read_line(raw):
    need(len(raw) <= LONGEST_LINE, f"the line has more than {LONGEST_LINE} bytes")
    try:
        line = json.loads(raw.decode())
        body, signature = line["body"], line["signature"]
        again = '{"body":"' + "".join(map(escaped, body)) + '","signature":"' + signature + '"}'
        need(again.encode() == raw, "the line is not written in its one form")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(f"the line is not written in its one form: {error}") from error
    need(re.fullmatch("0x[0-9a-f]{130}", signature), "a signature has 130 lower-case digits")
    r, s, v = int(signature[2:66], 16), int(signature[66:130], 16), int(signature[130:], 16)
    need(0 < r < N and 0 < s <= N // 2 and v in (27, 28), "r, s or v of the signature is out of its range")
    return body, (r, s, v - 27)


# A body


def integer(text):
    need(re.fullmatch("0|[1-9][0-9]{0,19}", text) and int(text) < 2**64, f"{text[:30]} is no decimal integer of 64 bits")
    return int(text)


def unique(pairs):
    fields = dict(pairs)
    need(len(fields) == len(pairs), "a field comes twice in an object")
    return fields


# `integer` refuses fractions, exponents, NaN and Infinity too.
JSON = json.JSONDecoder(object_pairs_hook=unique, parse_int=integer, parse_float=integer, parse_constant=integer)


def check_strict(value, depth=1):
    need(value is not None, "there is no null")
    if isinstance(value, str):
        need(not re.search("[\ud800-\udfff]", value), "half of a surrogate pair")
    elif isinstance(value, (dict, list)):
        need(depth <= DEEPEST, f"objects and lists are more than {DEEPEST} deep")
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            check_strict(inner, depth + 1)


def moment(text, digits=3):
    """Whole milliseconds since the year 1."""
    form = rf"(\d{{4}})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{{1,{digits}}}))?Z"
    match = re.fullmatch(form, text, re.ASCII)
    need(match and "0001" <= match[1] <= "9998", f"{text} is no time")
    try:
        passed = datetime.datetime(*map(int, match.groups()[:6])) - datetime.datetime.min
    except ValueError as error:
        raise Refused(f"{text} is no time: {error}") from error
    return (passed.days * 86_400 + passed.seconds) * 1000 + int((match[7] or "0").ljust(3, "0")[:3])


def text(value):
    return isinstance(value, str)


def time(value, digits=3):
    return text(value) and moment(value, digits) is not None


def uint(bits):
    return lambda value: type(value) is int and value < 2**bits


def digits(number):
    return lambda value: text(value) and re.fullmatch(f"0x[0-9a-f]{{{number}}}", value)


def listed(of):
    return lambda value: isinstance(value, list) and all(map(of, value))


def sample(value):
    check_fields(value, {}, SAMPLE, "a sample")
    return True


SAMPLE = {
    "uuid": text, "name": text, "utilizationGpuPercent": uint(32), "utilizationMemoryPercent": uint(32),
    "memoryUsedBytes": uint(64), "memoryTotalBytes": uint(64), "temperatureCelsius": uint(32), "powerMilliwatts": uint(32),
    "smClockMhz": uint(32), "error": text, "stoppedAt": lambda value: time(value, 9),
}  # fmt: skip
HEADER = {
    "jobId": digits(64), "attestor": digits(40), "chainId": uint(64), "market": digits(40), "gpus": uint(16),
    "gpuUuids": listed(text), "baseGpuSeconds": uint(64), "nvml": lambda value: value in ("visible", "not visible"),
    "sidecar": text, "time": time,
}  # fmt: skip
REPORT = {"sequence": uint(64), "previous": digits(64), "time": time, "gpuSeconds": uint(64), "gpus": listed(sample)}


def check_fields(value, required, optional, what):
    need(isinstance(value, dict), f"{what} is an object")
    for name, fits in {**required, **optional}.items():
        need(name in value or name in optional, f"{what} has no {name}")
        need(name not in value or fits(value[name]), f"{name} of {what} is of another type")


def read_body(body):
    try:
        body = JSON.decode(body)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is no JSON: {error}") from error
    check_strict(body)
    need(isinstance(body, dict), "a body is an object")
    kind = body.get("kind")
    if kind == "header":
        version, tier = body.get("version", 1), body.get("tier", TIER)
        need(type(version) is int and version == VERSION, f"version is {version!r}, and this reader knows {VERSION}")
        need(tier == TIER, f"tier is {tier!r}, and this reader knows {TIER!r}")
        check_fields(body, HEADER, {"driverVersion": text}, "the header")
    else:
        need(kind == "report", f"kind is {kind!r}, and not header or report")
        check_fields(body, REPORT, {"beganAt": time, "last": lambda value: isinstance(value, bool)}, "the report")
    return body


# All lines of a job


def check_header(header, before):
    uuids, gpus = header["gpuUuids"], header["gpus"]
    need(gpus >= 1, "gpus is 0")
    need(len(set(uuids)) == len(uuids), "a UUID comes twice")
    need(len(uuids) == gpus or not uuids, f"{len(uuids)} UUIDs of {gpus} GPUs")
    need(uuids or header["nvml"] == "not visible", "NVML is visible, and there are no UUIDs")
    need(header["attestor"] not in [each["header"]["attestor"] for each in before], "the attestor was there before")
    need(header["baseGpuSeconds"] <= (before[-1]["count"] if before else 0), "baseGpuSeconds is more than was vouched for")
    for name in ("jobId", "market", "chainId", "gpus"):
        need(not before or header[name] == before[0]["header"][name], f"{name} is not that of the first header")


def check_report(report, attestor):
    header = attestor["header"]
    need(not attestor["last"], "the line before was the attestor's last")
    need(report["sequence"] == attestor["reports"] + 1, "the sequence does not follow")
    need(report["previous"] == "0x" + attestor["root"].hex(), "previous is not the root of the line before")
    need(moment(report["time"]) >= attestor["time"], "time goes back")
    need(report["gpuSeconds"] >= attestor["count"], "gpuSeconds goes back")
    uuids = header["gpuUuids"] if header["nvml"] == "visible" else []
    need([each.get("uuid", "") for each in report["gpus"]] == uuids, "the samples are not those of the header's GPUs")
    most = header["baseGpuSeconds"]
    if "beganAt" in report:
        passed = max(0, moment(report["time"]) - moment(report["beganAt"]))
        most = min(most + (passed + 2000) * header["gpus"] // 1000, 2**64 - 1)
    need(report["gpuSeconds"] <= most, f"gpuSeconds is more than {most}")


def read(data):
    """What a job's evidence says, its attestors' files put together in order."""
    need(data, "the evidence is empty")
    need(len(data) <= LONGEST_EVIDENCE, "the evidence is too long")
    need(data.endswith(b"\n"), "the last line has no line feed")
    attestors = []
    for raw in data[:-1].split(b"\n"):
        written, signature = read_line(raw)
        body = read_body(written)
        if body["kind"] == "header":
            check_header(body, attestors)
            attestors.append({"header": body, "root": bytes(32), "reports": 0, "last": False})
        else:
            need(attestors, "the first line is no header")
            check_report(body, attestors[-1])
            attestors[-1].update(reports=body["sequence"], last=body.get("last", False))
        attestor = attestors[-1]
        count = body["gpuSeconds" if body["kind"] == "report" else "baseGpuSeconds"]
        root = keccak256(attestor["root"] + keccak256(written.encode()))
        attestor.update(root=root, time=moment(body["time"]), count=count)
        signer = recover(what_is_signed(attestor["header"], count, root), *signature)
        need(signer == attestor["header"]["attestor"], "the signature is not the attestor's")
    return {
        "attestors": [{"attestor": a["header"]["attestor"], "evidenceRoot": "0x" + a["root"].hex()} for a in attestors],
        "gpuSeconds": attestors[-1]["count"],
        "reports": sum(each["reports"] for each in attestors),
    }


def answer(path):
    try:
        return read(path.read_bytes())
    except Refused as why:
        return f"refused: {why}"


def disagreements(folder):
    expected = json.loads((folder / "expected.json").read_text())
    for kind in ("good", "bad"):
        names = sorted(path.stem for path in (folder / kind).glob("*.jsonl"))
        if names != sorted(expected[kind]):
            yield f"{kind}: the files are not those of expected.json"
        for name in names:
            said = answer(folder / kind / f"{name}.jsonl")
            if said != expected["good"].get(name) if kind == "good" else isinstance(said, dict):
                yield f"{kind}/{name}: {said}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--vectors"]:
        sys.exit("\n".join(disagreements(Path(sys.argv[2]))) or None)
    for argument in sys.argv[1:]:
        print(f"{argument}: {answer(Path(argument))}")
