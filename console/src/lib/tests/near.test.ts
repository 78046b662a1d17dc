import { expect, test } from "vitest";
import type { Bound, Grant, Permission } from "../grant";
import { actions, readPlace, within } from "../near";

const KEY = "MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

test("a device's code names the device, where its local link is, and its key", () => {
  const nearby = readPlace(`#tenant=town&device=meter-1&link=http%3A%2F%2F192.0.2.7%3A8886&key=${KEY}`);
  expect(nearby).toMatchObject({ tenant: "town", device: "meter-1", link: "http://192.0.2.7:8886" });
  expect(readPlace(`#device=meter-1&link=http%3A%2F%2F192.0.2.7%3A8886&key=${KEY}`)?.tenant).toBeUndefined();
  expect(nearby?.key.length).toBe(44);
});

test.each([
  "",
  "#device=meter-1",
  `#device=meter-1&link=javascript:alert(1)&key=${KEY}`,
  `#device=meter-1&link=nowhere&key=${KEY}`,
  `#device=meter-1&link=http://192.0.2.7/elsewhere&key=${KEY}`,
  "#device=meter-1&link=http://192.0.2.7&key=not+a+key",
])("what is no such code is no place: %s", (fragment) => {
  expect(readPlace(fragment)).toBeUndefined();
});

function permission(action: string, bounds: Record<string, Bound> = {}): Permission {
  return { action, bounds: new Map(Object.entries(bounds)) };
}

function grant(...scopes: (Permission[] | undefined)[]): Grant {
  const bytes = new Uint8Array();
  return { bytes, id: "07", digest: bytes, holder: bytes, blocks: scopes.map((permissions) => ({ permissions })) };
}

test("what is offered is what every block leaves", () => {
  const whole = [permission("park", { "": { min: 1, max: 120 } }), permission("leave")];
  expect(actions(grant(whole))).toEqual(whole);
  expect(actions(grant(whole, undefined, [permission("park", { "": { max: 30 } })]))).toEqual([
    permission("park", { "": { min: 1, max: 30 } }),
  ]);
  expect(actions(grant(whole, [permission("park", { "": { min: 5, max: 500 } })]))).toEqual([
    permission("park", { "": { min: 5, max: 120 } }),
  ]);
  expect(actions(grant(whole, [permission("open")]))).toEqual([]);
});

test("what is handed on is within what was typed", () => {
  const park = permission("park", { "": { min: 1, max: 120 } });
  expect(within(park, { "": { min: "1", max: "30" } })).toEqual(permission("park", { "": { min: 1, max: 30 } }));
  expect(within(park, { "": { min: "", max: "many" } })).toEqual(
    permission("park", { "": { min: undefined, max: undefined } }),
  );
  expect(within(permission("leave"), {})).toEqual(permission("leave"));
});
