import { expect, test } from "vitest";
import { endsOf, permission, said } from "../permission";
import { formsOf } from "../td";

const METER = {
  actions: {
    park: { input: { type: "integer", minimum: 1, maximum: 240, unit: "min" }, "tw:grants": true },
    leave: { "tw:grants": true },
    "set-rate": { input: { type: "number", minimum: 0, maximum: 10 } },
  },
};

test("what a device opens to grants is a form with the bounds of its description", () => {
  const open = formsOf(METER).filter((form) => form.isOpenToGrants);
  expect(open.map((form) => form.action)).toEqual(["park", "leave"]);
  const [park, leave] = open;
  if (!park || !leave) throw new Error("two are open");
  const ends = endsOf(park);
  expect(ends).toEqual({ "": { min: "1", max: "240" } });
  expect(permission(park, { "": { min: "1", max: " 120 " } })).toEqual({
    action: "park",
    bounds: { "": { min: 1, max: 120 } },
  });
  expect(permission(park, { "": { min: "", max: "two" } })).toEqual({ action: "park" });
  expect(permission(leave, endsOf(leave))).toEqual({ action: "leave" });
});

test("a permission reads as people would say it", () => {
  const range = (min: number | null, max: number | null) => ({ min, max });
  expect(said({ action: "leave" })).toBe("leave");
  expect(said({ action: "park", bounds: { "": range(1, 120) } })).toBe("park from 1 to 120");
  expect(said({ action: "dim", bounds: { level: range(null, 50), lamp: ["left", "right"] } })).toBe(
    "dim level at most 50 and lamp left or right",
  );
  expect(said({ action: "open", bounds: { door: 3, slowly: true } })).toBe("open door 3 and slowly true");
});
