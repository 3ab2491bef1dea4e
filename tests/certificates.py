"""A certificate authority of the tests' own, and a server certificate it has signed.

Valid until 2125, for localhost and 127.0.0.1. The keys protect nothing.
"""

from __future__ import annotations

import ssl
from pathlib import Path

AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBrTCCAVOgAwIBAgIUNrhmasWv6xcwY39UnmBxNDZaqbAwCgYIKoZIzj0EAwIw
IzEhMB8GA1UEAwwYZmFzdHRyYWNlIHRlc3QgYXV0aG9yaXR5MCAXDTI2MTEyMjEy
MDk0MFoYDzIxMjYxMDI5MTIwOTQwWjAjMSEwHwYDVQQDDBhmYXN0dHJhY2UgdGVz
dCBhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQwQOscyLF97H5l
NaKqcZA6l1InUbJCzfHA/cfhoFU23vL2o1dho1GZLZ3yb3v6QTy0qUTAwQ76856R
KGhjYMRLo2MwYTAfBgNVHSMEGDAWgBQyBrw9x5d36p0grVmLto/ZWXfeFTAPBgNV
HRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQUMga8PceXd+qd
IK1Zi7aP2Vl33hUwCgYIKoZIzj0EAwIDSAAwRQIgKkliYva7xkzD0RZhakZapBj/
z4Le0Dh+9iYu+kYKqxECIQCqdM0Y7vhlGl4ONUbDMD+gDhrv0tot0fDoW2atA138
vQ==
-----END CERTIFICATE-----
"""

_SERVER = """\
-----BEGIN CERTIFICATE-----
MIIBzjCCAXSgAwIBAgIUL7u1GrCzmJaBQacLebq+oMCBsBcwCgYIKoZIzj0EAwIw
IzEhMB8GA1UEAwwYZmFzdHRyYWNlIHRlc3QgYXV0aG9yaXR5MCAXDTI2MTEyMjEy
MDk0MVoYDzIxMjYxMDI5MTIwOTQxWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTAT
BgcqhkjOPQIBBggqhkjOPQMBBwNCAASxaS/UGUGVF/h51ZNC2Ubn7R+WeBDs6xqv
TCv2Te/UwUlscyFe52/pCU1lUnXkYPUHNe21sW1KpQjIivmH4ZBno4GSMIGPMAwG
A1UdEwEB/wQCMAAwDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMB
MB0GA1UdDgQWBBSnCc1ab9dlBCbY8Y4sHDo2o8yAzTAfBgNVHSMEGDAWgBQyBrw9
x5d36p0grVmLto/ZWXfeFTAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYI
KoZIzj0EAwIDSAAwRQIhANvNAt2sTIIP8zfUOBzFbTpizewVBdtKn3cSFE6ZJG4l
AiB/AT7MPCPqeYp7okcNTKW9BoLxe1bERgYdW42ADDV1jQ==
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3qoi1nxk62WouFXz
58sp1eIYIyagPwc3pF8DNIlcehahRANCAASxaS/UGUGVF/h51ZNC2Ubn7R+WeBDs
6xqvTCv2Te/UwUlscyFe52/pCU1lUnXkYPUHNe21sW1KpQjIivmH4ZBn
-----END PRIVATE KEY-----
"""


def server_context(directory: Path) -> ssl.SSLContext:
    """Return the context of a TLS server; its certificate is written to `directory` on the way."""
    path = directory / "server.pem"
    path.write_text(_SERVER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def authority_file(directory: Path) -> str:
    """Write the authority's certificate to `directory` and return its path, for SSL_CERT_FILE."""
    path = directory / "authority.pem"
    path.write_text(AUTHORITY)
    return str(path)
