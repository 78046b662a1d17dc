"""Standard clients with sessions that last. Arguments: role, name, port, root, certificate, key. Prints `ready` once it is connected.

teller      says one number after the other, as a reading and as a word, until its input ends and all is acknowledged; prints
            `left` when the service says that it ends the connection, and at the end how many numbers it said
listener    subscribes to the words, says goodbye when it is told `leave`, comes back when it is told `return`, and prints what
            it has heard so far when it is told `tell`
"""

import json
import select
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

role, name, port, root, certificate, key = sys.argv[1:]
WORD = "devices/me/state/word"
heard, present = [], []


def say(*words):
    print(*words, flush=True)


def connected(client, _user, flags, code, _properties):
    assert not code.is_failure, code
    present.append(flags.session_present)
    if role == "listener" and not flags.session_present:
        client.subscribe(WORD, qos=1)
    else:
        say("ready")


def disconnected(_client, _user, flags, _code, _properties):
    # Paho does not read a reason that comes without properties.
    if flags.is_disconnect_packet_from_server:
        say("left")


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
client.tls_set(root, certificate, key)
client.on_connect, client.on_disconnect = connected, disconnected
client.on_subscribe = lambda *_: say("ready")
client.on_message = lambda _client, _user, message: heard.append(int(message.payload))
client.reconnect_delay_set(min_delay=1, max_delay=1)
client.max_inflight_messages_set(20)


def connect():
    lasts = Properties(PacketTypes.CONNECT)
    lasts.SessionExpiryInterval = 3600
    client.connect("localhost", int(port), clean_start=False, properties=lasts)
    client.loop_start()


def tell():
    said, last = 0, None
    while not select.select([sys.stdin], [], [], 0)[0]:
        said += 1
        client.publish("devices/me/telemetry/count", json.dumps({"said": said}), qos=1)
        last = client.publish(WORD, str(said), qos=1)
        time.sleep(0.002)
    last.wait_for_publish(20)
    say(json.dumps({"said": said}))


def listen():
    for line in sys.stdin:
        match line.strip():
            case "leave":
                client.disconnect()
                client.loop_stop()
                say("gone")
            case "return":
                connect()
            case "tell":
                say(json.dumps({"heard": heard, "present": present}))


connect()
tell() if role == "teller" else listen()
