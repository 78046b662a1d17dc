"""Clients that want more than their share, and one that does not: MQTT 5.0 over sockets of the standard library.

crowd.py ATTACK PORT ROOT CHAIN KEY SECONDS FIRST    does it for so long, or until its input ends where that is 0; prints `ready`
once it is at it and what came of it at the end. What is numbered is so from FIRST on.
"""

import json
import resource
import select
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
import time

ATTACK, PORT, ROOT, CHAIN, KEY = sys.argv[1], int(sys.argv[2]), *sys.argv[3:6]
SECONDS, FIRST = float(sys.argv[6]), int(sys.argv[7])
# Somebody who has to go on tries another way soon: what listens may stand still.
PATIENCE = 3 if ATTACK == "persistent" else 20
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


def text(value):
    return len(value).to_bytes(2, "big") + value.encode()


def packet(kind, body):
    length, size = b"", len(body)
    while True:
        size, low = divmod(size, 128)
        length += bytes([low | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def publish(topic, payload, number=None, retain=False):
    kind = 0x30 | (2 if number else 0) | (1 if retain else 0)
    return packet(kind, text(topic) + (number.to_bytes(2, "big") if number else b"") + b"\0" + payload)


def raw():
    return socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE)


def tls(chain=CHAIN, key=KEY):
    context = ssl.create_default_context(cafile=ROOT)
    context.load_cert_chain(chain, key)
    stream = raw()
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(stream, server_hostname="localhost")


def connect(client, **how):
    stream = tls(**how)
    stream.sendall(packet(0x10, b"\0\4MQTT\5\2\0\x3c\0" + text(client)))
    assert read(stream)[0] == 0x20, "not connected"
    return stream


def exactly(stream, size):
    got = b""
    while len(got) < size:
        more = stream.recv(size - len(got))
        if not more:
            raise ConnectionError("closed")
        got += more
    return got


def read(stream):
    kind, size, shift = exactly(stream, 1)[0], 0, 0
    while True:
        byte = exactly(stream, 1)[0]
        size |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return kind, exactly(stream, size)
        shift += 7


def until():
    print("ready", flush=True)
    if SECONDS == 0:
        return lambda: not select.select([sys.stdin], [], [], 0)[0]
    end = time.monotonic() + SECONDS
    return lambda: time.monotonic() < end


def tell(**what):
    print(json.dumps(what), flush=True)


def well_behaved():
    """Publishes one message after the other, 50 in a second, and connects anew each second."""
    goes_on = until()
    stream, number, waits, newcomers = connect("steady"), 0, [], []
    while goes_on():
        said = FIRST + number
        number += 1
        before = time.monotonic()
        stream.sendall(publish("devices/me/telemetry/climate", b'{"said":%d}' % said, number % 65535 + 1))
        kind, body = read(stream)
        assert kind == 0x40 and (len(body) < 3 or body[2] < 0x80), body
        waits.append(time.monotonic() - before)
        if number % 50 == 0:
            before = time.monotonic()
            connect("newcomer").close()
            newcomers.append(time.monotonic() - before)
        time.sleep(0.02)
    waits.sort()
    tell(acknowledged=number, p50=waits[len(waits) // 2] * 1e3, p99=waits[len(waits) * 99 // 100] * 1e3,
         newcomers=len(newcomers), slowest_newcomer=max(newcomers, default=0) * 1e3)


def persistent():
    """Publishes one message after the other until each is acknowledged, whatever happens to the service."""
    goes_on, number, connections, stream = until(), FIRST, 0, None
    while goes_on():
        try:
            if stream is None:
                stream = connect("persistent")
                stream.settimeout(5)
                connections += 1
            stream.sendall(publish("devices/me/telemetry/count", b'{"said":%d}' % number, number % 65535 + 1))
            kind, body = read(stream)
            if kind == 0x40 and (len(body) < 3 or body[2] < 0x80):
                number += 1
                time.sleep(0.005)
            else:
                stream = None
        except (OSError, AssertionError):
            stream = None
            time.sleep(0.1)
    tell(acknowledged=number - FIRST, connections=connections)


def hold_open(count, drip):
    """Opens connections without a handshake, and opens each that is cut anew."""
    streams, cut = [raw() for _ in range(count)], 0
    goes_on, waiting = until(), selectors.DefaultSelector()
    for stream in streams:
        waiting.register(stream, selectors.EVENT_READ)
    hello, at = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 600, dict.fromkeys(streams, 0)
    while goes_on():
        for key, _ in waiting.select(timeout=0):
            waiting.unregister(key.fileobj)
            key.fileobj.close()
            at.pop(key.fileobj, None)
            cut += 1
            stream = raw()
            waiting.register(stream, selectors.EVENT_READ)
            at[stream] = 0
        for stream in at if drip else ():
            try:
                stream.send(hello[at[stream]:at[stream] + 1])
            except OSError:
                pass
            at[stream] += 1
        time.sleep(0.2)
    tell(cut=cut)


def slow_handshakes():
    hold_open(1000, drip=True)


def half_open():
    hold_open(1000, drip=False)


def connects():
    """Connects without end, 10 000 times at most."""
    goes_on, made = until(), 0
    open_ones = []
    while goes_on() and made < 10_000:
        open_ones.append(raw())
        made += 1
    while goes_on():
        time.sleep(0.1)
    tell(made=made)


def endless_publisher():
    """Publishes without end with QoS 1, and reads no answer."""
    stream, goes_on, sent = connect("endless"), until(), 0
    stream.settimeout(1)
    burst = b"".join(publish("devices/me/telemetry/noise", b'{"n":"%s"}' % (b"x" * 600), n) for n in range(1, 500))
    stopped = False
    while goes_on():
        try:
            stream.sendall(burst)
            sent += 499
        except (TimeoutError, OSError):
            stopped = True
            break
    while goes_on():
        time.sleep(0.1)
    tell(sent=sent, stopped=stopped)


def deaf_subscriber():
    """An application that wants everything and reads nothing."""
    stream, goes_on = connect("deaf"), until()
    stream.sendall(packet(0x82, b"\0\1\0" + text("devices/#") + b"\0"))
    while goes_on():
        time.sleep(0.1)
    stream.settimeout(5)
    came = 0
    try:
        while more := stream.recv(65536):
            came += len(more)
        ended = True
    except TimeoutError:
        ended = False
    except OSError:
        ended = True
    tell(came=came, ended=ended)


def retained_flood():
    """Leaves a retained message at ever new topics."""
    stream, goes_on, kept, refused, number = connect("retained"), until(), 0, 0, 0
    while goes_on():
        many = range(number, number + 16)
        number += 16
        for n in many:
            stream.sendall(publish(f"devices/me/state/s{n}", b"x" * 1000, n % 65535 + 1, retain=True))
        for _ in many:
            _, body = read(stream)
            ok = len(body) < 3 or body[2] < 0x80
            kept, refused = kept + ok, refused + (not ok)
    tell(kept=kept, refused=refused)


def many_listeners():
    """Listens on forty connections to what it says itself, which is more at once than any of them takes."""
    each, size, streams = 8, 250_000, [connect(f"listener-{n}") for n in range(40)]
    for stream in streams:
        stream.sendall(packet(0x82, b"\0\1\0" + text("devices/me/state/loud") + b"\0"))
        assert read(stream)[0] == 0x90
    goes_on, loud, came = until(), connect("loud"), 0
    for _ in range(each):
        loud.sendall(publish("devices/me/state/loud", b"x" * size))
    try:
        for stream in streams:
            for _ in range(each):
                came += read(stream)[0] == 0x30
    except OSError:
        pass
    while goes_on():
        time.sleep(0.1)
    tell(came=came, sent=each * len(streams))


def many_places():
    """Holds eighty connections open without a word."""
    goes_on, streams, held = until(), [], 0
    for _ in range(80):
        try:
            streams.append(tls())
        except OSError:
            pass
    time.sleep(1)
    for stream in streams:
        stream.settimeout(0.01)
        try:
            stream.recv(1)
        except TimeoutError:
            held += 1
        except OSError:
            pass
    while goes_on():
        time.sleep(0.1)
    tell(held=held)


def deep_chain():
    """Shows a chain of a hundred certificates, again and again."""
    with tempfile.TemporaryDirectory() as folder:
        run = lambda *words: subprocess.run(words, check=True, cwd=folder, capture_output=True)
        with open(f"{folder}/ca.cnf", "w") as file:
            file.write("[ca]\nbasicConstraints=critical,CA:TRUE\n")
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem")
        run("openssl", "req", "-x509", "-new", "-key", "key.pem", "-subj", "/CN=0", "-out", "0.pem")
        for n in range(1, 100):
            run("openssl", "req", "-new", "-key", "key.pem", "-subj", f"/CN={n}", "-out", "r.pem")
            run("openssl", "x509", "-req", "-in", "r.pem", "-CA", f"{n - 1}.pem", "-CAkey", "key.pem", "-set_serial",
                str(n), "-extfile", "ca.cnf", "-extensions", "ca", "-out", f"{n}.pem")
        with open(f"{folder}/chain.pem", "w") as file:
            for n in range(99, -1, -1):
                file.write(open(f"{folder}/{n}.pem").read())
        goes_on, refused = until(), 0
        while goes_on():
            try:
                connect("deep", chain=f"{folder}/chain.pem", key=f"{folder}/key.pem")
            except (OSError, ConnectionError):
                refused += 1
                continue
            tell(let_in=True)
            return
    tell(refused=refused)


globals()[ATTACK]()
