import type { Plugin } from "vite";

// Development only: answers the session, and calls the service with a token.
export function dev(): Plugin {
  const token = process.env.THINGWARD_TOKEN ?? "";
  const target = process.env.THINGWARD_URL ?? "https://localhost:8443";
  return {
    name: "dev",
    config: () =>
      token
        ? { server: { proxy: { "/api": { target, secure: false, changeOrigin: true, headers: { authorization: `Bearer ${token}` } } } } }
        : { server: { proxy: { "/api": { target, secure: false } } } },
    configureServer(server) {
      if (!token) return;
      server.middlewares.use((req, res, next) => {
        const send = (body: unknown, status = 200) => {
          res.statusCode = status;
          res.setHeader("content-type", "application/json");
          res.end(JSON.stringify(body));
        };
        if (req.url === "/api/v1/session") {
          return send({
            id: "dev", tenant: "town", user: { name: "vera", id: "dev", roles: ["administrator"] },
            may: ["devices:read", "devices:manage", "segments:read", "keys:manage", "log:read", "users:manage", "policy:read", "policy:manage", "tokens:manage"],
            created: new Date().toISOString(), expires: new Date(Date.now() + 8e7).toISOString(), by: "passkey",
          });
        }
        if (req.url === "/api/v1/sign-in") return send({ providers: [{ id: "corp", name: "Corp" }] });
        if (/^\/api\/v1\/tenants\/town\/sessions/.test(req.url ?? ""))
          return send({ items: [{ id: "dev", user: "vera", created: new Date().toISOString(), used: new Date().toISOString(), expires: new Date().toISOString(), by: "passkey", current: true }], next: null });
        if (/\/passkeys/.test(req.url ?? ""))
          return send({ items: [{ id: "a", name: "Laptop", created: new Date().toISOString(), used: null }], next: null });
        next();
      });
    },
  };
}
