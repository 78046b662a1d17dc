// Somebody stands before the town's meter, with nothing but a browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { axe, NARROW, needed, open, overflow, person, settled } from "./harness.mjs";

/** Somebody else's: an Ed25519 key as SubjectPublicKeyInfo. */
const OTHER_KEY = "MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/** `admin` is signed in as who may issue grants. */
export async function strangers({ test, admin, browser, faults, picture }) {
  const near = needed("NEAR_URL");
  const link = new URLSearchParams(new URL(near).hash.slice(1)).get("link");
  const [, payments] = /^testbed = "http:\/\/127\.0\.0\.1:(\d+)"$/m.exec(readFileSync(needed("THINGWARD_CONFIG"), "utf8"));
  const others = [link, `http://localhost:${payments}`];
  const people = await Promise.all([1, 2, 3, 4].map(() => person(browser, faults, others)));
  const [driver, friend, thief, buyer] = people;
  const texts = {};

  await test("whoever scans the code on a device gets a key of their own, and no account", async () => {
    for (const page of people) {
      await page.setViewportSize(NARROW);
      await open(page, near);
      await page.getByRole("heading", { name: "meter-1", level: 1 }).waitFor();
      await page.getByText("You have no grant for it in this browser yet.").waitFor();
    }
    assert.deepEqual(await axe(driver), []);
    assert.equal(await overflow(driver), 0);
    const keys = await Promise.all(people.map((page) => shown(page, "Your key")));
    assert.equal(new Set(keys).size, 4);
    assert.match(keys[0], /^[\w-]{43}$/);
    await driver.reload();
    await settled(driver);
    assert.equal(await shown(driver, "Your key"), keys[0], "the key is another after a reload");
    [texts.driver, texts.friend] = keys;
  });

  await test("a grant is issued within what the device opens", async () => {
    await open(admin, "/grants");
    await admin.getByLabel("Device").selectOption("meter-1");
    await admin.getByRole("checkbox", { name: "Park park" }).check();
    await admin.getByRole("checkbox", { name: "Leave leave" }).check();
    assert.equal(await admin.getByRole("checkbox", { name: /Set the rate/ }).count(), 0);
    await admin.getByLabel("at most").fill("120");
    await admin.getByLabel("Holder's key").fill(texts.driver);
    assert.deepEqual(await axe(admin), []);
    await admin.getByRole("button", { name: "Issue the grant" }).click();
    texts.grant = await shown(admin, "Grant");
    const row = admin.getByRole("listitem").filter({ hasText: "park from 1 to 120; leave" });
    await row.getByText("active", { exact: true }).waitFor();
    texts.id = await row.locator("code").first().innerText();
  });

  await test("a copied grant is of no use without its key", async () => {
    await take(thief, texts.grant);
    await thief.getByText("This grant is for another key than this browser's.").waitFor();
  });

  await test("the meter serves who shows their grant, as far as it goes, and signs what it did", async () => {
    await take(driver, texts.grant);
    await use(driver, "park", "121");
    await driver.getByText("not-granted").waitFor();
    await use(driver, "park", "90");
    await driver.getByText("Done, says the device.").waitFor();
    await driver.getByText("seconds 5400").waitFor();
    assert.deepEqual(await axe(driver), []);
    await picture(driver, "near");
    await open(admin, "/devices/meter-1");
    await admin.getByText("Occupied").first().waitFor();
  });

  await test("the code that brings strangers there is on the device's page", async () => {
    await open(admin, "/devices/meter-1");
    await admin.getByLabel("Where it takes grants from browsers").fill("meter.local");
    await admin.getByText("This is no address").waitFor();
    await admin.getByLabel("Where it takes grants from browsers").fill(link);
    assert.equal(await shown(admin, "The same as an address"), near);
    await admin.getByRole("img", { name: "Code of meter-1" }).waitFor();
  });

  await test("a part of a grant is handed on, with nobody's help", async () => {
    await driver.getByRole("button", { name: "Hand it on" }).click();
    await driver.getByLabel("Your friend's key").fill(texts.friend);
    await driver.getByRole("checkbox", { name: "park" }).check();
    await driver.getByLabel("How much, at most").fill("30");
    await driver.getByRole("button", { name: "Make it" }).click();
    await take(friend, await shown(driver, "Grant for your friend"));
    await use(friend, "park", "31");
    await friend.getByText("not-granted").waitFor();
    await use(friend, "park", "30");
    await friend.getByText("out-of-turn").waitFor();
    assert.equal(await friend.getByRole("button", { name: "leave" }).count(), 0);
  });

  await test("an answer that is signed with another key than the code says is not believed", async () => {
    const other = near.replace(/key=.*/, `key=${OTHER_KEY}`);
    await driver.goto("about:blank");
    await open(driver, other);
    await use(driver, "leave");
    await driver.getByText("not signed by this device").waitFor();
    await driver.goto("about:blank");
    await open(driver, near);
  });

  await test("each use is in the log, on the device's word", async () => {
    await open(admin, "/grants");
    await admin.getByText("used 2").waitFor();
    await open(admin, "/log");
    await admin.getByRole("row").filter({ hasText: "grant.use" }).first().waitFor();
  });

  await test("a grant that is revoked ends at the device at once", async () => {
    await open(admin, "/grants");
    await admin.getByRole("button", { name: `Revoke ${texts.id}` }).click();
    await admin.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await admin.getByText("revoked", { exact: true }).waitFor();
    for (const page of [driver, friend]) {
      await use(page, "park", "1");
      await page.getByText("revoked", { exact: true }).waitFor();
    }
  });

  await test("a passer-by sees the price, pays with a card that works, parks, stays longer, and gets the rest back", async () => {
    await buyer.reload();
    const price = buyer.getByRole("region", { name: "Price" });
    await price.getByText("€2.40 for 60 minutes.").waitFor();
    await price.getByText("We keep when the bay was taken").waitFor();
    await price.getByLabel("park for so many minutes").fill("121");
    assert.ok(await price.getByRole("button", { name: /^Pay/ }).isDisabled(), "more than is sold");
    await price.getByLabel("park for so many minutes").fill("90");
    await price.getByRole("button", { name: "Pay €3.60" }).waitFor();
    assert.deepEqual(await axe(buyer), []);
    assert.equal(await overflow(buyer), 0);
    await picture(buyer, "price");
    await price.getByRole("button", { name: "Pay €3.60" }).click();
    await buyer.getByRole("heading", { name: "Pay 3.60 EUR" }).waitFor();
    await pay(buyer, "4000 0000 0000 0002");
    await buyer.getByText("The card was declined.").waitFor();
    await pay(buyer, "4242 4242 4242 4242");
    await use(buyer, "park");
    await buyer.getByText("Done, says the device.").waitFor();
    await open(admin, "/grants");
    await admin.getByRole("listitem").filter({ hasText: "€3.60" }).getByText("active", { exact: true }).waitFor();

    await buyer.getByRole("heading", { name: "Stay longer" }).waitFor();
    await price.getByLabel("park for so many minutes").fill("30");
    await price.getByRole("button", { name: "Pay €1.20" }).click();
    await pay(buyer, "4242 4242 4242 4242");
    await buyer.getByRole("region", { name: /^Grant / }).nth(1).waitFor();
    await buyer.getByRole("button", { name: "park", exact: true }).first().click();
    await buyer.getByText("Done, says the device.").waitFor();
    await buyer.getByRole("button", { name: "leave", exact: true }).first().click();
    await buyer.getByText("went back of the €1.20 that you paid.").waitFor();
    await buyer.getByText("went back of the €3.60 that you paid.").waitFor();
    assert.deepEqual(await axe(buyer), []);
    await picture(buyer, "refund");
  });

  await test("a grant for a group is good at each of its devices, which hear of it by themselves", async () => {
    await open(admin, "/users/groups");
    await admin.getByLabel("Group").fill("street");
    await admin.getByLabel("Kind").selectOption("device");
    await admin.getByLabel("Name").fill("meter-1");
    await admin.getByRole("button", { name: "Put it in" }).click();
    await admin.getByRole("button", { name: "Take device/meter-1 out of street" }).waitFor();
    await open(admin, "/grants");
    await admin.getByLabel("Device").selectOption("meter-1");
    await admin.getByLabel("For", { exact: true }).selectOption("all devices of street");
    await admin.getByRole("checkbox", { name: "Leave leave" }).check();
    await admin.getByRole("checkbox", { name: "Park park" }).check();
    await admin.getByLabel("Holder's key").fill(await shown(thief, "Your key"));
    assert.deepEqual(await axe(admin), []);
    await admin.getByRole("button", { name: "Issue the grant" }).click();
    const grant = await shown(admin, "Grant");
    const row = admin.getByRole("listitem").filter({ hasText: "all of street" });
    await row.getByText("active", { exact: true }).waitFor();
    await take(thief, grant);
    // Whoever comes by brings what was taken back: of the device, and of the group.
    const carried = [];
    thief.on("response", (answer) => {
      if (answer.url().startsWith(`${link}/thingward/grants/revocation`)) carried.push(answer.status());
    });
    await use(thief, "park", "60");
    await thief.getByText("Done, says the device.").waitFor();
    assert.deepEqual(carried, [204, 204]);
    await use(thief, "leave");
    await row.getByRole("button", { name: /^Revoke / }).click();
    await admin.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await row.getByText("revoked", { exact: true }).waitFor();
    await use(thief, "park", "1");
    await thief.getByText("revoked", { exact: true }).waitFor();
  });

  await test("who looks after the meter sees what was bought, and sets the price", async () => {
    await open(admin, "/grants");
    const bought = admin.getByRole("listitem").filter({ hasText: "€3.60" });
    await bought.getByText("ended", { exact: true }).waitFor();
    await bought.getByText("back €3.5").or(bought.getByText("back €3.6")).waitFor();
    assert.deepEqual(await axe(admin), []);
    await picture(admin, "purchases");
    await open(admin, "/devices/meter-1");
    await admin.getByText("€2.40 for 60 minutes, up to 120 at once.").waitFor();
    await admin.getByRole("button", { name: "Change the price" }).click();
    await admin.getByLabel("Price", { exact: true }).fill("3.00");
    await admin.getByLabel("Ends with").selectOption("leave");
    await admin.getByLabel("Begins with").selectOption("park");
    await admin.getByLabel("What buyers have to know").fill("The price of today.");
    assert.deepEqual(await axe(admin), []);
    await admin.getByRole("button", { name: "Offer it" }).click();
    await admin.getByText("€3.00 for 60 minutes, up to 120 at once.").waitFor();
    await buyer.reload();
    await buyer.getByText("€3.00 for 60 minutes.").waitFor();
    await admin.getByRole("button", { name: "Sell it no more" }).click();
    await admin.getByRole("dialog").getByRole("button", { name: "Sell it no more" }).click();
    await admin.getByText("It is not for sale.").waitFor();
  });

  await Promise.all(people.map((page) => page.context().close()));
}

/** A text that the page shows to be copied. */
async function shown(page, label) {
  return (await page.getByLabel(label, { exact: true }).innerText()).trim();
}

async function take(page, grant) {
  await page.getByLabel("The grant that you were given").fill(grant);
  await page.getByRole("button", { name: "Keep it here" }).click();
}

async function use(page, action, amount) {
  if (amount) await page.getByLabel("How much", { exact: true }).fill(amount);
  await page.getByRole("button", { name: action, exact: true }).click();
}

async function pay(page, card) {
  await page.getByLabel("Card number").fill(card);
  await page.getByRole("button", { name: /^Pay/ }).click();
}
