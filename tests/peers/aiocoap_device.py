"""A device that is not ours: `aiocoap_device.py PORT CODE apart|combined`.

It agrees on keys with the gateway or service at the port of 127.0.0.1 (EDHOC, its own raw key by value, the last message
apart or combined with the first request), is enrolled with the code of a
claim, posts readings as SenML in CBOR, and looks what is for it. It says "ok" when all answers were right, and ends
after a minute at the latest.
"""

import asyncio
import signal
import sys

import aiocoap
import cbor2
from aiocoap.edhoc import CoseKeyForEdhoc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PKCS10, SENML_CBOR = 286, 112


def credentials(flow: str) -> dict:
    """A raw key of this device. Who answers is asked afterwards."""
    key = CoseKeyForEdhoc.generate()
    return {
        "edhoc-oscore": {
            "suite": 2,
            "method": 3,
            "own_cred": key.as_ccs(kid=b"?", subject=""),
            "own_cred_style": "by-value",
            "private_key": {1: 2, -1: 1, -4: key.d},
            "peer_cred": {"unauthenticated": True},
            "use_combined_edhoc": flow == "combined",
        }
    }


def signing_request() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "device")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


async def main(port: str, code: str, flow: str):
    uri = f"coap://127.0.0.1:{port}"
    context = await aiocoap.Context.create_client_context()
    context.client_credentials.load_from_dict({f"{uri}/*": credentials(flow)})

    async def ask(method, path: str, payload=b"", **options):
        message = aiocoap.Message(code=method, uri=f"{uri}/{path}", payload=payload, **options)
        return await context.request(message).response

    answerer = cbor2.loads((await ask(aiocoap.GET, "g")).payload)
    assert answerer.tag == 18, answerer
    refused = await ask(aiocoap.POST, "t/spindle", b"\x80", content_format=SENML_CBOR)
    assert refused.code == aiocoap.FORBIDDEN, refused
    enrolled = await ask(aiocoap.POST, f"est/sen?code={code}", signing_request(), content_format=PKCS10)
    assert enrolled.code == aiocoap.CHANGED, (enrolled, enrolled.payload)
    membership = await ask(aiocoap.GET, "m")
    assert b'"device"' in membership.payload, membership.payload

    for value in range(5):
        pack = cbor2.dumps([{0: "speed", 1: "1/min", 2: value}])
        answer = await ask(aiocoap.POST, "t/spindle", pack, content_format=SENML_CBOR)
        assert answer.code == aiocoap.CHANGED, answer
    down = await ask(aiocoap.GET, "c")
    assert (down.code, down.payload) == (aiocoap.CONTENT, b""), down
    nowhere = await ask(aiocoap.GET, "nowhere")
    assert nowhere.code == aiocoap.NOT_FOUND, nowhere
    print("ok", flush=True)


signal.alarm(60)
asyncio.run(main(*sys.argv[1:]))
