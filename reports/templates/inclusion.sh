python3 - RECEIPT <<'EOF'
import base64, hashlib, json, sys
d, h = base64.b64decode, lambda data: hashlib.sha256(data).digest()
entry = json.load(open(sys.argv[1]))["verificationMaterial"]["tlogEntries"][0]
proof = entry["inclusionProof"]
leaf = h(b"\x00" + d(entry["canonicalizedBody"]))
half = lambda n: 1 << (n - 1).bit_length() - 1     # RFC 6962, section 2.1.1
left = lambda at, n, path: h(b"\x01" + root(at, half(n), path[:-1]) + path[-1])
right = lambda at, n, path: h(b"\x01" + path[-1] + root(at - half(n), n - half(n), path[:-1]))
root = lambda at, n, path: leaf if n == 1 else (left if at < half(n) else right)(at, n, path)
at, n, path = int(proof["logIndex"]), int(proof["treeSize"]), [*map(d, proof["hashes"])]
print(base64.b64encode(root(at, n, path)).decode())
EOF
