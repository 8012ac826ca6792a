"""The files of a TLS listener in a folder, and clients that speak to it."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import Authority, Issued, rsa_key


@dataclass(frozen=True, slots=True)
class TlsFolder:
    """A server with an ECDSA and an RSA certificate, and trust in the clients of the same authority."""

    path: Path
    authority: Authority

    def settings(self, **changes: object) -> dict[str, object]:
        """Settings of a gateway, by field name: TLS on a free port, without client certificates."""
        return {
            "tls_listen_host": "127.0.0.1",
            "tls_listen_port": 0,
            "tls_cert_files": f"{self.path}/ec.pem,{self.path}/rsa.pem",
            "tls_key_files": f"{self.path}/ec.key,{self.path}/rsa.key",
            **changes,
        }

    def mutual(self, **changes: object) -> dict[str, object]:
        """The same, asking for client certificates."""
        return self.settings(tls_client_ca_file=self.path / "ca.pem", tls_crl_file=self.path / "crl.pem", **changes)

    def serve(self, issued: Issued, stem: str = "ec") -> None:
        """Replace one of the server's certificates."""
        issued.write(self.path, stem)

    def revoke(self, *revoked: Issued) -> None:
        (self.path / "crl.pem").write_bytes(self.authority.revocations(*revoked))


def tls_folder(path: Path) -> TlsFolder:
    authority = Authority()
    folder = TlsFolder(path, authority)
    folder.serve(authority.server(), "ec")
    folder.serve(authority.server(key=rsa_key()), "rsa")
    authority.write(path)
    folder.revoke()
    return folder


def client_context(
    folder: TlsFolder,
    client: Issued | None = None,
    *,
    ciphers: str | None = None,
    versions: Sequence[ssl.TLSVersion] = (),
) -> ssl.SSLContext:
    """A charge point's context; `versions` are the least and the most that it speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=folder.authority.pem.decode())
    if versions:
        context.minimum_version, context.maximum_version = versions
    if ciphers is not None:
        context.set_ciphers(ciphers)
    if client is not None:
        stem = f"client-{client.serial}"
        context.load_cert_chain(*client.write(folder.path, stem))
    return context
