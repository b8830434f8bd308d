// Verifies Sigstore bundles with Sigstore's own verifier. Standard input is one JSON object:
// trustedRoot, keys (hint to PEM), bundles (name to bundle); standard output answers each name
// with null or the reason why it was refused.

import { readFileSync } from "node:fs";
import { createPublicKey } from "node:crypto";
import { bundleFromJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { Verifier, toSignedEntity, toTrustMaterial } from "@sigstore/verify";

const input = JSON.parse(readFileSync(0, "utf-8"));
const trust = toTrustMaterial(TrustedRoot.fromJSON(input.trustedRoot), (hint) => ({
  publicKey: createPublicKey(input.keys[hint]),
  validFor: () => true,
}));
// One entry in the log is asked for. The ledger's checkpoint has a time, but not a form of it that
// this verifier knows (a timestamp authority's), so none is asked for.
const verifier = new Verifier(trust, { tlogThreshold: 1, timestampThreshold: 0 });

function refusal(bundle) {
  try {
    verifier.verify(toSignedEntity(bundleFromJSON(bundle)));
    return null;
  } catch (error) {
    return `${error.code ?? error.name}: ${error.message}`;
  }
}

const answers = Object.entries(input.bundles).map(([name, item]) => [name, refusal(item)]);
process.stdout.write(JSON.stringify(Object.fromEntries(answers)));
