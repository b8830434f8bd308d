"""Time-stamping authorities for tests: openssl behind HTTP, and tokens of any time made by hand."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CONFIG = """\
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""
Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


@dataclass(frozen=True)
class Chain:
    """A root and the authority's certificate under it."""

    root: x509.Certificate
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    others: tuple[x509.Certificate, ...] = ()
    """More certificates that tokens carry."""

    @classmethod
    def new(
        cls,
        start: datetime | None = None,
        end: datetime | None = None,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.TIME_STAMPING,
    ) -> Chain:
        """A fresh chain; by default it is valid now."""
        now = datetime.now(UTC)
        period = (start or now - timedelta(days=30), end or now + timedelta(days=365))
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = _certificate("Root", root_key, "Root", root_key, period, None)
        return cls(root, _certificate("TSA", key, "Root", root_key, period, purpose), key)

    @classmethod
    def under_an_intermediate(cls) -> Chain:
        """A fresh chain of three, the one in the middle carried by the tokens."""
        now = datetime.now(UTC)
        period = (now - timedelta(days=30), now + timedelta(days=365))
        root_key, middle_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        root = _certificate("Root", root_key, "Root", root_key, period, None)
        middle = _certificate("Middle", middle_key, "Root", root_key, period, None)
        purpose = ExtendedKeyUsageOID.TIME_STAMPING
        leaf = _certificate("TSA", key, "Middle", middle_key, period, purpose)
        return cls(root, leaf, key, (middle,))

    def look_alike(self) -> x509.Certificate:
        """A certificate with the issuer and number of ours, for time stamps, that nobody signed."""
        ours = self.certificate
        builder = x509.CertificateBuilder(ours.issuer, ours.subject, self.key.public_key())
        builder = builder.serial_number(ours.serial_number)
        builder = builder.not_valid_before(ours.not_valid_before_utc)
        builder = builder.not_valid_after(ours.not_valid_after_utc)
        # The longer certificate comes second in DER, so a verifier chooses the first.
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(f"{'long.' * 12}example.com")]),
            critical=False,
        )
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        return builder.add_extension(usage, critical=True).sign(self.key, SHA256())

    def write_roots(self, file: Path) -> Path:
        """Write the trusted roots."""
        file.write_bytes(self.root.public_bytes(Encoding.PEM))
        return file


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    period: tuple[datetime, datetime],
    purpose: x509.ObjectIdentifier | None,
) -> x509.Certificate:
    subject, by = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{item} example")])
        for item in (name, issuer)
    )
    builder = x509.CertificateBuilder(by, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(period[0]).not_valid_after(period[1])
    builder = builder.add_extension(x509.BasicConstraints(purpose is None, None), critical=True)
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
    return builder.sign(issuer_key, SHA256())


class OpenSsl:
    """``openssl ts -reply`` with the certificates of one chain."""

    def __init__(self, folder: Path, chain: Chain) -> None:
        folder.mkdir()
        self._folder = folder
        key = chain.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "tsa.key").write_bytes(key)
        (folder / "tsa.pem").write_bytes(chain.certificate.public_bytes(Encoding.PEM))
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))

    def reply(self, query: bytes) -> bytes:
        """The response to a request, DER."""
        files = {name: self._folder / name for name in ("query", "reply")}
        files["query"].write_bytes(query)
        command = ["openssl", "ts", "-reply", "-config", str(self._folder / "tsa.cnf")]
        command += ["-queryfile", str(files["query"]), "-out", str(files["reply"])]
        subprocess.run(command, check=True, capture_output=True)
        return files["reply"].read_bytes()

    def answer(self, handler: BaseHTTPRequestHandler, query: bytes) -> None:
        """Answer an HTTP request as an authority does."""
        send(handler, self.reply(query))


def send(handler: BaseHTTPRequestHandler, body: bytes, code: int = 200) -> None:
    """Answer with these bytes."""
    handler.send_response(code)
    handler.send_header("Content-Type", "application/timestamp-reply")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serve(answer: Answer) -> Iterator[tuple[str, list[bytes]]]:
    """Serve at a free port of this machine; gives the URL and the requests so far."""
    requests: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append(body)
            answer(self, body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/tsa", requests
        finally:
            server.shutdown()
            thread.join()


def token(
    chain: Chain, data: bytes, time: datetime, named: x509.Certificate | None = None
) -> bytes:
    """A response over ``data`` that states ``time``, whatever the time is.

    Args:
        named: the certificate that the token says it is signed with; by default the chain's.
    """
    digest = {"algorithm": "sha256"}
    imprint = {"hash_algorithm": digest, "hashed_message": hashlib.sha256(data).digest()}
    info = tsp.TSTInfo(
        {
            "version": "v1",
            "policy": "1.2.3.4",
            "message_imprint": imprint,
            "serial_number": 1,
            "gen_time": time,
            "nonce": 1,
        }
    ).dump()
    certificate = chain.certificate.public_bytes(Encoding.DER)
    digest_named = hashlib.sha256((named or chain.certificate).public_bytes(Encoding.DER)).digest()
    essential = tsp.SigningCertificateV2({"certs": [{"cert_hash": digest_named}]})
    attributes = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(info).digest()]}),
            cms.CMSAttribute({"type": "signing_certificate_v2", "values": [essential]}),
        ]
    )
    parsed = asn1_x509.Certificate.load(certificate)
    signer = {
        "version": "v1",
        "sid": cms.SignerIdentifier(
            name="issuer_and_serial_number",
            value={"issuer": parsed.issuer, "serial_number": parsed.serial_number},
        ),
        "digest_algorithm": digest,
        "signed_attrs": attributes,
        "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
        "signature": chain.key.sign(attributes.dump(), ec.ECDSA(SHA256())),
    }
    signed = {
        "version": "v3",
        "digest_algorithms": [digest],
        "encap_content_info": {
            "content_type": "tst_info",
            "content": core.ParsableOctetString(info),
        },
        "certificates": [
            parsed,
            *(asn1_x509.Certificate.load(item.public_bytes(Encoding.DER)) for item in chain.others),
        ],
        "signer_infos": [signer],
    }
    response = tsp.TimeStampResp(
        {
            "status": {"status": "granted"},
            "time_stamp_token": {"content_type": "signed_data", "content": signed},
        }
    )
    return bytes(response.dump())
