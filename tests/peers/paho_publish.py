"""A standard client with mutual TLS. Arguments: port, root, certificate, key, topic, payload as hex."""

import sys

import paho.mqtt.client as mqtt

port, root, certificate, key, topic, payload = sys.argv[1:]
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="standard", protocol=mqtt.MQTTv5)
client.tls_set(root, certificate, key)
codes = []
client.on_publish = lambda _c, _u, _m, code, _p: codes.append(code)
client.connect("localhost", int(port))
client.loop_start()
client.publish(topic, bytes.fromhex(payload), qos=1).wait_for_publish(10)
client.disconnect()
client.loop_stop()
print(codes[0].value if codes else "none")
