// An OpenID provider, certified by the OpenID Foundation, that signs in whoever comes, but for the client `nobody`.
// Arguments: path of node_modules, PEM of the certificate chain and of its key, where people go back to, the secret of all
// clients. Says its port when it is ready. A line on standard input gives it new keys, and makes it tell everything in
// the ID token; a line `groups NAME…` says in which groups everybody is from there on.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createInterface } from "node:readline";

const [modules, cert, key, redirect, secret] = process.argv.slice(2);
const { Provider } = await import(`${modules}/oidc-provider/lib/index.js`);

const jwk = (type, options) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }),
  kid: randomUUID(),
  use: "sig",
});

const client = (id, algorithm) => ({
  client_id: id,
  client_secret: secret,
  redirect_uris: [redirect],
  grant_types: ["authorization_code"],
  response_types: ["code"],
  id_token_signed_response_alg: algorithm,
});

const provider = (issuer, conformIdTokenClaims) =>
  new Provider(issuer, {
    clients: [client("rs", "RS256"), client("es", "ES256"), client("ed", "EdDSA"), client("nobody", "RS256")],
    jwks: { keys: [jwk("rsa", { modulusLength: 2048 }), jwk("ec", { namedCurve: "P-256" }), jwk("ed25519")] },
    claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
    conformIdTokenClaims,
    cookies: { keys: ["k"] },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, sub) => ({
      accountId: sub,
      claims: () => ({ sub, preferred_username: "jo", groups }),
    }),
  });

// Says yes to everything that a person would be asked.
const interact = async (op, request, response) => {
  const { prompt, params, session } = await op.interactionDetails(request, response);
  let result = { login: { accountId: "jo-7" } };
  if (params.client_id === "nobody") {
    result = { error: "access_denied", error_description: "no" };
  } else if (prompt.name === "consent") {
    const grant = new op.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope("openid profile");
    result = { consent: { grantId: await grant.save() } };
  }
  await op.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
};

let op;
let groups = ["readers", "cooks"];
const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
  if (!request.url.startsWith("/interaction/")) return op.callback()(request, response);
  interact(op, request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  op = provider(`https://localhost:${port}`, true);
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      const [word, ...names] = line.split(" ");
      if (word === "groups") {
        groups = names;
        return console.log("regrouped");
      }
      op = provider(`https://localhost:${port}`, false);
      console.log("rotated");
    })
    // Whoever started it is gone.
    .on("close", () => process.exit());
  console.log(port);
});
