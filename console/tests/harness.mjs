// A browser for each person, and what must not happen in any of them.

import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** What Chromium says on its console of answers that tests and changes ask for, and of a service that takes no RSA. */
const EXPECTED = /^Failed to load resource: .* status of (401|403|404|423|428) |pubKeyCredParams is missing .* RS256/;

const AUTHENTICATOR = {
  protocol: "ctap2",
  hasResidentKey: true,
  hasUserVerification: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
};
/** How the browser of a page is told about authenticators. */
const sessions = new WeakMap();

export const origin = new URL(needed("CONSOLE_URL")).origin;

export function needed(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

/**
 * A person with a browser and an authenticator of their own. `faults` grows when something is wrong. `others` are the
 * origins that they may reach beside ours.
 */
export async function person(browser, faults, others = []) {
  const context = await browser.newContext({ baseURL: origin, viewport: WIDE, acceptDownloads: true });
  // What a browser asks before a page reaches a device near by.
  if (others.length > 0) await context.grantPermissions(["local-network-access"]);
  // What is added this way is not under the page's Content-Security-Policy.
  await context.addInitScript({ path: AXE });
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (e) =>
      console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`),
    );
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !EXPECTED.test(message.text()))
      faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`page: ${error.stack ?? error}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin && !others.includes(url.origin) && !["data:", "blob:"].includes(url.protocol))
      faults.push(`another origin: ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 500) faults.push(`${response.status()} from ${response.url()}`);
  });
  const cdp = await context.newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  await cdp.send("WebAuthn.addVirtualAuthenticator", { options: { ...AUTHENTICATOR, transport: "internal" } });
  sessions.set(page, cdp);
  return page;
}

/** Does something while the person has another authenticator at hand, without a passkey. */
export async function withAnotherAuthenticator(page, run) {
  const cdp = sessions.get(page);
  const options = { ...AUTHENTICATOR, transport: "usb" };
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options });
  try {
    await run();
  } finally {
    await cdp.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
  }
}

export const WIDE = { width: 1280, height: 860 };
export const NARROW = { width: 360, height: 740 };

/** Goes to a page and waits until nothing of it is being loaded. */
export async function open(page, path) {
  await page.goto(path);
  await settled(page);
}

export async function settled(page) {
  await page.locator("h1").first().waitFor();
  await page.waitForFunction(() => document.querySelector(".bar") === null);
}

/** What axe finds, in a line each. */
export async function axe(page) {
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }),
  );
  return violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html.slice(0, 160)} (${node.failureSummary})`),
  );
}

/** How far the page is wider than the window. */
export function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** Presses Tab until what has the focus says `text`. */
export async function tabTo(page, text) {
  for (let presses = 0; presses < 80; presses++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const { activeElement: element } = document;
      const label =
        element?.labels?.[0]?.textContent ?? element?.getAttribute("aria-label") ?? element?.textContent ?? "";
      return label.trim();
    });
    if (focused === text) {
      await assertVisibleFocus(page);
      return;
    }
  }
  throw new Error(`Tab does not lead to "${text}"`);
}

async function assertVisibleFocus(page) {
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  if (outline === "none") throw new Error("what has the focus does not show it");
}

/** Runs tests one after the other: each goes on where the last one stopped. */
export class Runner {
  passed = 0;
  failed = 0;

  constructor(faults) {
    this.faults = faults;
  }

  async test(sentence, run) {
    const before = this.faults.length;
    try {
      await run();
      const faults = this.faults.slice(before);
      if (faults.length > 0) throw new Error(faults.join("\n"));
      this.passed += 1;
      console.log(`ok    ${sentence}`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAIL  ${sentence}\n      ${String(error.stack ?? error).replaceAll("\n", "\n      ")}`);
    }
  }

  end() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    return this.failed === 0 ? 0 : 1;
  }
}
