// Asks why a decision is as it is.

import { api, ask, type Schemas } from "../api/client";

export type Explanation = Schemas["ExplanationView"];

/** `who` as `user/vera`; nothing for whoever is signed in. */
export function explain(tenant: string, who: string | undefined, action: string, on: string): Promise<Explanation> {
  const query = { action, on, ...(who && { as: who }) };
  return ask(api.GET("/api/v1/tenants/{tenant}/policy/explain", { params: { path: { tenant }, query } }));
}
