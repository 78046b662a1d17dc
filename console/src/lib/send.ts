// Sends a command and follows it to its end.

import { api, ask, type Schemas } from "../api/client";
import { approve } from "./passkey";
import type { Form, Input } from "./td";

export type Command = Schemas["CommandView"];

export async function send(tenant: string, device: string, form: Form, input: Input): Promise<Command> {
  const params = { path: { tenant, device } };
  const body = { action: form.action, input };
  if (!form.isSensitive) return ask(api.POST("/api/v1/tenants/{tenant}/devices/{device}/commands", { params, body }));
  // The service says which exact bytes it will send, and the passkey signs their hash.
  const { command, options } = await ask(
    api.POST("/api/v1/tenants/{tenant}/devices/{device}/commands/prepare", { params, body }),
  );
  const credential = await approve(options);
  const approval = { command, credential };
  return ask(api.POST("/api/v1/tenants/{tenant}/devices/{device}/commands", { params, body: { ...body, approval } }));
}

export function show(tenant: string, device: string, command: string): Promise<Command> {
  const params = { path: { tenant, device, command } };
  return ask(api.GET("/api/v1/tenants/{tenant}/devices/{device}/commands/{command}", { params }));
}

/** What became of a command, in a sentence. */
export function outcome(command: Command): string {
  switch (command.state) {
    case "waiting":
      return "Sent. It waits for the device.";
    case "done":
      return "Done, says the device.";
    case "refused":
      return `The device refused: ${command.text || command.reason || "it said no reason"}.`;
    case "failed":
      return `It was begun and failed: ${command.text || "the device said no reason"}.`;
    case "interrupted":
      return "It was begun and interrupted. It is not done again.";
    case "expired":
      return "The device did not get it in time.";
    default:
      return `It was taken back${command.reason ? `: ${command.reason}` : ""}.`;
  }
}
