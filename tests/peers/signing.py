"""Signs what a program changes over the API, as docs/wire/audit-log.md says: hooks of Schemathesis.

THINGWARD_TOKEN_KEY is what stands behind the dot of a token.
"""

import base64
import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from requests.adapters import HTTPAdapter


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


SCALAR = int.from_bytes(decode(os.environ["THINGWARD_TOKEN_KEY"]), "big")
KEY = ec.derive_private_key(SCALAR, ec.SECP256R1())


def signature(message):
    r, s = utils.decode_dss_signature(KEY.sign(message, ec.ECDSA(hashes.SHA256())))
    return base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=").decode()


def signed(send):
    def send_signed(self, request, **options):
        answer = send(self, request, **options)
        if answer.status_code != 428:
            return answer
        order = answer.json()["order"]
        again = request.copy()
        again.headers["thingward-order"] = f"{order}.{signature(decode(order))}"
        return send(self, again, **options)

    return send_signed


HTTPAdapter.send = signed(HTTPAdapter.send)
