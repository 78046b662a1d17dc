"""Drives a broker with paho-mqtt in MQTT 5 and 3.1.1. Arguments: port. Prints one line per behaviour."""

import queue
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PORT = int(sys.argv[1])
PATIENCE = 10


class Client:
    def __init__(self, name, version, clean=True, will=None, expiry=None):
        self.version = version
        self.messages = queue.Queue()
        self.events = queue.Queue()
        kwargs = {} if version == mqtt.MQTTv5 else {"clean_session": clean}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=version, **kwargs)
        self.client.on_message = lambda _c, _u, m: self.messages.put(m)
        self.client.on_connect = lambda _c, _u, flags, code, _p: self.events.put(("connect", flags, code))
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self.events.put(("subscribe", codes))
        if will:
            self.client.will_set(*will, qos=1)
        if version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry or 0
            self.client.connect("127.0.0.1", PORT, clean_start=clean, properties=properties)
        else:
            self.client.connect("127.0.0.1", PORT)
        self.client.loop_start()
        _, self.flags, code = self.event("connect")
        assert not code.is_failure, code

    def event(self, name):
        got = self.events.get(timeout=PATIENCE)
        assert got[0] == name, got
        return got

    def subscribe(self, topic, qos=1, **options):
        if self.version == mqtt.MQTTv5:
            self.client.subscribe(topic, options=SubscribeOptions(qos=qos, **options))
        else:
            self.client.subscribe(topic, qos)
        return self.event("subscribe")[1]

    def publish(self, topic, payload, qos=1, retain=False, properties=None):
        info = self.client.publish(topic, payload, qos, retain, properties=properties)
        info.wait_for_publish(PATIENCE)
        assert info.is_published(), (topic, payload)

    def expect(self, *payloads):
        got = [self.messages.get(timeout=PATIENCE) for _ in payloads]
        assert [m.payload for m in got] == list(payloads), [m.payload for m in got]
        return got

    def expect_nothing(self, seconds=0.4):
        time.sleep(seconds)
        assert self.messages.empty(), self.messages.get()

    def vanish(self):
        """Closes the socket without a goodbye."""
        self.client.loop_stop()
        self.client._sock_close()

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()


def every_qos_arrives_once(version):
    reader, writer = Client("reader", version), Client("writer", version)
    reader.subscribe("qos/#", 2)
    for qos in (0, 1, 2):
        for n in range(20):
            writer.publish(f"qos/{qos}", f"{qos}-{n}".encode(), qos)
    reader.expect(*(f"{qos}-{n}".encode() for qos in (0, 1, 2) for n in range(20)))
    reader.expect_nothing()
    reader.leave()
    writer.leave()


def retained_messages_wait_for_subscribers(version):
    writer = Client("writer", version)
    writer.publish("kept/a", b"one", retain=True)
    writer.publish("kept/a", b"two", retain=True)
    reader = Client("reader", version)
    reader.subscribe("kept/+")
    assert reader.expect(b"two")[0].retain
    writer.publish("kept/a", b"", retain=True)
    reader.expect(b"")
    late = Client("late", version)
    late.subscribe("kept/+")
    late.expect_nothing()
    for client in (writer, reader, late):
        client.leave()


def a_will_is_published_when_a_client_vanishes(version):
    reader = Client("reader", version)
    reader.subscribe("wills/#")
    Client("mortal", version, will=("wills/mortal", b"gone")).vanish()
    reader.expect(b"gone")
    Client("polite", version, will=("wills/polite", b"gone")).leave()
    reader.expect_nothing()
    reader.leave()


def a_session_keeps_what_came_while_its_client_was_away(version):
    sleeper = Client("sleeper", version, clean=False, expiry=100)
    sleeper.subscribe("letters/#", 2)
    sleeper.leave()
    writer = Client("writer", version)
    for n in range(10):
        writer.publish("letters/x", str(n).encode(), 1 + n % 2)
    sleeper = Client("sleeper", version, clean=False, expiry=100)
    assert sleeper.flags.session_present
    # Order is promised within a QoS (MQTT 5.0 4.6); Paho hands over QoS 2 only at its PUBREL.
    got = [sleeper.messages.get(timeout=PATIENCE).payload for _ in range(10)]
    for qos_one in (True, False):
        want = [str(n).encode() for n in range(10) if (n % 2 == 0) == qos_one]
        assert [payload for payload in got if payload in want] == want, got
    sleeper.expect_nothing()
    sleeper.leave()
    fresh = Client("sleeper", version, clean=True)
    assert not fresh.flags.session_present
    for client in (writer, fresh):
        client.leave()


def a_second_client_of_the_same_name_takes_over(version):
    first = Client("same", version)
    second = Client("same", version)
    second.subscribe("over/#")
    second.publish("over/x", b"here")
    second.expect(b"here")
    first.client.loop_stop()
    second.leave()


def shared_subscriptions_divide_the_work(version):
    if version != mqtt.MQTTv5:
        return
    workers = [Client(f"worker-{n}", version) for n in range(3)]
    for worker in workers:
        worker.subscribe("$share/team/jobs/#")
    writer = Client("writer", version)
    for n in range(30):
        writer.publish("jobs/x", str(n).encode())
    time.sleep(1)
    done = [m.payload for w in workers for m in iter(lambda w=w: None if w.messages.empty() else w.messages.get(), None)]
    assert sorted(done, key=int) == [str(n).encode() for n in range(30)], done
    for client in [*workers, writer]:
        client.leave()


def properties_are_carried(version):
    if version != mqtt.MQTTv5:
        return
    reader, writer = Client("reader", version), Client("writer", version)
    reader.subscribe("props/#")
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "application/senml+json"
    properties.UserProperty = [("unit", "Cel"), ("unit", "K")]
    properties.ResponseTopic = "answers/x"
    properties.CorrelationData = b"42"
    properties.MessageExpiryInterval = 60
    writer.publish("props/x", b"x", properties=properties)
    got = reader.expect(b"x")[0].properties
    assert got.ContentType == "application/senml+json" and got.ResponseTopic == "answers/x"
    assert got.UserProperty == [("unit", "Cel"), ("unit", "K")] and got.CorrelationData == b"42"
    assert 0 < got.MessageExpiryInterval <= 60
    reader.leave()
    writer.leave()


def own_messages_stay_away_with_no_local(version):
    if version != mqtt.MQTTv5:
        return
    client = Client("echo", version)
    client.subscribe("local/#", 1, noLocal=True)
    client.publish("local/x", b"x")
    client.expect_nothing()
    client.leave()


BEHAVIOURS = [
    every_qos_arrives_once,
    retained_messages_wait_for_subscribers,
    a_will_is_published_when_a_client_vanishes,
    a_session_keeps_what_came_while_its_client_was_away,
    a_second_client_of_the_same_name_takes_over,
    shared_subscriptions_divide_the_work,
    properties_are_carried,
    own_messages_stay_away_with_no_local,
]

for behaviour in BEHAVIOURS:
    for version, name in ((mqtt.MQTTv5, "5"), (mqtt.MQTTv311, "3.1.1")):
        behaviour(version)
        print(f"ok {behaviour.__name__} in MQTT {name}", flush=True)
