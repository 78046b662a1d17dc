"""A Home Assistant with nothing but its MQTT integration: takes orders on stdin, one JSON object a line, and answers each.

    home_assistant.py PORT USER PASSWORD

{"do": "states"}                                    {"switch.bulb": "on", …}
{"do": "attributes", "entity": "switch.bulb"}       what is said of it
{"do": "call", "service": "switch.turn_on", "entity": "switch.bulb", "data": {…}}
"""

import asyncio
import json
import logging
import sys
import tempfile
from pathlib import Path

from homeassistant import config_entries, core, loader
from homeassistant.helpers import (
    area_registry,
    device_registry,
    entity,
    entity_registry,
    issue_registry,
    restore_state,
    template,
    translation,
)


async def start(folder: str, port: int, user: str, password: str) -> core.HomeAssistant:
    Path(folder, "configuration.yaml").touch()
    hass = core.HomeAssistant(folder)
    # What it would install by itself is for parts of it that nobody looks at here.
    hass.config.skip_pip = True
    hass.config.components.update({"http", "file_upload"})
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    for part in (translation, entity, template):
        part.async_setup(hass)
    parts = (area_registry, device_registry, entity_registry, issue_registry, restore_state)
    await asyncio.gather(hass.config_entries.async_initialize(), *(part.async_load(hass) for part in parts))
    await hass.async_start()
    broker = {"broker": "127.0.0.1", "port": port, "username": user, "password": password}
    entry = config_entries.ConfigEntry(
        version=1, minor_version=1, domain="mqtt", title="mqtt", data=broker, source="user"
    )
    await hass.config_entries.async_add(entry)
    await hass.async_block_till_done()
    if entry.state is not config_entries.ConfigEntryState.LOADED:
        raise SystemExit(f"the MQTT integration is {entry.state}")
    return hass


async def answer(hass: core.HomeAssistant, order: dict) -> object:
    match order["do"]:
        case "states":
            return {state.entity_id: state.state for state in hass.states.async_all()}
        case "attributes":
            state = hass.states.get(order["entity"])
            return {name: str(value) for name, value in state.attributes.items()} if state else None
        case "call":
            domain, service = order["service"].split(".")
            data = {"entity_id": order["entity"], **order.get("data", {})}
            await hass.services.async_call(domain, service, data, blocking=True)
            return "ok"


async def main() -> None:
    port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    with tempfile.TemporaryDirectory() as folder:
        hass = await start(folder, port, user, password)
        print(json.dumps("ready"), flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            try:
                said = await answer(hass, json.loads(line))
            except Exception as error:  # Whoever asked is told.
                said = {"error": str(error)}
            print(json.dumps(said), flush=True)
        await hass.async_stop(force=True)


logging.disable(logging.CRITICAL)
asyncio.run(main())
