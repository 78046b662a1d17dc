import { describe, expect, test } from "vitest";
import bulb from "../../../../crates/thingward/src/things/bulb.td.json";
import infusion_pump from "../../../../crates/thingward/src/things/infusion_pump.td.json";
import milling_machine from "../../../../crates/thingward/src/things/milling_machine.td.json";
import parking_meter from "../../../../crates/thingward/src/things/parking_meter.td.json";
import thermometer from "../../../../crates/thingward/src/things/thermometer.td.json";
import { formsOf, propertiesOf, readInput, type Form } from "../td";

const THINGS = { bulb, infusion_pump, milling_machine, parking_meter, thermometer };
type Thing = keyof typeof THINGS;

function form(thing: Thing, action: string): Form {
  const found = formsOf(THINGS[thing]).find((f) => f.action === action);
  if (!found) throw new Error(`no ${action}`);
  return found;
}

function formOf(input: unknown): Form {
  return formsOf({ actions: { act: { input } } })[0] as Form;
}

describe("the things of the demo", () => {
  test.each(Object.keys(THINGS) as Thing[])("%s has forms", (thing) => {
    const forms = formsOf(THINGS[thing]);
    expect(forms.length).toBeGreaterThan(0);
    expect(forms.filter((f) => f.obstacle)).toEqual([]);
    expect(propertiesOf(THINGS[thing]).every((p) => p.stream !== "")).toBe(true);
  });

  test("the meter's rate is a number within bounds", () => {
    const rate = form("parking_meter", "set-rate");
    expect(rate.fields[0]).toMatchObject({
      kind: "number",
      unit: "EUR/h",
      hint: "From 0 to 10 EUR/h.",
      isRequired: true,
    });
    expect(readInput(rate, { "": "3.50" })).toEqual({ input: 3.5 });
    expect(readInput(rate, { "": "3,50" })).toEqual({ input: 3.5 });
    expect(readInput(rate, { "": "0" })).toEqual({ input: 0 });
    expect(readInput(rate, { "": "10.01" })).toEqual({ problems: { "": "Takes at most 10 EUR/h." } });
    expect(readInput(rate, { "": "-1" })).toEqual({ problems: { "": "Takes at least 0 EUR/h." } });
    expect(readInput(rate, { "": "a lot" })).toEqual({ problems: { "": "This is no number." } });
    expect(readInput(rate, { "": "Infinity" })).toEqual({ problems: { "": "This is no number." } });
    expect(readInput(rate, {})).toEqual({ problems: { "": "A value is missing." } });
  });

  test("whole numbers, switches and actions that take nothing", () => {
    expect(readInput(form("bulb", "dim"), { "": "40.5" })).toEqual({ problems: { "": "Takes a whole number." } });
    expect(readInput(form("bulb", "switch"), { "": "false" })).toEqual({ input: false });
    expect(readInput(form("bulb", "switch"), { "": "" })).toEqual({ problems: { "": "Choose one." } });
    expect(form("infusion_pump", "stop").fields).toEqual([]);
    expect(readInput(form("infusion_pump", "stop"), {})).toEqual({ input: null });
  });

  test("only what is marked so is sensitive", () => {
    expect(form("infusion_pump", "set-rate").isSensitive).toBe(true);
    expect(form("infusion_pump", "stop").isSensitive).toBe(false);
  });
});

test("an object becomes a field for each member, and those that are not needed may be empty", () => {
  const period = formOf({
    type: "object",
    properties: {
      start: { type: "integer", minimum: 0, maximum: 23 },
      mode: { type: "string", enum: ["day", "night"] },
      note: { type: "string", maxLength: 5 },
    },
    required: ["start"],
  });
  expect(period.fields.map((f) => [f.name, f.kind, f.isRequired])).toEqual([
    ["start", "number", true],
    ["mode", "choice", false],
    ["note", "text", false],
  ]);
  expect(readInput(period, { start: "7", mode: "night" })).toEqual({ input: { start: 7, mode: "night" } });
  expect(readInput(period, { mode: "dusk", note: "too long" }).problems).toEqual({
    start: "A value is missing.",
    mode: "Choose one.",
    note: "Takes at most 5 characters.",
  });
});

test("steps and bounds that are left out", () => {
  const tenths = formOf({ type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1, multipleOf: 0.1 });
  expect(tenths.fields[0]?.hint).toBe("Above 0, below 1, in steps of 0.1.");
  expect(readInput(tenths, { "": "0.3" })).toEqual({ input: 0.3 });
  expect(readInput(tenths, { "": "0.35" })).toEqual({ problems: { "": "Takes steps of 0.1." } });
  expect(readInput(tenths, { "": "0" })).toEqual({ problems: { "": "Takes more than 0." } });
  expect(readInput(tenths, { "": "1" })).toEqual({ problems: { "": "Takes less than 1." } });
});

test("named values are chosen by their names", () => {
  const speed = formOf({
    oneOf: [
      { const: 1, title: "Slow" },
      { const: 2, title: "Fast" },
    ],
  });
  expect(speed.fields[0]?.choices).toEqual([
    { label: "Slow", value: 1 },
    { label: "Fast", value: 2 },
  ]);
  expect(readInput(speed, { "": "2" })).toEqual({ input: 2 });
});

test("what a form cannot send is said so", () => {
  expect(formOf({ type: "array", items: { type: "number" } }).obstacle).toMatch(/command line/);
  expect(formOf({ type: "object", properties: { in: { type: "object" } } }).obstacle).toMatch(/command line/);
  expect(formOf({ type: "string", pattern: "^a" }).obstacle).toMatch(/pattern/);
});
