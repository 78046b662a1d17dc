// Passkeys, by the browser.

import { Failure, type Schemas } from "../api/client";

/** An assertion by one of the person's passkeys. */
export async function approve(options: Schemas["RequestOptions"]): Promise<PublicKeyCredentialJSON> {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options as PublicKeyCredentialRequestOptionsJSON);
  const credential = await asked(() => navigator.credentials.get({ publicKey }));
  return credential.toJSON();
}

/** A new passkey. */
export async function create(options: Schemas["CreationOptions"]): Promise<PublicKeyCredentialJSON> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options as PublicKeyCredentialCreationOptionsJSON);
  const credential = await asked(() => navigator.credentials.create({ publicKey }));
  return credential.toJSON();
}

/** What to call a passkey that is made here. */
export function passkeyName(): string {
  const systems = ["Android", "iPhone", "iPad", "Windows", "Mac", "CrOS", "Linux"];
  const system = systems.find((name) => navigator.userAgent.includes(name));
  return system === "CrOS" ? "Chromebook" : (system ?? "Passkey");
}

async function asked(question: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  try {
    const credential = await question();
    if (credential instanceof PublicKeyCredential) return credential;
  } catch (cause) {
    if (!(cause instanceof DOMException)) throw cause;
    if (cause.name === "InvalidStateError") {
      throw new Failure(0, "passkey", "This authenticator has a passkey for this account already.");
    }
    if (cause.name === "SecurityError") {
      throw new Failure(
        0,
        "passkey",
        "The browser makes no passkeys for this address. Open the console by its name, over HTTPS.",
      );
    }
  }
  throw new Failure(0, "passkey", "No passkey was given. Try again when you are ready.");
}
