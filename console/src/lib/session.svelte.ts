// Who is signed in, and what they may.

import { answers, api, ask, Failure, type Schemas } from "../api/client";
import { signAs } from "../api/sign";
import { forgetKey } from "./key";

class Session {
  /** Nobody, while `isKnown`; else it is being asked. */
  info = $state<Schemas["SessionInfo"] | undefined>();
  isKnown = $state(false);
  /** It was found out that this browser has not the session's key any more. */
  isKeyless = $state(false);
  /** Why it could not be asked. */
  failure = $state<Failure | undefined>();

  get tenant(): string {
    return this.info?.tenant ?? "";
  }

  get user(): string {
    return this.info?.user.name ?? "";
  }

  may(action: string): boolean {
    return this.info?.may.includes(action) ?? false;
  }

  async find() {
    this.failure = undefined;
    try {
      this.begin(await ask(api.GET("/api/v1/session")));
    } catch (cause) {
      if (!(cause instanceof Failure)) throw cause;
      if (cause.status === 401) this.end();
      else this.failure = cause;
    }
  }

  begin(info: Schemas["SessionInfo"]) {
    this.info = info;
    this.isKnown = true;
    signAs({ tenant: info.tenant, user: info.user.id, key: info.key });
  }

  end() {
    this.info = undefined;
    this.isKnown = true;
    this.isKeyless = false;
    signAs(undefined);
  }

  async signOut() {
    await ask(api.DELETE("/api/v1/session"));
    this.end();
    await forgetKey();
  }
}

export const session = new Session();

answers.addEventListener("over", () => session.end());
answers.addEventListener("keyless", () => (session.isKeyless = true));
// Roles and policies may have changed since: what is offered follows them.
answers.addEventListener("denied", () => void (session.info && session.find()));
