// Changes are signed by whoever makes them: the service says what will stand in the log, this browser signs it without
// a question, and the same call goes once more.

import { base64url, toBase64url, type Bytes } from "../lib/bytes";
import { findKey, sign } from "../lib/key";
import { check, readOrder, type Signer } from "../lib/order";
import { Failure } from "./failure";

const SIGN_IT = 428;
/** What an order is over may have changed when it comes back; then there is another one. */
const TIMES_MAX = 2;

let signer: Signer | undefined;

/** Says in whose name this page signs from now on. */
export function signAs(who: Signer | undefined) {
  signer = who;
}

/** `fetch`, with what the service wants signed. */
export async function send(request: Request): Promise<Response> {
  let response = await fetch(request.clone());
  for (let times = 0; response.status === SIGN_IT; times++) {
    if (times === TIMES_MAX) {
      throw new Failure(SIGN_IT, "sign-it", "Somebody else changes the same just now. Try again.");
    }
    const signed = request.clone();
    signed.headers.set("thingward-order", await answer(await response.json(), request));
    response = await fetch(signed);
  }
  return response;
}

/** The order with our signature, for its header. */
async function answer({ order }: { order?: unknown }, request: Request): Promise<string> {
  const bytes = checked(order, request, await request.clone().text());
  const key = signer && (await findKey(signer.key));
  if (!key) {
    throw new Failure(0, "key-lost", "This browser has lost the key of the session. Sign in again to change anything.");
  }
  return `${toBase64url(bytes)}.${toBase64url(await sign(key, bytes))}`;
}

function checked(order: unknown, { method, url }: Request, body: string): Bytes {
  try {
    if (!signer) throw new Error("Nobody is signed in here.");
    const bytes = base64url(String(order));
    const call = { method, path: new URL(url).pathname, body: body === "" ? undefined : (JSON.parse(body) as unknown) };
    check(readOrder(bytes), call, signer);
    return bytes;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Failure(0, "wrong-order", `The service wants another deed signed than this. ${why} Nothing was signed.`);
  }
}
