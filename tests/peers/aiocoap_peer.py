"""A CoAP client or server that is not ours, without OSCORE, with it, and with a context
from EDHOC: `aiocoap_peer.py server` or `aiocoap_peer.py client PORT`.

The client asks a server at the port of 127.0.0.1 and says "ok" when all answers were right; the server takes a free port,
says "ready" with it and stays. Both end after a minute at the latest.
"""

import asyncio
import json
import pathlib
import signal
import sys
import tempfile

import aiocoap
from aiocoap import resource
from aiocoap.credentials import CredentialsMap
from aiocoap.edhoc import CoseKeyForEdhoc
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper

BODY = bytes(i % 251 for i in range(5000))


def credentials(sender: str, recipient: str) -> dict:
    """A security context that was never used, in a folder of its own."""
    folder = pathlib.Path(tempfile.mkdtemp())
    settings = {
        "sender-id_ascii": sender,
        "recipient-id_ascii": recipient,
        "secret_hex": "0102030405060708090a0b0c0d0e0f10",
        "salt_hex": "9e7ca92223786340",
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    return {"oscore": {"basedir": str(folder)}}


def edhoc(kid: bytes, secret: int, peer_kid: bytes, peer_secret: int) -> dict:
    """Static keys of this end and of the other."""

    def key(secret: int) -> dict:
        return {1: 2, -1: 1, -4: bytes([secret]) * 32}

    def credential(kid: bytes, secret: int) -> dict:
        return CoseKeyForEdhoc.from_map(key(secret)).as_ccs(kid=kid, subject="x")

    return {
        "edhoc-oscore": {
            "suite": 2,
            "method": 3,
            "own_cred": credential(kid, secret),
            "own_cred_style": "by-key-id",
            "private_key": key(secret),
            "peer_cred": credential(peer_kid, peer_secret),
            "use_combined_edhoc": False,
        }
    }


class State(resource.Resource):
    async def render_get(self, request):
        return aiocoap.Message(payload=b"21")


class Body(resource.Resource):
    async def render_get(self, request):
        return aiocoap.Message(payload=BODY)

    async def render_put(self, request):
        return aiocoap.Message(code=aiocoap.CHANGED, payload=request.payload[::-1])


class Counter(resource.ObservableResource):
    """A state that changes five times a second."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.task = asyncio.create_task(self.run())

    async def run(self):
        while True:
            await asyncio.sleep(0.2)
            self.count += 1
            self.updated_state()

    async def render_get(self, request):
        return aiocoap.Message(payload=str(self.count).encode())


def udp_port(context) -> int:
    """The port that a server was given."""
    for interface in context.request_interfaces:
        messages = getattr(interface, "token_interface", None)
        transport = getattr(getattr(messages, "message_interface", None), "transport", None)
        if transport:
            return transport.get_extra_info("socket").getsockname()[1]
    raise RuntimeError("no UDP")


async def server():
    site = resource.Site()
    site.add_resource(["state"], State())
    site.add_resource(["body"], Body())
    site.add_resource(["counter"], Counter())
    known = CredentialsMap()
    context = await aiocoap.Context.create_server_context(
        OscoreSiteWrapper(site, known), bind=("127.0.0.1", 0), server_credentials=known
    )
    port = udp_port(context)
    known.load_from_dict(
        {":client": credentials("s", "c"), f"coap://127.0.0.1:{port}/*": edhoc(b"\x32", 5, b"\x2b", 6)}
    )
    print("ready", port, flush=True)
    await asyncio.get_running_loop().create_future()


async def ask_all(context, uri: str):
    async def ask(code, path: str, payload=b""):
        message = aiocoap.Message(code=code, uri=f"{uri}/{path}", payload=payload)
        return (await context.request(message).response).payload

    assert await ask(aiocoap.GET, "state") == b"21"
    assert await ask(aiocoap.GET, "body") == BODY
    assert await ask(aiocoap.PUT, "body", BODY) == BODY[::-1]

    request = context.request(aiocoap.Message(code=aiocoap.GET, uri=f"{uri}/counter", observe=0))
    counts = [int((await request.response).payload)]
    async for notification in request.observation:
        counts.append(int(notification.payload))
        if len(counts) == 4:
            break
    assert counts == sorted(set(counts)), counts


async def client(port: int):
    uri = f"coap://127.0.0.1:{port}"
    await ask_all(await aiocoap.Context.create_client_context(), uri)
    context = await aiocoap.Context.create_client_context()
    context.client_credentials.load_from_dict({f"{uri}/*": credentials("c", "s")})
    await ask_all(context, uri)
    context = await aiocoap.Context.create_client_context()
    context.client_credentials.load_from_dict({f"{uri}/*": edhoc(b"\x2b", 6, b"\x32", 5)})
    await ask_all(context, uri)
    print("ok", flush=True)


signal.alarm(60)
asyncio.run({"server": server, "client": client}[sys.argv[1]](*map(int, sys.argv[2:])))
