"""Runs a network on a coordinator with bellows, over a pseudo-terminal. Arguments: the program that is the
coordinator, and the version of the protocol.

Prints one line per behaviour, and fails when one is not right.
"""

import asyncio
import os
import pty
import subprocess
import sys
import tty

import bellows.ezsp
import bellows.types as t
import zigpy.config

VERSION = int(sys.argv[2])
# From this version on statuses are others, and messages have other fields.
LATER = 14
NOT_JOINED = 0x17 if VERSION >= LATER else 0x93
KEY = t.KeyData(bytes(range(16)))
PARAMETERS = t.EmberNetworkParameters(
    extendedPanId=t.ExtendedPanId.convert("11:22:33:44:55:66:77:88"),
    panId=0x1A62,
    radioTxPower=8,
    radioChannel=15,
    joinMethod=0,
    nwkManagerId=0,
    nwkUpdateId=1,
    channels=t.Channels(1 << 15),
)


async def host(device):
    ezsp = bellows.ezsp.EZSP(
        {
            zigpy.config.CONF_DEVICE_PATH: device,
            zigpy.config.CONF_DEVICE_BAUDRATE: 115200,
            zigpy.config.CONF_DEVICE_FLOW_CONTROL: None,
        }
    )
    await ezsp.connect()
    assert ezsp.ezsp_version == VERSION
    print("a version is agreed on")
    news = {}
    ezsp.add_callback(lambda name, arguments: news.setdefault(name, arguments))

    assert str((await ezsp.getEui64())[0]) == "01:02:03:04:05:06:07:08"
    assert (await ezsp.networkInit(networkInitBitmask=0))[0] == NOT_JOINED
    state = t.EmberInitialSecurityState(
        bitmask=t.EmberInitialSecurityBitmask(0x0B84),
        preconfiguredKey=KEY,
        networkKey=KEY,
        networkKeySequenceNumber=0,
        preconfiguredTrustCenterEui64=t.EUI64(bytes(8)),
    )
    assert (await ezsp.setInitialSecurityState(state=state))[0] == 0
    await ezsp.formNetwork(parameters=PARAMETERS)
    assert (await ezsp.getNetworkParameters())[2] == PARAMETERS
    print("a network is formed")

    partner = t.EUI64(bytes(range(8)))
    await ezsp.importTransientKey(eui64=partner, plaintext_key=KEY, flags=0)
    assert (await ezsp.permitJoining(duration=60))[0] == 0
    print("nodes may join")

    frame = t.EmberApsFrame(
        profileId=0x0104,
        clusterId=6,
        sourceEndpoint=1,
        destinationEndpoint=1,
        options=t.EmberApsOption(0x1140),
        groupId=0,
        sequence=0,
    )
    direct, message = t.EmberOutgoingMessageType.OUTGOING_DIRECT, b"\x01\x07\x02"
    if VERSION >= LATER:
        message_fields = dict(message_type=direct, nwk=0x1234, aps_frame=frame, message_tag=7, message=message)
    else:
        message_fields = dict(
            type=direct, indexOrDestination=0x1234, apsFrame=frame, messageTag=7, messageContents=message
        )
    assert (await ezsp.sendUnicast(**message_fields))[0] == 0
    while "incomingMessageHandler" not in news:
        await asyncio.sleep(0.05)
    assert news["messageSentHandler"][4 if VERSION >= LATER else 3] == 7
    assert news["incomingMessageHandler"][2 if VERSION >= LATER else 4] == 0x1234
    assert news["incomingMessageHandler"][-1] == message
    print("a message comes back")


def main():
    coordinator, device = pty.openpty()
    tty.setraw(coordinator)
    tty.setraw(device)
    program = subprocess.Popen([sys.argv[1], "--version", str(VERSION)], stdin=coordinator, stdout=coordinator)
    try:
        asyncio.run(asyncio.wait_for(host(os.ttyname(device)), 30))
    finally:
        program.terminate()
    # The line's own thread would wait for a coordinator that is gone.
    sys.stdout.flush()
    os._exit(0)


main()
