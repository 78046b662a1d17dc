// The numbers of the last minutes, and those of them that are signed.

import { api, ask, type Schemas } from "../api/client";
import type { Lately } from "./share";

/** What is looked at, in milliseconds, and how finely, in seconds. */
const LATELY = 10 * 60_000;
const STEP = 10;

/** Numbers of the last ten minutes, of one device or of all. */
export async function lately(tenant: string, device?: string): Promise<Lately<Schemas["WindowView"]>> {
  const from = new Date(Date.now() - LATELY).toISOString();
  const windows = async (assurance?: string) => {
    const query = { from, every: STEP, ...(device && { device }), ...(assurance && { assurance }) };
    return (await ask(api.GET("/api/v1/tenants/{tenant}/readings/windows", { params: { path: { tenant }, query } })))
      .items;
  };
  const [all, signed] = await Promise.all([windows(), windows("device-signed")]);
  return { all, signed };
}
