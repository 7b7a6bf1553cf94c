"""A configuration profile that adds the calendars to an iPhone, iPad or Mac, and its signature.

The keys are those of Apple's payload com.apple.caldav.account. The file holds the app password: it is made for one
answer and kept nowhere.
"""

import plistlib
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid4, uuid5

from flask import Response

from storage.models import Account
from storage.settings import Settings, SettingsError
from web.logs import log

MEDIA_TYPE = "application/x-apple-aspen-config"


def download(settings: Settings, account: Account, address: str, label: str, password: str) -> Response:
    """The profile as an answer, signed where a certificate is configured.

    A certificate that cannot be used is the administrator's matter (`clinicdav check` tells): the device takes an
    unsigned profile too, and only says so.
    """
    content = profile(settings, account, address, label, password)
    try:
        content = signed(settings, content)
    except SettingsError:
        log.error("profile not signed")
    answer = Response(content, content_type=MEDIA_TYPE)
    answer.headers["Content-Disposition"] = 'attachment; filename="calendars.mobileconfig"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def profile(settings: Settings, account: Account, address: str, label: str, password: str) -> bytes:
    """`address` is the principal's. A second profile for the same account takes the place of the first."""
    server = urlsplit(settings.public_url)
    secure = server.scheme == "https"
    host = server.hostname or ""
    identifier = ".".join([*reversed(host.split(".")), "calendars", uuid5(NAMESPACE_URL, address).hex])
    name = f"{settings.clinic_name}: {account.name}"
    calendars: dict[str, Any] = {
        "PayloadType": "com.apple.caldav.account",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{identifier}.caldav",
        "PayloadUUID": str(uuid4()).upper(),
        "PayloadDisplayName": name,
        "CalDAVAccountDescription": settings.clinic_name,
        "CalDAVHostName": host,
        "CalDAVPort": server.port or (443 if secure else 80),
        "CalDAVUseSSL": secure,
        "CalDAVPrincipalURL": address,
        "CalDAVUsername": account.username,
        "CalDAVPassword": password,
    }
    return plistlib.dumps(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": identifier,
            "PayloadUUID": str(uuid4()).upper(),
            "PayloadDisplayName": name,
            "PayloadOrganization": settings.clinic_name,
            "PayloadDescription": f"Adds the calendars of {account.name} at {host}. The profile holds a password for"
            f" this device alone, called {label}; it can be revoked at {settings.public_url}/devices/.",
            "PayloadContent": [calendars],
        }
    )


def signed(settings: Settings, content: bytes) -> bytes:
    """CMS SignedData around the profile (RFC 5652), or the profile as it is. Raises SettingsError.

    The files are read each time, so that a renewed certificate counts without a restart.
    """
    if settings.profile_certificate is None or settings.profile_key is None:
        return content
    # Needed by few installations and by none often: a server should not carry its 10 MB all day.
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs7

    try:
        certificate, *others = x509.load_pem_x509_certificates(settings.profile_certificate.read_bytes())
        key: Any = load_pem_private_key(settings.profile_key.read_bytes(), None)
        if certificate.public_key() != key.public_key():
            raise SettingsError("The certificate in profile_certificate does not belong to the key in profile_key.")
        builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(certificate, key, SHA256())
        for each in others:
            builder = builder.add_certificate(each)
        return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be read ({error.strerror}): profiles stay unsigned.") from None
    except (TypeError, ValueError):
        raise SettingsError(
            "profile_certificate and profile_key must be PEM files: a certificate (with its chain), and its RSA or EC"
            " key without a passphrase."
        ) from None
