python3 - RECEIPT <<'EOF'
import base64, hashlib, json, sys
d, h = base64.b64decode, lambda data: hashlib.sha256(data).digest()
entry = json.load(open(sys.argv[1]))["verificationMaterial"]["tlogEntries"][0]
proof = entry["inclusionProof"]
node = h(b"\x00" + d(entry["canonicalizedBody"]))
at, last = int(proof["logIndex"]), int(proof["treeSize"]) - 1
for sibling in map(d, proof["hashes"]):             # RFC 9162, section 2.1.3.2
    if at % 2 or at == last:
        node = h(b"\x01" + sibling + node)
        while at and at % 2 == 0:
            at, last = at >> 1, last >> 1
    else:
        node = h(b"\x01" + node + sibling)
    at, last = at >> 1, last >> 1
print(base64.b64encode(node).decode())
EOF
