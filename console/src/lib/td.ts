// From a Thing Description (W3C WoT 1.1) to the forms of its actions, and from what was typed to an input.
//
// The service and the device check an input again; this is so that a person learns of a mistake where it is made.

export type Scalar = string | number | boolean;
export type Input = null | Scalar | Record<string, Scalar>;

export interface Field {
  /** The member of the input; empty for the input itself. */
  readonly name: string;
  readonly label: string;
  readonly kind: "number" | "text" | "choice";
  readonly isRequired: boolean;
  readonly hint: string;
  readonly unit: string;
  readonly choices: readonly { label: string; value: Scalar }[];
  readonly schema: Schema;
}

export interface Form {
  readonly action: string;
  readonly title: string;
  readonly description: string;
  /** Takes the user's own passkey. */
  readonly isSensitive: boolean;
  readonly isOpenToGrants: boolean;
  /** The input is an object of the fields; otherwise it is the one field, or nothing. */
  readonly isObject: boolean;
  readonly fields: readonly Field[];
  /** Why a form cannot send it. */
  readonly obstacle?: string;
}

export interface Property {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly stream: string;
  readonly category: string;
  readonly unit: string;
}

interface Schema {
  type?: string;
  title?: string;
  description?: string;
  unit?: string;
  enum?: unknown[];
  const?: unknown;
  oneOf?: Schema[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  properties?: Record<string, Schema>;
  required?: string[];
}

interface Description {
  title?: string;
  description?: string;
  properties?: Record<string, Schema & { "tw:stream"?: string; "tw:category"?: string }>;
  actions?: Record<string, Action>;
}

interface Action {
  title?: string;
  description?: string;
  input?: Schema;
  "tw:sensitive"?: boolean;
  "tw:grants"?: boolean;
}

export function titleOf(description: unknown): { title: string; text: string } {
  const { title = "", description: text = "" } = (description ?? {}) as Description;
  return { title, text };
}

export function propertiesOf(description: unknown): Property[] {
  return Object.entries((description as Description).properties ?? {}).map(([name, property]) => ({
    name,
    title: property.title ?? name,
    description: property.description ?? "",
    stream: property["tw:stream"] ?? "",
    category: property["tw:category"] ?? "",
    unit: property.unit ?? "",
  }));
}

export function formsOf(description: unknown): Form[] {
  return Object.entries((description as Description).actions ?? {}).map(([action, about]) => ({
    action,
    title: about.title ?? action,
    description: about.description ?? "",
    isSensitive: about["tw:sensitive"] === true,
    isOpenToGrants: about["tw:grants"] === true,
    ...inputOf(about.input),
  }));
}

function inputOf(schema: Schema | undefined): Pick<Form, "isObject" | "fields" | "obstacle"> {
  if (!schema || schema.type === "null") return { isObject: false, fields: [] };
  const isObject = schema.type === "object";
  const members = isObject ? Object.entries(schema.properties ?? {}) : [["", schema] as const];
  const required = new Set(isObject ? schema.required : [""]);
  const fields = members.map(([name, member]) => field(name, member, required.has(name)));
  const unknown = fields.find((f) => f === undefined || f.schema.pattern !== undefined);
  if (fields.includes(undefined)) {
    return { isObject, fields: [], obstacle: "Its input has a form that only the command line can send." };
  }
  if (unknown) return { isObject, fields: [], obstacle: "Its input has a pattern, which the service does not take." };
  return { isObject, fields: fields as Field[] };
}

function field(name: string, schema: Schema, isRequired: boolean): Field | undefined {
  const common = {
    name,
    label: schema.title ?? (name || "Value"),
    isRequired,
    unit: schema.unit ?? "",
    schema,
  };
  const choices = choicesOf(schema);
  if (choices) return { ...common, kind: "choice", choices, hint: schema.description ?? "" };
  const hint = [schema.description, wanted(schema)].filter(Boolean).join(" ");
  switch (schema.type) {
    case "number":
    case "integer":
      return { ...common, kind: "number", choices: [], hint };
    case "string":
      return { ...common, kind: "text", choices: [], hint };
    default:
      return undefined;
  }
}

/** The values that there are to choose from, when they can be listed. */
function choicesOf(schema: Schema): Field["choices"] | undefined {
  const isScalar = (value: unknown): value is Scalar => ["string", "number", "boolean"].includes(typeof value);
  const listed = (values: unknown[]) => values.filter(isScalar).map((value) => ({ label: String(value), value }));
  if (schema.const !== undefined) return listed([schema.const]);
  if (schema.enum) return listed(schema.enum);
  if (schema.type === "boolean") {
    return [
      { label: "On", value: true },
      { label: "Off", value: false },
    ];
  }
  if (schema.oneOf?.every((one) => isScalar(one.const))) {
    return schema.oneOf.map((one) => ({ label: one.title ?? String(one.const), value: one.const as Scalar }));
  }
  return undefined;
}

/** What would be right, in words: `A whole number from 1 to 3600 s.` */
function wanted(schema: Schema): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, minLength, maxLength } = schema;
  const unit = schema.unit ? ` ${schema.unit}` : "";
  const parts: string[] = [];
  if (schema.type === "string") {
    if (minLength) parts.push(`at least ${minLength}`);
    if (maxLength !== undefined) parts.push(`at most ${maxLength}`);
    return parts.length > 0 ? `${sentence(parts.join(" and "))} characters.` : "";
  }
  if (minimum !== undefined && maximum !== undefined) parts.push(`from ${minimum} to ${maximum}${unit}`);
  else if (minimum !== undefined) parts.push(`at least ${minimum}${unit}`);
  else if (maximum !== undefined) parts.push(`at most ${maximum}${unit}`);
  if (exclusiveMinimum !== undefined) parts.push(`above ${exclusiveMinimum}${unit}`);
  if (exclusiveMaximum !== undefined) parts.push(`below ${exclusiveMaximum}${unit}`);
  if (multipleOf !== undefined) parts.push(`in steps of ${multipleOf}`);
  const kind = schema.type === "integer" ? "whole number" : "";
  return parts.length + kind.length > 0 ? `${sentence([kind, parts.join(", ")].filter(Boolean).join(" "))}.` : "";
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export type Read = { input: Input; problems?: undefined } | { input?: undefined; problems: Record<string, string> };

/** The input that the typed texts stand for, or what is wrong with each. */
export function readInput(form: Form, texts: Readonly<Record<string, string>>): Read {
  const problems: Record<string, string> = {};
  const values: Record<string, Scalar> = {};
  for (const field of form.fields) {
    const text = texts[field.name] ?? "";
    if (text === "") {
      if (field.isRequired) problems[field.name] = field.kind === "choice" ? "Choose one." : "A value is missing.";
      continue;
    }
    const value = valueOf(field, text);
    const unread = field.kind === "choice" ? "Choose one." : "This is no number.";
    const problem = value === undefined ? unread : problemWith(field, value);
    if (problem) problems[field.name] = problem;
    else if (value !== undefined) values[field.name] = value;
  }
  if (Object.keys(problems).length > 0) return { problems };
  if (form.isObject) return { input: values };
  return { input: values[""] ?? null };
}

function valueOf(field: Field, text: string): Scalar | undefined {
  if (field.kind === "choice") return field.choices.find((choice) => String(choice.value) === text)?.value;
  if (field.kind === "text") return text;
  // A comma is how half of the world writes it.
  const plain = text.trim().replace(",", ".");
  const number = Number(plain);
  return plain !== "" && Number.isFinite(number) ? number : undefined;
}

function problemWith(field: Field, value: Scalar): string | undefined {
  const { schema } = field;
  const unit = schema.unit ? ` ${schema.unit}` : "";
  if (typeof value === "string") {
    const length = [...value].length;
    if (length < (schema.minLength ?? 0)) return `Takes at least ${schema.minLength} characters.`;
    if (length > (schema.maxLength ?? Infinity)) return `Takes at most ${schema.maxLength} characters.`;
    return undefined;
  }
  if (typeof value === "boolean") return undefined;
  if (schema.type === "integer" && !Number.isInteger(value)) return "Takes a whole number.";
  if (value < (schema.minimum ?? -Infinity)) return `Takes at least ${schema.minimum}${unit}.`;
  if (value > (schema.maximum ?? Infinity)) return `Takes at most ${schema.maximum}${unit}.`;
  if (value <= (schema.exclusiveMinimum ?? -Infinity)) return `Takes more than ${schema.exclusiveMinimum}${unit}.`;
  if (value >= (schema.exclusiveMaximum ?? Infinity)) return `Takes less than ${schema.exclusiveMaximum}${unit}.`;
  if (schema.multipleOf !== undefined) {
    const steps = value / schema.multipleOf;
    if (Math.abs(steps - Math.round(steps)) > 1e-9 * Math.max(1, Math.abs(steps))) {
      return `Takes steps of ${schema.multipleOf}${unit}.`;
    }
  }
  return undefined;
}
