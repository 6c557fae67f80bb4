"""keccak256, the signer of a secp256k1 signature, and what an attestor signs: Python's standard library has none of them."""


def rotate(lane, by):
    return (lane << by % 64 | lane >> 64 - by % 64) & (1 << 64) - 1


def permute(a):
    """Keccak-f[1600] of lanes a[x][y]."""
    lfsr = 1
    for _ in range(24):
        column = [a[x][0] ^ a[x][1] ^ a[x][2] ^ a[x][3] ^ a[x][4] for x in range(5)]
        mixed = [column[x - 1] ^ rotate(column[(x + 1) % 5], 1) for x in range(5)]
        a = [[lane ^ mixed[x] for lane in a[x]] for x in range(5)]
        x, y, lane = 1, 0, a[1][0]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            lane, a[x][y] = a[x][y], rotate(lane, (t + 1) * (t + 2) // 2)
        a = [[a[x][y] ^ ~a[(x + 1) % 5][y] & a[(x + 2) % 5][y] for y in range(5)] for x in range(5)]
        for bit in range(7):
            lfsr = (lfsr << 1 ^ (lfsr >> 7) * 0x71) % 256
            a[0][0] ^= (lfsr >> 1 & 1) << (1 << bit) - 1
    return a


def keccak256(data):
    # Padded as Ethereum does: the first byte is 0x01, and 0x06 in SHA3-256.
    padded = bytearray(data + bytes(136 - len(data) % 136))
    padded[len(data)] ^= 0x01
    padded[-1] ^= 0x80
    a = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), 136):
        for i in range(17):
            a[i % 5][i // 5] ^= int.from_bytes(padded[start + 8 * i : start + 8 * i + 8], "little")
        a = permute(a)
    return b"".join(a[x][0].to_bytes(8, "little") for x in range(4))


# secp256k1: its field, its order and its generator.
P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def add(p, q):
    if p is None or q is None:
        return p or q
    if p[0] != q[0]:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P)
    elif p[1] == q[1]:
        slope = 3 * p[0] ** 2 * pow(2 * p[1], -1, P)
    else:
        return None
    x = (slope**2 - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def multiply(p, by):
    product = None
    for bit in bin(by)[2:]:
        product = add(product, product)
        product = add(product, p) if bit == "1" else product
    return product


def recover(digest, r, s, parity):
    """The address whose key signed; None if no key can have."""
    y = pow(r**3 + 7, (P + 1) // 4, P)
    if (y * y - r**3 - 7) % P:
        return None
    y = y if y % 2 == parity else P - y
    inverse, z = pow(r, -1, N), int.from_bytes(digest, "big")
    key = add(multiply((r, y), s * inverse % N), multiply(G, -z * inverse % N))
    return key and "0x" + keccak256(word(key[0]) + word(key[1]))[12:].hex()


def word(value):
    """A number, or `0x` and digits, in 32 bytes."""
    return value.to_bytes(32, "big") if isinstance(value, int) else bytes.fromhex(value[2:]).rjust(32, b"\0")


DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
MESSAGE_TYPE = b"UsageVoucher(bytes32 jobId,uint256 gpuSeconds,bytes32 evidenceRoot)"


def what_is_signed(header, gpu_seconds, root):
    names = b"".join(map(keccak256, (DOMAIN_TYPE, b"Hawser ComputeMarket", b"1")))
    domain = keccak256(names + word(header["chainId"]) + word(header["market"]))
    message = keccak256(keccak256(MESSAGE_TYPE) + word(header["jobId"]) + word(gpu_seconds) + root)
    return keccak256(b"\x19\x01" + domain + message)
