"use strict";
// Verifies the page that it stands in, from what the page embeds and with the browser's own
// cryptography. It fetches nothing. The forms it reads are those of docs/formats.md.

const PAYLOAD_TYPE = "application/vnd.in-toto+json";
const EVIDENCE = "https://muniment.dev/evidence/";
const VSA = "https://slsa.dev/verification_summary/v1";
const P256 = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
const ED25519 = "302a300506032b6570032100";
const STATES = [
  "failed", "missing", "stale", "unapproved", "partial", "met", "waived", "not-applicable",
];
/** As many files of one record the page shows. */
const MAX_ROWS = 200;
/** After so many records the reader is told how far it is. */
const EVERY = 100;

/** Something does not hold. */
class Fault extends Error {}
/** Something cannot be checked here. */
class Unable extends Error {}

function demand(holds, what) {
  if (!holds) throw new Fault(what);
}

function given(value) {
  if (value === undefined) throw new Unable("an earlier check failed");
  return value;
}

// ---- bytes

const bytesOf = (text) => new TextEncoder().encode(text);

function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Fault("text that is not UTF-8");
  }
}

function base64(bytes) {
  let raw = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    raw += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(raw);
}

function unbase64(text) {
  let raw;
  try {
    raw = atob(text);
  } catch {
    throw new Fault("base64 that cannot be read");
  }
  demand(btoa(raw) === text, "base64 that is not in its one form");
  return Uint8Array.from(raw, (char) => char.charCodeAt(0));
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const equal = (one, other) => one.length === other.length && one.every((b, at) => b === other[at]);

const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

// ---- keys and signatures

let ed25519Known;

/** Whether this browser has Ed25519 at all. */
function hasEd25519() {
  // The public key of RFC 8032, section 7.1, test 1.
  const key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
  const raw = Uint8Array.from(key.match(/../g), (pair) => parseInt(pair, 16));
  ed25519Known ??= crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]).then(
    () => true,
    () => false,
  );
  return ed25519Known;
}

function readKey(spki) {
  const form = hex(spki);
  if (form.startsWith(P256 + "04") && spki.length === 91) {
    return { kind: "P-256", spki, raw: spki.subarray(26) };
  }
  demand(form.startsWith(ED25519) && spki.length === 44, "a key of another kind");
  return { kind: "Ed25519", spki, raw: spki.subarray(12) };
}

/** The OpenSSH fingerprint of a key. */
async function fingerprint(key) {
  const field = (bytes) => joined(new Uint8Array([0, 0, 0, bytes.length]), bytes);
  const names = key.kind === "P-256" ? ["ecdsa-sha2-nistp256", "nistp256"] : ["ssh-ed25519"];
  const wire = joined(...names.map(bytesOf).map(field), field(key.raw));
  return `SHA256:${base64(await sha256(wire)).replace(/=+$/, "")}`;
}

const imported = new Map();

function usable(key) {
  const name = base64(key.spki);
  if (!imported.has(name)) {
    const algorithm = key.kind === "P-256" ? { name: "ECDSA", namedCurve: "P-256" } : "Ed25519";
    imported.set(name, crypto.subtle.importKey("spki", key.spki, algorithm, false, ["verify"]));
  }
  return imported.get(name);
}

/** The two numbers of an ECDSA signature, from DER to the form that browsers read. */
function unDer(der) {
  demand(der[0] === 0x30 && der[1] === der.length - 2 && der[1] < 0x80, "not an ECDSA signature");
  let at = 2;
  const numbers = [1, 2].map(() => {
    const size = der[at + 1];
    const number = der.subarray(at + 2, at + 2 + size);
    demand(der[at] === 2 && size > 0 && number.length === size, "not an ECDSA signature");
    demand(number[0] < 0x80 && !(number[0] === 0 && !(number[1] >= 0x80)), "not in DER");
    at += 2 + size;
    const plain = number[0] === 0 ? number.subarray(1) : number;
    demand(plain.length <= 32, "not an ECDSA signature");
    return joined(new Uint8Array(32 - plain.length), plain);
  });
  demand(at === der.length, "not an ECDSA signature");
  return joined(...numbers);
}

async function demandSigned(key, signature, message, what) {
  if (key.kind === "Ed25519" && !(await hasEd25519())) {
    throw new Unable("this browser does not know Ed25519 signatures");
  }
  const isP256 = key.kind === "P-256";
  const raw = isP256 ? unDer(signature) : signature;
  const algorithm = isP256 ? { name: "ECDSA", hash: "SHA-256" } : "Ed25519";
  let holds = false;
  try {
    holds = await crypto.subtle.verify(algorithm, await usable(key), raw, message);
  } catch {
    throw new Fault(`${what}: the key cannot be used`);
  }
  demand(holds, `${what} does not fit`);
}

// ---- ledger

async function keyId(name, type, raw) {
  return (await sha256(joined(bytesOf(`${name}\n`), new Uint8Array([type]), raw))).subarray(0, 4);
}

/** Name and Ed25519 key of a ledger's verifier key. */
async function readVkey(text) {
  const [name, stated, ...rest] = text.trim().split("+");
  const body = unbase64(rest.join("+"));
  demand(body.length === 33 && body[0] === 1, "not an Ed25519 verifier key");
  const raw = body.subarray(1);
  demand(hex(await keyId(name, 1, raw)) === stated, "the verifier key does not fit its id");
  const head = Uint8Array.from(ED25519.match(/../g), (pair) => parseInt(pair, 16));
  return { name, key: readKey(joined(head, raw)), text: text.trim() };
}

/** Size, root and signed time of a checkpoint; what a signed note says before it is believed. */
function readNote(note) {
  const cut = note.lastIndexOf("\n\n");
  demand(cut >= 0 && note.endsWith("\n"), "not a signed note");
  const text = note.slice(0, cut + 1);
  const [origin, size, root, ...rest] = text.split("\n");
  demand(rest.length === 1 && rest[0] === "" && /^(0|[1-9][0-9]{0,15})$/.test(size), "not a note");
  demand(Number(size) <= Number.MAX_SAFE_INTEGER, "the ledger is too large");
  return { text, origin, size: Number(size), root: unbase64(root), lines: note.slice(cut + 2, -1) };
}

async function verifyNote(note, ledger) {
  const found = readNote(note);
  demand(found.origin === ledger.name, "a checkpoint of another ledger");
  const seen = new Set();
  for (const line of found.lines.split("\n")) {
    const [dash, signer, body, ...rest] = line.split(" ");
    demand(dash === "\u2014" && body !== undefined && !rest.length, "a malformed signature line");
    const data = unbase64(body);
    if (signer !== ledger.name) continue;
    const id = data.subarray(0, 4);
    if (equal(id, await keyId(ledger.name, 1, ledger.key.raw))) {
      const message = bytesOf(found.text);
      await demandSigned(ledger.key, data.subarray(4), message, "the ledger's signature");
      seen.add(1);
    } else if (equal(id, await keyId(ledger.name, 4, ledger.key.raw))) {
      const time = new DataView(data.buffer).getBigUint64(4);
      const message = bytesOf(`cosignature/v1\ntime ${time}\n${found.text}`);
      await demandSigned(ledger.key, data.subarray(12), message, "the ledger's dated signature");
      seen.add(4);
      found.time = Number(time);
    }
  }
  demand(seen.size === 2, "the ledger has not signed the checkpoint twice");
  return found;
}

const node = (left, right) => sha256(joined(new Uint8Array([1]), left, right));
const half = (number) => Math.floor(number / 2);

/** RFC 9162, section 2.1.3.2. */
async function demandIncluded(leafHash, index, size, proof, root) {
  demand(index >= 0 && index < size, "the place is outside the ledger");
  let at = index;
  let last = size - 1;
  let hash = leafHash;
  for (const sibling of proof) {
    demand(last > 0 && sibling.length === 32, "the proof is too long");
    if (at % 2 || at === last) {
      hash = await node(sibling, hash);
      while (at && !(at % 2)) [at, last] = [half(at), half(last)];
    } else {
      hash = await node(hash, sibling);
    }
    [at, last] = [half(at), half(last)];
  }
  demand(last === 0 && equal(hash, root), "it is not in the ledger where its receipt says");
}

/** RFC 9162, section 2.1.4.2. */
async function demandConsistent(older, newer, proof) {
  const apart = "an older checkpoint is not of the same history";
  if (older.size === newer.size) {
    demand(!proof.length && equal(older.root, newer.root), apart);
    return;
  }
  let [first, second] = [older.size - 1, newer.size - 1];
  demand(first >= 0 && first < second, apart);
  while (first % 2) [first, second] = [half(first), half(second)];
  const path = first === 0 ? [older.root, ...proof] : [...proof];
  demand(path.length && path.every((hash) => hash.length === 32), apart);
  let oldRoot = path[0];
  let newRoot = path[0];
  for (const hash of path.slice(1)) {
    demand(second > 0, apart);
    if (first % 2 || first === second) {
      oldRoot = await node(hash, oldRoot);
      newRoot = await node(hash, newRoot);
      while (first && !(first % 2)) [first, second] = [half(first), half(second)];
    } else {
      newRoot = await node(newRoot, hash);
    }
    [first, second] = [half(first), half(second)];
  }
  demand(second === 0 && equal(oldRoot, older.root) && equal(newRoot, newer.root), apart);
}

// ---- records

const receiptName = (index) => `receipt-${String(index).padStart(6, "0")}.sigstore.json`;

/** What a Sigstore bundle holds; nothing is verified yet. */
function readReceipt(bytes) {
  const bundle = JSON.parse(textOf(bytes));
  const [entry, ...others] = bundle.verificationMaterial.tlogEntries;
  const proof = entry.inclusionProof;
  demand(!others.length && entry.logIndex === proof.logIndex, "a receipt names two places");
  const leaf = unbase64(entry.canonicalizedBody);
  const payload = unbase64(bundle.dsseEnvelope.payload);
  return {
    index: Number(proof.logIndex),
    leaf,
    spec: JSON.parse(textOf(leaf)).spec.hashedRekordV002,
    proof: proof.hashes.map(unbase64),
    checkpoint: proof.checkpoint.envelope,
    envelope: bundle.dsseEnvelope,
    payload,
    statement: JSON.parse(textOf(payload)),
  };
}

/** Check a record's leaf and signature; gives the key that signed. */
async function demandRecordSigned(receipt) {
  const { envelope, payload, leaf, spec } = receipt;
  const verifier = spec.signature.verifier;
  const key = readKey(unbase64(verifier.publicKey.rawBytes));
  demand(envelope.payloadType === PAYLOAD_TYPE, "another payload type");
  demand(envelope.signatures.length === 1, "not exactly one signature");
  const head = `DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `;
  const message = joined(bytesOf(head), payload);
  const details = key.kind === "P-256" ? "PKIX_ECDSA_P256_SHA_256" : "PKIX_ED25519";
  const form = {
    apiVersion: "0.0.2",
    kind: "hashedrekord",
    spec: {
      hashedRekordV002: {
        data: { algorithm: "SHA2_256", digest: base64(await sha256(message)) },
        signature: {
          content: envelope.signatures[0].sig,
          verifier: { keyDetails: details, publicKey: { rawBytes: base64(key.spki) } },
        },
      },
    },
  };
  demand(textOf(leaf) === JSON.stringify(form), "the leaf is of another record");
  await demandSigned(key, unbase64(envelope.signatures[0].sig), message, "the record's signature");
  return key;
}

function kindOf(type) {
  if (type === VSA) return "gate-decision";
  const isOurs = type.startsWith(EVIDENCE) && type.endsWith("/v1");
  return isOurs ? type.slice(EVIDENCE.length, -"/v1".length) : type;
}

// ---- the checks, in order; each fills in what the next ones rest on

async function checkManifest(proof, check) {
  const { files, document: json } = proof;
  const listed = new Map(json("manifest.json").files.map((item) => [item.name, item]));
  for (const name of new Set([...listed.keys(), ...files.keys()])) {
    if (name === "manifest.json") continue;
    check.count += 1;
    const [bytes, said] = [files.get(name), listed.get(name)];
    if (!bytes || !said) {
      check.faults.push(`${name} is ${said ? "missing" : "not in the manifest"}`);
    } else if (hex(await sha256(bytes)) !== said.sha256 || bytes.length !== said.size) {
      check.faults.push(`${name} is not the file that the manifest names`);
    }
  }
}

async function checkRoot(proof, check) {
  const genesis = readReceipt(proof.file(receiptName(0)));
  const key = await demandRecordSigned(genesis);
  proof.root = await fingerprint(key);
  const body = genesis.statement.predicate.body;
  demand(kindOf(genesis.statement.predicateType) === "key", "entry 0 is no key record");
  demand(body.fingerprint === proof.root, "entry 0 does not enrol the key that signed it");
  const ledger = await readVkey(body.ledger);
  demand(textOf(proof.file("ledger.vkey")).trim() === ledger.text, "ledger.vkey is another key");
  proof.ledger = ledger;
  const expected = document.getElementById("root").value.trim();
  if (expected === "") {
    throw new Unable(
      `you gave no fingerprint to expect. The key in this file is ${proof.root}: compare it with ` +
        "one that did not come with this file",
    );
  }
  check.count += 1;
  demand(expected === proof.root, `you expect ${expected}, and the key here is ${proof.root}`);
}

async function checkCheckpoint(proof, check) {
  const note = textOf(proof.file("checkpoint.txt"));
  const found = await verifyNote(note, given(proof.ledger));
  proof.checkpoint = { ...found, note };
  check.count += 1;
}

async function checkReceipts(proof, check, progress) {
  const wanted = proof.document("input.json");
  const indices = [...wanted.records, ...wanted.keys].sort((one, other) => one - other);
  const names = new Set(indices.map(receiptName));
  for (const name of proof.files.keys()) {
    if (name.startsWith("receipt-") && !names.has(name)) check.faults.push(`${name} is not wanted`);
  }
  // NOTE: without a checkpoint that holds, the records' own signatures can be checked still.
  const checkpoint = proof.checkpoint;
  proof.records = new Map();
  for (const index of indices) {
    try {
      const receipt = readReceipt(proof.file(receiptName(index)));
      demand(receipt.index === index, "it is of another place");
      const key = await demandRecordSigned(receipt);
      const leafHash = await sha256(joined(new Uint8Array([0]), receipt.leaf));
      if (checkpoint) {
        demand(receipt.checkpoint === checkpoint.note, "it is under another checkpoint");
        const { size, root } = checkpoint;
        await demandIncluded(leafHash, index, size, receipt.proof, root);
        check.count += 1;
      }
      const signer = await fingerprint(key);
      proof.records.set(index, { ...receipt, sha256: hex(leafHash), signer });
    } catch (error) {
      if (error instanceof Unable) check.unable.add(`#${index}: ${error.message}`);
      else check.faults.push(`record #${index}: ${inWords(error)}`);
    }
    if (index % EVERY === 0) await progress(`record #${index}`);
  }
  if (!checkpoint) throw new Unable("the place in the ledger: the checkpoint was not verified");
}

async function checkHistory(proof, check) {
  const [ledger, last] = [given(proof.ledger), given(proof.checkpoint)];
  const times = [];
  for (const step of proof.document("history.json").checkpoints) {
    const older = await verifyNote(step.note, ledger);
    await demandConsistent(older, last, step.consistency.map(unbase64));
    const before = times.at(-1);
    demand(!before || older.time >= before.time, "recorded times run backwards");
    times.push(older);
    check.count += 1;
  }
  proof.times = times;
}

async function checkPage(proof, check) {
  const coverage = proof.document("coverage.json");
  const gate = proof.document("gate.json");
  const system = `${coverage.system.id}@${coverage.system.version}`;
  const compare = (where, shown, expected) => {
    check.count += 1;
    if (shown !== expected) {
      check.faults.push(`${where}: the page shows “${shown}”, the data says “${expected}”`);
    }
  };
  const page = shownIn(document.getElementById("about"));
  compare("system", page.get("system"), system);
  compare("date", page.get("as-of"), coverage.as_of);
  compare("model", page.get("artifact"), coverage.artifact_sha256 ?? "none named");
  compare("profile", page.get("profile"), coverage.profile_sha256);
  compare("gate", page.get("gate"), gate.passed ? "passed" : "not passed");
  const verdict = document.getElementById("verdict").textContent;
  const begins = `${system} ${gate.passed ? "passes" : "does not pass"} the `;
  compare("verdict", verdict.slice(0, begins.length), begins);
  const blocking = [...document.querySelectorAll("[data-blocks]")].map((at) => at.dataset.blocks);
  const blocks = gate.blocking.map((control) => control.control);
  compare("what blocks", blocking.join(", "), blocks.join(", "));
  compare("omissions", listed("left-out"), coverage.left_out.map((item) => item.code).join(", "));
  compareStates(coverage, compare);
  compareCustody(proof, compare);
  const manifest = hex(await sha256(proof.file("manifest.json")));
  compare("manifest", listed("manifest"), manifest);
  compareRecords(proof, compare);
}

/** The marked cells inside an element, by name. */
function shownIn(element) {
  demand(element, "a part of the page is missing");
  const cells = [...element.querySelectorAll("[data-shown]")];
  return new Map(cells.map((cell) => [cell.dataset.shown, cell.textContent]));
}

function listed(name) {
  const cells = document.querySelectorAll(`[data-shown="${name}"]`);
  return [...cells].map((cell) => cell.textContent).join(", ");
}

function compareStates(coverage, compare) {
  const names = (refs) => refs.map((ref) => `#${ref.index}`).join(", ") || "–";
  const rows = [...document.querySelectorAll("[data-control]")];
  const controls = coverage.catalogs.flatMap((catalog) => catalog.controls);
  const order = rows.map((row) => row.dataset.control).join(" ");
  compare("controls", order, controls.map((control) => control.id).join(" "));
  controls.forEach((control, at) => {
    const shown = shownIn(rows[at]);
    compare(`state of ${control.id}`, shown.get("state"), control.state);
    compare(`evidence of ${control.id}`, shown.get("evidence"), names(control.evidence));
    compare(`approvals of ${control.id}`, shown.get("approvals"), names(control.approvals));
    compare(`end of ${control.id}`, shown.get("fresh"), control.fresh_until?.slice(0, 10) ?? "–");
  });
  const counted = [...document.querySelectorAll("[data-catalog]")];
  compare("catalogs", counted.length, coverage.catalogs.length);
  coverage.catalogs.forEach((catalog, at) => {
    const shown = shownIn(counted[at]);
    for (const state of STATES) {
      const number = catalog.controls.filter((control) => control.state === state).length;
      compare(`${catalog.catalog}, ${state}`, shown.get(state), String(number));
    }
  });
}

function compareCustody(proof, compare) {
  const shown = shownIn(document.getElementById("custody"));
  compare("checkpoint", shown.get("checkpoint"), given(proof.checkpoint).note);
  compare("root key", shown.get("root"), given(proof.root));
}

function compareRecords(proof, compare) {
  const records = proof.document("input.json").records;
  const entries = [...document.querySelectorAll("[data-record]")];
  const numbers = entries.map((entry) => entry.dataset.record).join(" ");
  compare("records", numbers, records.join(" "));
  records.forEach((index, at) => {
    const record = proof.records?.get(index);
    if (!record) return; // its receipt did not hold: that is a fault of its own
    const shown = shownIn(entries[at]);
    const { predicateType: type, predicate } = record.statement;
    const covering = given(proof.times).find((item) => item.size > index) ?? proof.checkpoint;
    const recorded = new Date(covering.time * 1000).toISOString().replace(".000Z", "Z");
    compare(`kind of #${index}`, shown.get("kind"), kindOf(type));
    compare(`digest of #${index}`, shown.get("sha256"), record.sha256);
    compare(`signer of #${index}`, shown.get("signer"), record.signer);
    const collected = type === VSA ? predicate.timeVerified : predicate.collectedAt;
    compare(`date of #${index}`, shown.get("collected"), collected);
    compare(`recorded time of #${index}`, shown.get("recorded"), recorded);
    const files = [...entries[at].querySelectorAll("[data-file]")].map((cell) => cell.textContent);
    const digests = record.statement.subject.slice(0, MAX_ROWS).map((item) => item.digest.sha256);
    compare(`files of #${index}`, files.join(" "), digests.join(" "));
  });
}

const CHECKS = [
  ["manifest", "Every embedded file is the one that the manifest names", checkManifest],
  ["root", "The ledger is the one whose root key you expect", checkRoot],
  ["checkpoint", "The checkpoint is signed by the ledger", checkCheckpoint],
  ["receipts", "Every record is signed and stands in the ledger where it says", checkReceipts],
  ["history", "The checkpoints that date the records lead up to this one", checkHistory],
  ["page", "The page shows what the embedded data says", checkPage],
];

// ---- the page

function inWords(error) {
  return error instanceof Fault ? error.message : `it is malformed (${error.message})`;
}

/** The embedded files, as they are read once. */
function readProof() {
  const block = JSON.parse(document.getElementById("proof").textContent);
  const files = new Map(Object.entries(block.files).map(([name, text]) => [name, unbase64(text)]));
  const file = (name) => {
    demand(files.has(name), `the page holds no file ${name}`);
    return files.get(name);
  };
  return { files, file, document: (name) => JSON.parse(textOf(file(name))) };
}

function outcomeOf(check) {
  if (check.faults.length) return "does not hold";
  return check.unable.size || !check.count ? "not checked" : "holds";
}

function showCheck(check) {
  const outcome = outcomeOf(check);
  const row = document.createElement("tr");
  row.dataset.check = check.name;
  row.className = outcome.replaceAll(" ", "-");
  const claim = document.createElement("th");
  claim.scope = "row";
  claim.textContent = check.claim;
  const said = document.createElement("td");
  const partly = outcome === "not checked" && check.count ? "not checked in full" : outcome;
  said.textContent = check.count ? `${partly} (${check.count} checked)` : partly;
  const details = document.createElement("td");
  const lines = document.createElement("ul");
  for (const text of [...check.faults, ...check.unable]) {
    const line = document.createElement("li");
    line.textContent = text;
    lines.append(line);
  }
  if (lines.childElementCount) details.append(lines);
  row.append(claim, said, details);
  document.getElementById("checks").append(row);
}

function sum(checks) {
  const outcomes = new Map(checks.map((check) => [check.name, outcomeOf(check)]));
  const failed = checks.filter((check) => outcomes.get(check.name) === "does not hold");
  const open = checks.filter((check) => outcomes.get(check.name) === "not checked");
  if (failed.length) {
    const which = failed.length === 1 ? "1 check" : `${failed.length} checks`;
    return ["does-not-hold", `This page does NOT HOLD: ${which} of ${checks.length} failed.`];
  }
  if (!open.length) {
    return ["holds", "Verified against the root key you gave, within the limits named below."];
  }
  if (open.length === 1 && open[0].name === "root") {
    const text = "Not verified in full: all else holds, but whose ledger this is was not checked.";
    return ["not-checked", `${text} Give the root key’s fingerprint.`];
  }
  return ["not-checked", "Not verified: nothing failed, but not everything could be checked."];
}

function announce(kind, text) {
  const outcome = document.getElementById("outcome");
  outcome.className = kind;
  outcome.textContent = text;
}

async function run() {
  document.getElementById("checks").replaceChildren();
  document.getElementById("checks-table").hidden = false;
  if (!globalThis.crypto?.subtle) {
    announce("not-checked", "Not verified: the browser keeps its cryptography from this page.");
    return;
  }
  announce("not-checked", "Not verified yet: checking.");
  const progress = (what) => {
    announce("not-checked", `Not verified yet: checking ${what}.`);
    return new Promise((resolve) => setTimeout(resolve));
  };
  const checks = [];
  let proof;
  for (const [name, claim, work] of CHECKS) {
    const check = { name, claim, count: 0, faults: [], unable: new Set() };
    try {
      proof ??= readProof();
      await work(proof, check, progress);
    } catch (error) {
      if (error instanceof Unable) check.unable.add(error.message);
      else check.faults.push(inWords(error));
    }
    checks.push(check);
    showCheck(check);
  }
  announce(...sum(checks));
}

let running = Promise.resolve();

function verify() {
  running = running.then(run);
  return running;
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target?.closest("details");
  if (folded) folded.open = true;
}

document.getElementById("verify").addEventListener("submit", (event) => {
  event.preventDefault();
  verify();
});
addEventListener("hashchange", openTarget);
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
openTarget();
verify();
