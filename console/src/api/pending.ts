// Calls that docs/openapi.json does not describe yet, as they are agreed.

import type { components, paths } from "./schema";

type Errors = { "4XX": { content: { "application/json": components["schemas"]["ErrorBody"] } } };
type Answer<Status extends number, Body> = {
  [S in Status]: { content: { "application/json": Body } };
} & Errors;
type Empty = { 204: { content?: never } } & Errors;
type Call<Path, Body, Responses> = {
  parameters: { path?: Path; query?: { after?: string; limit?: number } };
  requestBody?: Body extends undefined ? never : { content: { "application/json": Body } };
  responses: Responses;
};
type List<T> = { items: T[]; next?: string | null };

/** What `PublicKeyCredential.toJSON()` gives. */
export type CredentialJSON = Record<string, unknown>;

export interface SessionInfo {
  id: string;
  tenant: string;
  user: { name: string; id: string; roles: string[] };
  may: string[];
  created: string;
  expires: string;
  by: "passkey" | "oidc" | "link";
}

export interface SessionView {
  id: string;
  user: string;
  created: string;
  used: string;
  expires: string;
  by: string;
  current: boolean;
}

export interface PasskeyView {
  id: string;
  name: string;
  created: string;
  used: string | null;
}

export interface OpenedLink {
  kind: "set-up" | "invite" | "recover";
  tenant: string;
  user: string | null;
  roles: string[];
  expires: string;
  options: PublicKeyCredentialCreationOptionsJSON;
}

export interface Approval {
  command: string;
  credential: CredentialJSON;
}

type None = Record<string, never>;
type Tenant = { tenant: string };
type User = Tenant & { user: string };
type NewCommandBody = components["schemas"]["NewCommandBody"];
type Creation = { options: PublicKeyCredentialCreationOptionsJSON };
type Request = { options: PublicKeyCredentialRequestOptionsJSON };

interface Pending {
  "/api/v1/sign-in": { get: Call<None, undefined, Answer<200, { providers: { id: string; name: string }[] }>> };
  "/api/v1/sign-in/passkey/begin": { post: Call<None, undefined, Answer<200, Request>> };
  "/api/v1/sign-in/passkey": {
    post: Call<None, { credential: CredentialJSON }, Answer<200, SessionInfo>>;
  };
  "/api/v1/links/open": { post: Call<None, { code: string }, Answer<200, OpenedLink>> };
  "/api/v1/links/redeem": {
    post: Call<
      None,
      { code: string; user?: string; passkey: string; credential: CredentialJSON },
      Answer<200, SessionInfo>
    >;
  };
  "/api/v1/session": {
    get: Call<None, undefined, Answer<200, SessionInfo>>;
    delete: Call<None, undefined, Empty>;
  };
  "/api/v1/tenants/{tenant}/sessions": { get: Call<Tenant, undefined, Answer<200, List<SessionView>>> };
  "/api/v1/tenants/{tenant}/sessions/{session}": { delete: Call<Tenant & { session: string }, undefined, Empty> };
  "/api/v1/tenants/{tenant}/users/{user}/passkeys": {
    get: Call<User, undefined, Answer<200, List<PasskeyView>>>;
    post: Call<User, { name: string; credential: CredentialJSON }, Answer<201, PasskeyView>>;
  };
  "/api/v1/tenants/{tenant}/users/{user}/passkeys/begin": { post: Call<User, undefined, Answer<200, Creation>> };
  "/api/v1/tenants/{tenant}/users/{user}/passkeys/{passkey}": {
    delete: Call<User & { passkey: string }, undefined, Empty>;
  };
  "/api/v1/tenants/{tenant}/users/{user}/link": {
    post: Call<User, { kind: "invite" | "recover" }, Answer<201, { link: string; expires: string }>>;
  };
  "/api/v1/tenants/{tenant}/devices/{device}/commands/prepare": {
    post: Call<Tenant & { device: string }, NewCommandBody, Answer<200, Request & { command: string }>>;
  };
  "/api/v1/tenants/{tenant}/devices/{device}/commands": {
    get: paths["/api/v1/tenants/{tenant}/devices/{device}/commands"]["get"];
    post: Call<
      Tenant & { device: string },
      NewCommandBody & { approval?: Approval },
      Answer<200 | 201, components["schemas"]["CommandView"]>
    >;
  };
}

export interface Paths extends Omit<paths, keyof Pending>, Pending {}
export type UserView = components["schemas"]["UserView"] & { passkeys?: number };
