// The console in a browser, against a running town. From the environment:
//
//   CONSOLE_URL       where the console is, as http://localhost:8080
//   SETUP_LINK        the one-time link that makes the first administrator
//   NEAR_URL          the page for whoever stands before the meter
//   THINGWARD         the binary, and
//   THINGWARD_CONFIG  the town's configuration, for what its operator does meanwhile
//   SCREENSHOTS       a folder for pictures; none when it is not set

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, mkdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  axe,
  launch,
  NARROW,
  needed,
  open,
  overflow,
  person,
  Runner,
  settled,
  tabTo,
  WIDE,
  withAnotherAuthenticator,
} from "./harness.mjs";
import { strangers } from "./stranger.mjs";

const ADMIN = "maya";
const VIEWER = "noor";
/** Enrolled by the tests; a town that is tested again has another one already. */
const DEVICE = `meter-${Date.now() % 100_000}`;
const PAGES = [
  "/",
  "/devices",
  "/devices/meter-1",
  "/devices/hall-gateway",
  "/add-device",
  "/grants",
  "/log",
  "/log/0",
  "/policy",
  "/policy/explain",
  "/policy/files",
  "/policy/versions",
  "/users",
  "/users/groups",
  "/users/tokens",
  "/users/sessions",
  "/settings",
  "/there-is-no-such-page",
];

const faults = [];
const runner = new Runner(faults);
const test = runner.test.bind(runner);
const browser = await launch();
const admin = await person(browser, faults);
const viewer = await person(browser, faults);

await test("the set-up link makes the first administrator, with a passkey", async () => {
  await open(admin, needed("SETUP_LINK"));
  assert.equal(await admin.evaluate(() => location.hash), "", "the code is still in the address");
  assert.deepEqual(await axe(admin), []);
  await admin.getByLabel("Your name here").fill(ADMIN);
  await admin.getByRole("button", { name: "Make a passkey" }).click();
  await admin.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  await settled(admin);
  await admin.locator(".who strong", { hasText: ADMIN }).waitFor();
});

await test("a set-up link works once", async () => {
  await viewer.goto(needed("SETUP_LINK"));
  await viewer.getByRole("heading", { name: "This link does not work" }).waitFor();
  assert.deepEqual(await axe(viewer), []);
});

await test("the things of the town are there: connected, or behind their gateway", async () => {
  await open(admin, "/devices");
  const row = (name) => admin.getByRole("row").filter({ has: admin.getByRole("rowheader", { name, exact: true }) });
  for (const name of ["hall-gateway", "pump-1", "meter-1"]) {
    await row(name).getByText("connected", { exact: true }).waitFor();
    await row(name)
      .getByText(/since \d\d:\d\d/)
      .waitFor();
  }
  for (const name of ["thermometer-1", "bulb-1", "mill-1"]) {
    await row(name).getByText("behind", { exact: true }).waitFor();
    await row(name).getByRole("link", { name: "hall-gateway" }).waitFor();
  }
  await admin.getByLabel("State").selectOption("Behind a gateway");
  await row("pump-1").waitFor({ state: "hidden" });
  assert.equal(await admin.getByRole("rowheader").count(), 3);
  assert.deepEqual(await axe(admin), []);

  await open(admin, "/devices/bulb-1");
  await admin.getByText("hall-gateway handed on what came of it last").waitFor();
  await open(admin, "/devices/hall-gateway");
  await admin.getByText("A connection of its own").waitFor();
});

await test("a reading shows the way that it took: over its link to a gateway, or over a connection of its own", async () => {
  const way = admin.locator("section", { hasText: "Way of its latest reading" });
  await open(admin, "/devices/bulb-1");
  await way.getByText("with Security 2, its key compared").waitFor();
  await way.getByRole("link", { name: "hall-gateway" }).waitFor();
  await way.getByText("took it, by its clock").waitFor();
  const places = await way.getByRole("listitem").locator("strong").allInnerTexts();
  assert.deepEqual(places.map((place) => place.trim()), ["bulb-1", "Z-Wave", "hall-gateway", "The service"]);
  const times = await way.locator("time").evaluateAll((all) => all.map((one) => Date.parse(one.dateTime)));
  assert.equal(times.length, 3);
  assert.deepEqual(times, times.toSorted((a, b) => a - b), "a reading is measured, then carried, then taken");
  assert.deepEqual(await axe(admin), []);
  await open(admin, "/devices/pump-1");
  await way.getByText("over a connection of its own, with its own certificate").waitFor();
  assert.equal(await way.getByRole("listitem").count(), 3);
});

await test("a gateway lets things join for a while, by keyboard, and the log has who let it", async () => {
  await open(admin, "/devices/hall-gateway");
  const join = admin.locator("section", { hasText: "Let things join" });
  for (const radio of ["zigbee-1", "zwave-1"]) {
    await admin.getByRole("row").filter({ hasText: radio }).getByText("up", { exact: true }).waitFor();
  }
  await tabTo(admin, "Radio");
  await admin.keyboard.press("ArrowDown");
  await tabTo(admin, "For");
  await admin.keyboard.press("ArrowUp");
  await tabTo(admin, "Code printed on the thing");
  await admin.keyboard.type("34028-16403");
  await admin.keyboard.press("Enter");
  await join.getByText(/^Open at zigbee-1, until/).waitFor();
  assert.equal(await join.getByLabel("Code printed on the thing").inputValue(), "", "the code stays in the page");
  assert.deepEqual(await axe(admin), []);
  await tabTo(admin, "Let nothing join any more");
  await admin.keyboard.press("Enter");
  await join.getByText(/^Open at zigbee-1, until/).waitFor({ state: "hidden" });
  await openNewest("gateway.admit", "device");
  await signedBy(admin, `${ADMIN}, with the key of the session`);
  assert.equal(await admin.getByText("34028").count(), 0, "the code is in the log");
});

await test("a command is sent from the form of the device's description, and done", async () => {
  await open(admin, "/devices/meter-1");
  const form = admin.locator("form", { hasText: "Set the rate" });
  await form.getByLabel("Value").fill("11");
  await form.getByRole("button", { name: "Send" }).click();
  await form.getByText("Takes at most 10 EUR/h.").waitFor();
  await form.getByLabel("Value").fill("3.50");
  await form.getByRole("button", { name: "Send" }).click();
  await form.getByText("Done, says the device.").waitFor();
});

await test("a sensitive command takes the user's passkey", async () => {
  await open(admin, "/devices/pump-1");
  const form = admin.locator("form", { hasText: "Set the rate" });
  await form.getByLabel("Value").fill("20");
  await form.getByRole("button", { name: "Approve with passkey and send" }).click();
  await form.getByText("Done, says the device.").waitFor();
  await form.getByRole("link", { name: "Its entry in the log" }).click();
  await signedBy(admin, `${ADMIN}, with a passkey`);
  await admin.getByText("A passkey was asked for exactly this command").waitFor();
});

await test("live readings move the chart and the values", async () => {
  await open(admin, "/devices/mill-1");
  await admin.locator(".chart canvas").waitFor();
  const values = () => admin.locator("section", { hasText: "Latest values" }).first().innerText();
  const before = await values();
  await admin.waitForFunction((text) => document.querySelector("section")?.innerText !== text, before);
  await admin.getByRole("button", { name: "Closer" }).click();
  await admin.getByRole("button", { name: "Back to live" }).click();
  await admin.getByText("live", { exact: true }).waitFor();
});

await test("a viewer is invited by link, and sees what a viewer may", async () => {
  await open(admin, "/users");
  await admin.getByRole("button", { name: "Invite a user" }).click();
  await admin.getByLabel("Name", { exact: true }).fill(VIEWER);
  await admin.getByRole("button", { name: "Add and make a link" }).click();
  await admin.getByRole("button", { name: "Make the link" }).click();
  const link = await admin.getByRole("group", { name: `Link for ${VIEWER}` }).innerText();
  await admin.getByRole("img", { name: /QR code/ }).waitFor();
  assert.deepEqual(await axe(admin), []);
  await admin.getByRole("button", { name: "Close" }).click();

  await open(viewer, link.trim());
  await cancelOnce(viewer);
  await viewer.getByRole("button", { name: "Make a passkey" }).click();
  await viewer.getByRole("heading", { name: "Your passkey is made" }).waitFor();
  await viewer.getByRole("alert").getByText("No passkey was given.").waitFor();
  assert.deepEqual(await axe(viewer), []);
  await viewer.getByRole("button", { name: "Sign in with the passkey" }).click();
  await viewer.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  await settled(viewer);
  const pages = await viewer.getByRole("navigation", { name: "Pages" }).getByRole("link").allInnerTexts();
  assert.deepEqual(
    pages.map((text) => text.trim()),
    ["Overview", "Devices", "Grants", "Policy", "Settings"],
  );
});

await test("a viewer is told which commands are not theirs to send, and why", async () => {
  await open(viewer, "/devices/meter-1");
  await viewer.getByText(/^You may not send: .*Set the rate/).waitFor();
  assert.equal(await viewer.locator("form", { hasText: "Set the rate" }).count(), 0);
  assert.equal(await viewer.getByText("Stays longer than paid for").count(), 0, "a value about a person is shown");
});

await test("a page without permission says what is missing and who could give it", async () => {
  for (const [path, needs] of [
    ["/log", "log:read"],
    ["/users", "users:manage"],
    ["/policy/files", "policy:read"],
    ["/add-device", "devices:manage"],
  ]) {
    await open(viewer, path);
    await viewer.getByText("You may not see this.").first().waitFor();
    await viewer.getByText(needs, { exact: true }).first().waitFor();
    assert.deepEqual(await axe(viewer), [], path);
  }
});

for (const role of ["viewer", "operator", "auditor"]) {
  await test(`whoever looks around as ${role} is refused nothing, and so writes nothing into the log`, async () => {
    await roles([role]);
    const refused = [];
    const note = (response) => response.status() === 403 && refused.push(response.url());
    viewer.on("response", note);
    await open(viewer, "/");
    const links = await viewer.getByRole("navigation", { name: "Pages" }).getByRole("link").all();
    const paths = await Promise.all(links.map((link) => link.getAttribute("href")));
    for (const path of [...paths, "/devices/meter-1", "/devices/hall-gateway", "/log", "/log/0", "/policy/files"]) {
      await open(viewer, path);
      // What is asked for behind the first answer has its time, too.
      await viewer.waitForTimeout(300);
      assert.deepEqual(await axe(viewer), [], path);
    }
    viewer.off("response", note);
    assert.deepEqual(refused, []);
  });
}

await test("a command is refused when the right goes while its form is open", async () => {
  await roles(["operator"]);
  await open(viewer, "/devices/meter-1");
  const form = viewer.locator("form", { hasText: "Set the rate" });
  await form.getByLabel("Value").fill("0.10");
  await roles(["viewer"]);
  await form.getByRole("button", { name: "Send" }).click();
  await form.getByText("Refused.").waitFor();
});

await test("the refusal is in the log, and its proof is verified in the browser", async () => {
  await open(admin, "/log?kind=refuse");
  const row = admin.getByRole("row").filter({ hasText: VIEWER }).filter({ hasText: "meter-1/set-rate" }).first();
  await row.getByRole("link").first().click();
  await admin.locator("[data-verdict=verified]").waitFor();
  await admin.getByText("commands:send").waitFor();
});

await test("a change is signed with the key of the session, and that with the user's passkey", async () => {
  await roles(["auditor"]);
  await openNewest("user.roles");
  await signedBy(admin, `${ADMIN}, with the key of the session`);
  assert.deepEqual(await axe(admin), []);
  await admin.getByRole("link", { name: /which brought in the key/ }).click();
  await admin.getByText("session.begin").first().waitFor();
  await signedBy(admin, `${ADMIN}, with a passkey`);
  await roles(["viewer"]);
});

await test("what nobody but the service says is shown as that", async () => {
  await openNewest("passkey.add");
  await admin.locator("[data-signed=service]").getByText("Signed by: the service alone").waitFor();
});

await test("a browser that lost the session's key reads, and says on a change to sign in again", async () => {
  await admin.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const deleting = indexedDB.deleteDatabase("thingward");
        deleting.onsuccess = resolve;
        deleting.onerror = deleting.onblocked = reject;
      }),
  );
  await open(admin, "/users");
  await setRoles(["operator"]);
  await admin.getByRole("heading", { name: "Sign in again to change anything" }).waitFor();
  assert.deepEqual(await axe(admin), []);
  await admin.getByRole("button", { name: "Sign in again" }).click();
  await admin.getByRole("button", { name: "Sign in with a passkey" }).click();
  await admin.getByRole("heading", { name: "Users and tokens", level: 1 }).waitFor();
  await roles(["viewer"]);
});

await test("a proof that was tampered with is shown as such", async () => {
  const entries = /\/log\/entries\?/;
  await admin.route(entries, async (route) => {
    const response = await route.fetch();
    const body = await response.json();
    for (const item of body.items) item.entry = changed(item.entry);
    await route.fulfill({ response, json: body });
  });
  await open(admin, "/log/1");
  await admin.locator("[data-verdict=tampered]").waitFor();
  await admin.getByText("Tampered with").waitFor();
  assert.deepEqual(await axe(admin), []);
  await admin.unroute(entries);

  const proof = /\/log\/entries\/1\/proof$/;
  await admin.route(proof, async (route) => {
    const response = await route.fetch();
    const body = await response.json();
    body.proof[0] = changed(body.proof[0]);
    await route.fulfill({ response, json: body });
  });
  await open(admin, "/log/1");
  await admin.locator("[data-verdict=tampered]").waitFor();
  await admin.unroute(proof);
});

await test("the log's key is pinned, its growth is checked, and another key is noticed", async () => {
  await open(admin, "/log");
  await admin.locator("details summary", { hasText: "under a checkpoint" }).click();
  await admin.getByRole("button", { name: "Pin this key" }).click();
  await admin.getByText("The key is pinned.", { exact: true }).waitFor();
  await open(admin, "/log");
  await admin.getByText(/It continues the \d+ seen before/).waitFor();

  const log = /\/log$/;
  await admin.route(log, async (route) => {
    if (!route.request().url().includes("/api/")) return route.continue();
    const response = await route.fetch();
    const body = await response.json();
    const name = body.key.slice(0, body.key.indexOf("+"));
    await route.fulfill({
      response,
      json: { ...body, key: `${name}+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA` },
    });
  });
  await open(admin, "/log");
  await admin.getByText("another key than the one that is pinned").waitFor();
  await admin.unroute(log);
});

await test("what happens comes into the log by itself", async () => {
  await open(admin, "/log");
  await thingward("group", "add", "console-tests", `user/${VIEWER}`);
  await admin
    .getByRole("row")
    .filter({ hasText: "group/console-tests" })
    .filter({ hasText: "group.add" })
    .first()
    .waitFor();
  await thingward("group", "remove", "console-tests", `user/${VIEWER}`);
});

await test("a withdrawn key is the first thing that one sees", async () => {
  await thingward("key", "withdraw");
  try {
    await open(admin, "/");
    await admin.getByText(/^The key of .* is withdrawn/).waitFor();
    assert.deepEqual(await axe(admin), []);
    await open(admin, "/devices/meter-1");
    await admin.getByText("The customer’s key is not there.").first().waitFor();
    assert.deepEqual(await axe(admin), []);
  } finally {
    await thingward("key", "restore");
  }
  await open(admin, "/");
  await admin.getByText(/^The key of .* is withdrawn/).waitFor({ state: "hidden" });
});

await test("a session that is ended is over at once", async () => {
  await open(viewer, "/devices");
  await open(admin, "/users/sessions");
  await admin
    .getByRole("button", { name: `End the session of ${VIEWER}` })
    .first()
    .click();
  await admin.getByRole("dialog").getByRole("button", { name: "End it" }).click();
  await admin.getByText("The session is over.").waitFor();
  await viewer.goto("/devices");
  await viewer.getByRole("heading", { name: "Sign in" }).waitFor();
  await viewer.getByRole("button", { name: "Sign in with a passkey" }).click();
  await viewer.getByRole("heading", { name: "Devices", level: 1 }).waitFor();
});

await test("whoever lost a passkey comes back by a link, and the lost one opens nothing", async () => {
  await open(admin, "/users");
  await admin.getByRole("button", { name: `Recover ${VIEWER}` }).click();
  await admin.getByRole("button", { name: "Make the link" }).click();
  const link = await admin.getByRole("group", { name: `Link for ${VIEWER}` }).innerText();
  const elsewhere = await person(browser, faults);
  await open(elsewhere, link.trim());
  await elsewhere.getByRole("heading", { name: "Make a new passkey" }).waitFor();
  await elsewhere.getByRole("button", { name: "Make a passkey" }).click();
  await elsewhere.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  await elsewhere.context().close();
  await viewer.goto("/devices");
  await viewer.getByRole("heading", { name: "Sign in" }).waitFor();
  await viewer.getByRole("button", { name: "Sign in with a passkey" }).click();
  await viewer.getByRole("alert").waitFor();
  assert.deepEqual(await axe(viewer), []);
});

await test("a device enrols with the code and the line that the console shows", async () => {
  await open(admin, "/add-device");
  const section = admin.locator("section", { hasText: "With a claim code" });
  await section.getByLabel("Name").fill(DEVICE);
  await section.getByRole("button", { name: "Make a code" }).click();
  await section.getByRole("img", { name: /QR code/ }).waitFor();
  const config = await readFile(needed("THINGWARD_CONFIG"), "utf8");
  const port = /https = "[^"]*:(\d+)"/.exec(config)?.[1];
  await section.getByLabel("The service, as the device reaches it").fill(`https://localhost:${port}`);
  assert.deepEqual(await axe(admin), []);
  const line = await section.getByRole("group", { name: "Command that enrols the device" }).innerText();
  const [program, ...words] = line.trim().split(" ");
  assert.equal(program, "thingward");
  const home = await mkdtemp(join(tmpdir(), "console-"));
  try {
    await thingward(...words.slice(0, -1), join(home, DEVICE));
  } finally {
    await rm(home, { recursive: true });
  }
  await open(admin, `/devices?search=${DEVICE}`);
  await admin.getByRole("row").filter({ hasText: DEVICE }).getByText("offline").waitFor();
});

await test("what else one changes is signed as it was asked for", async () => {
  const dialog = admin.getByRole("dialog");
  await withAnotherAuthenticator(admin, async () => {
    await open(admin, "/settings");
    await admin.getByLabel("What to call a new one").fill("Spare");
    await admin.getByRole("button", { name: "Add a passkey" }).click();
    await admin.getByText("The passkey is added.").waitFor();
  });
  await admin.getByRole("button", { name: "Remove Spare" }).click();
  await dialog.getByRole("button", { name: "Remove" }).click();
  await admin.getByText("The passkey is removed.").waitFor();

  await open(admin, "/users/groups");
  for (const [kind, name] of [
    ["user", VIEWER],
    ["device", DEVICE],
  ]) {
    await admin.getByLabel("Group").fill("spare-hands");
    await admin.getByLabel("Kind").selectOption(kind);
    await admin.getByLabel("Name").fill(name);
    await admin.getByRole("button", { name: "Put it in" }).click();
    await admin.getByRole("button", { name: `Take ${kind}/${name} out of spare-hands` }).click();
    await admin.getByText(`${name} is not in spare-hands any more.`).waitFor();
  }

  await open(admin, `/devices/${DEVICE}`);
  await admin.getByRole("button", { name: "Revoke" }).click();
  await dialog.getByLabel("Why").selectOption("Another one takes its place");
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await admin.getByText(`${DEVICE} is revoked.`).waitFor();
  await admin.getByRole("button", { name: "Release" }).click();
  await dialog.getByRole("button", { name: "Release" }).click();
  await admin.getByText(`${DEVICE} is released.`).waitFor();
});

await test("a list of names becomes a list of codes", async () => {
  await open(admin, "/add-device");
  await admin.getByLabel("Names").fill("bay-1\nbay 2\nyard,gateway");
  await admin.getByText("Line 2").waitFor();
  await admin.getByLabel("Names").fill("bay-1\nbay-2\nyard,gateway");
  await admin.getByRole("button", { name: "Make 3 codes" }).click();
  await admin.getByText("3 of 3 made.").waitFor();
  const [download] = await Promise.all([
    admin.waitForEvent("download"),
    admin.getByRole("button", { name: "Download 3 codes as CSV" }).click(),
  ]);
  const rows = (await readFile(await download.path(), "utf8")).trim().split("\r\n");
  assert.equal(rows.length, 4);
  assert.match(rows[1], /^bay-1,[^,]+\.[^,]+,\d{4}-/);
});

await test("a policy is checked, tried on the past, applied and taken back", async () => {
  await open(admin, "/policy/files");
  await admin.getByRole("button", { name: "Add a file" }).click();
  await admin.getByLabel("Name of the file").fill("no-rates.cedar");
  await admin
    .getByLabel("Cedar policies")
    .fill('permit (\n  principal,\n  action == Action::"no:such",\n  resource\n);\n');
  await admin.getByRole("button", { name: "Check the draft" }).click();
  await admin
    .getByText(/no-rates\.cedar, line \d+:/)
    .first()
    .waitFor();
  const text =
    '@id("no-rates")\nforbid (\n  principal,\n  action == Action::"commands:send",\n  resource == Operation::"meter-1/set-rate"\n);\n';
  await admin.getByLabel("Cedar policies").fill(text);
  await admin.getByRole("button", { name: "Try the draft" }).click();
  await admin.getByText(/questions? asked again/).waitFor();
  await admin.getByText("would be denied").first().waitFor();
  assert.deepEqual(await axe(admin), []);
  await admin.getByLabel("Note").fill("No rates for now");
  await admin.getByRole("button", { name: "Apply the draft" }).click();
  await admin.getByRole("dialog").getByRole("button", { name: "Apply" }).click();
  await admin.getByText(/Version \d+ holds\./).waitFor();

  await admin.goto("/policy/explain?action=commands:send&on=meter-1/set-rate");
  await admin.getByText("Denied.").waitFor();
  await admin.getByText("no-rates.cedar").first().waitFor();

  await open(admin, "/policy/files");
  await admin.getByRole("button", { name: "no-rates.cedar" }).click();
  await admin.getByRole("button", { name: "Remove this file" }).click();
  await admin.getByRole("button", { name: "Apply the draft" }).click();
  await admin.getByRole("dialog").getByRole("button", { name: "Apply" }).click();
  await admin.getByText(/Version \d+ holds\./).waitFor();
  await open(admin, "/policy/versions");
  await admin.getByText("No rates for now").first().waitFor();
});

await test("a token is made, shown once and revoked; one that changes something has a key", async () => {
  const shown = admin.getByRole("group", { name: "Token", exact: true });
  await open(admin, "/users/tokens");
  await admin.getByRole("button", { name: "Make the token" }).click();
  assert.match(await shown.innerText(), /^[^.]+$/);
  await admin.getByRole("button", { name: "I have kept it" }).click();
  await admin.getByLabel("Send commands").check();
  await admin.getByRole("button", { name: "Make the token" }).click();
  assert.match(await shown.innerText(), /^[^.]+\.[A-Za-z0-9_-]{43}$/);
  await admin.getByText("The part behind the dot is the key").waitFor();
  assert.deepEqual(await axe(admin), []);
  const id = await admin.locator(".notice code").innerText();
  await admin.getByRole("button", { name: "I have kept it" }).click();
  await admin.getByRole("listitem").filter({ hasText: id }).getByText("signs with the key").waitFor();
  await admin.getByRole("button", { name: `Revoke ${id}` }).click();
  await admin.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await admin.getByRole("listitem").filter({ hasText: id }).getByText("revoked").waitFor();
});

await test("a service that does not answer is said so, and asked again", async () => {
  const devices = /\/tenants\/[^/]+\/devices\?/;
  await admin.route(devices, (route) =>
    route.fulfill({ status: 404, json: { error: { code: "not-found", message: "tenant not found" } } }),
  );
  await admin.goto("/devices");
  await admin.getByText("Tenant not found.").waitFor();
  await admin.unroute(devices);
  await admin.getByRole("button", { name: "Try again" }).click();
  await admin.getByRole("link", { name: "meter-1", exact: true }).waitFor();
});

for (const [size, viewport] of [
  ["wide", WIDE],
  ["at 360 px", NARROW],
]) {
  for (const colorScheme of ["light", "dark"]) {
    await test(`every page is without findings of axe and without a sideways scroll, ${size}, ${colorScheme}`, async () => {
      await admin.setViewportSize(viewport);
      await admin.emulateMedia({ colorScheme });
      const found = [];
      for (const path of PAGES) {
        await open(admin, path);
        found.push(...(await axe(admin)).map((finding) => `${path} ${finding}`));
        if ((await overflow(admin)) > 0) found.push(`${path} is wider than the window`);
      }
      assert.deepEqual(found, []);
    });
  }
}

await test("the theme is chosen in the settings, and stays", async () => {
  await admin.setViewportSize(WIDE);
  await admin.emulateMedia({ colorScheme: "light" });
  await open(admin, "/settings");
  await admin.getByRole("button", { name: "Dark" }).click();
  await open(admin, "/settings");
  assert.equal(await admin.evaluate(() => document.documentElement.dataset.theme), "dark");
  await admin.getByRole("button", { name: "As the system" }).click();
});

await strangers({
  test,
  admin,
  browser,
  faults,
  picture: async (page, name) => {
    const folder = process.env.SCREENSHOTS;
    if (folder) await page.screenshot({ path: join(folder, `${name}.png`) });
  },
});

await test("pictures", async () => {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  const picture = async (name, path, viewport = WIDE, colorScheme = "light") => {
    await admin.setViewportSize(viewport);
    await admin.emulateMedia({ colorScheme });
    await open(admin, path);
    await admin.locator(".said p").first().waitFor({ state: "hidden" });
    await admin.screenshot({ path: join(folder, `${name}.png`) });
  };
  const entry = await firstEntry("command.send");
  await picture("overview", "/");
  await picture("device", "/devices/mill-1", { width: 1280, height: 1180 });
  await picture("log-proof", `/log/${entry}`);
  await picture("policy", "/policy");
  await picture("device-dark", "/devices/meter-1", { width: 1280, height: 1180 }, "dark");
  await picture("device-narrow", "/devices/thermometer-1", NARROW);
  await admin.setViewportSize(WIDE);
  await admin.emulateMedia({ colorScheme: "light" });
});

await test("one signs out, and in again with the passkey", async () => {
  await open(admin, "/settings");
  await admin.getByRole("button", { name: "Sign out" }).first().click();
  await admin.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.deepEqual(await axe(admin), []);
  await admin.getByRole("button", { name: "Sign in with a passkey" }).click();
  await admin.getByRole("heading", { level: 1 }).filter({ hasNotText: "Sign in" }).waitFor();
  await open(admin, "/settings");
  await admin.getByRole("button", { name: "Sign out" }).first().click();
  await admin.getByRole("heading", { name: "Sign in" }).waitFor();
});

await test("the keyboard alone leads from the sign-in to a sent command", async () => {
  await open(admin, "/sign-in");
  await tabTo(admin, "Sign in with a passkey");
  await admin.keyboard.press("Enter");
  await admin.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  await admin.keyboard.press("Home");
  await tabTo(admin, "Devices");
  await admin.keyboard.press("Enter");
  await admin.getByRole("heading", { name: "Devices", level: 1 }).waitFor();
  await admin.getByRole("link", { name: "meter-1", exact: true }).waitFor();
  assert.equal(await admin.evaluate(() => document.activeElement?.textContent), "Devices", "the focus does not follow");
  await tabTo(admin, "meter-1");
  await admin.keyboard.press("Enter");
  await admin.getByRole("heading", { name: "meter-1", level: 1 }).waitFor();
  await admin.locator("form", { hasText: "Set the rate" }).waitFor();
  await tabTo(admin, "Value");
  await admin.keyboard.type("2.80");
  await admin.keyboard.press("Enter");
  await admin.getByText("Done, says the device.").waitFor();
});

await browser.close();
process.exitCode = runner.end();

/** A command of the town's own operator. */
function thingward(...words) {
  return promisify(execFile)(needed("THINGWARD"), words);
}

/** Gives the viewer other roles, as the administrator. */
async function roles(wanted) {
  await open(admin, "/users");
  await setRoles(wanted);
  await admin.getByRole("dialog").waitFor({ state: "hidden" });
}

async function setRoles(wanted) {
  await admin.getByRole("button", { name: `Roles of ${VIEWER}` }).click();
  for (const role of ["administrator", "operator", "viewer", "auditor"]) {
    await admin.getByRole("dialog").getByLabel(role).setChecked(wanted.includes(role));
  }
  await admin.getByRole("dialog").getByRole("button", { name: "Save" }).click();
}

/** Opens the newest entry of a user, token, session or passkey with this action. */
async function openNewest(action, kind = "user") {
  await open(admin, `/log?kind=${kind}`);
  await admin.getByRole("row").filter({ hasText: action }).first().getByRole("link").first().click();
}

/** Waits until the entry is proved to be in the log, with whose signature on what it says; opens what was checked. */
async function signedBy(page, who) {
  await settled(page);
  // The next checkpoint comes within a second.
  for (let tries = 0; tries < 20 && (await page.locator("[data-verdict]").count()) === 0; tries++) {
    await page.waitForTimeout(500);
    await page.reload();
    await settled(page);
  }
  await page.locator("[data-verdict=verified]").waitFor();
  await page.locator("[data-signed=verified]").getByText(`Signed by: ${who}`).waitFor();
  await page.locator("[data-signed] summary").click();
}

/** Lets the person turn down the next question for a passkey that they have. */
async function cancelOnce(page) {
  await page.evaluate(() => {
    const get = navigator.credentials.get.bind(navigator.credentials);
    navigator.credentials.get = () => {
      navigator.credentials.get = get;
      return Promise.reject(new DOMException("turned down", "NotAllowedError"));
    };
  });
}

/** The number of the newest entry with this action. */
async function firstEntry(action) {
  await open(admin, "/log?kind=command");
  return admin.getByRole("row").filter({ hasText: action }).first().getByRole("link").first().innerText();
}

/** Base64 with a bit changed. */
function changed(text) {
  const bytes = Buffer.from(text, "base64");
  bytes[bytes.length - 1] ^= 1;
  return bytes.toString("base64");
}
