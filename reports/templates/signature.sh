python3 - RECEIPT <<'EOF'
import base64, hashlib, json, sys
d = base64.b64decode
bundle = json.load(open(sys.argv[1]))
envelope = bundle["dsseEnvelope"]
kind, body = envelope["payloadType"].encode(), d(envelope["payload"])
pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
leaf = json.loads(d(bundle["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"]))
entry = leaf["spec"]["hashedRekordV002"]
assert d(entry["data"]["digest"]) == hashlib.sha256(pae).digest(), "the leaf is of another record"
open("record.pae", "wb").write(pae)
open("record.sig", "wb").write(d(envelope["signatures"][0]["sig"]))
open("key.der", "wb").write(d(entry["signature"]["verifier"]["publicKey"]["rawBytes"]))
print(body.decode())
EOF
openssl pkey -pubin -inform DER -in key.der -out key.pem
ssh-keygen -i -m PKCS8 -f key.pem > key.pub && ssh-keygen -l -f key.pub
openssl dgst -sha256 -verify key.pem -signature record.sig record.pae
