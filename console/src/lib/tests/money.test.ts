import { expect, test } from "vitest";
import { money, price, smallest } from "../money";

test("money has the digits of its currency", () => {
  expect(money(240, "EUR").replace(/[^\d.,]/g, "").replace(",", ".")).toBe("2.40");
  expect(money(240, "JPY").replace(/[^\d.,]/g, "")).toBe("240");
});

test("a price is rounded up to the smallest unit", () => {
  expect(price({ amount: 240, per: 60 }, 90)).toBe(360);
  expect(price({ amount: 100, per: 60 }, 1)).toBe(2);
});

test.each([
  ["2.40", "EUR", 240],
  ["2.4", "EUR", 240],
  ["3", "EUR", 300],
  ["300", "JPY", 300],
  ["2.405", "EUR", undefined],
  ["1.0", "JPY", undefined],
  ["-1", "EUR", undefined],
  ["2,40", "EUR", undefined],
  ["", "EUR", undefined],
  ["1", "EURO", undefined],
])("%s %s is %s of the smallest unit", (typed, currency, want) => {
  expect(smallest(typed, currency)).toBe(want);
});
