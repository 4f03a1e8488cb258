// What a configuration's Avro schema says about a form: which fields there are, and how each is drawn.

import type { AvroField, AvroRecord, AvroType, Json, UiHints } from "../api/plugins.ts";

export type FieldKind = "switch" | "number" | "text" | "password" | "textarea" | "array" | "select" | "record" | "json";

export interface FormField {
  readonly name: string;
  /** Keys from the root of the configuration to this one. */
  readonly path: readonly string[];
  readonly kind: FieldKind;
  /** Keys of the texts, or the texts themselves. */
  readonly label: string;
  readonly description: string;
  /** Of 24 columns. */
  readonly width: number;
  readonly isRequired: boolean;
  /** A number without fractions. */
  readonly isWhole: boolean;
  /** Of a number; absent: the schema has none. */
  readonly min: number | undefined;
  readonly max: number | undefined;
  /** Folded away unless asked for. */
  readonly isAdvanced: boolean;
  readonly options: readonly { readonly label: string; readonly value: string | number }[];
  readonly default: Json | undefined;
  /** Of a record. */
  readonly fields: readonly FormField[];
  /** Of an array: its items are numbers. */
  readonly hasNumbers: boolean;
}

const OF_COMPONENT: Readonly<Record<string, FieldKind>> = {
  switch: "switch",
  input: "text",
  "input-number": "number",
  "input-password": "password",
  "input-textarea": "textarea",
  "input-array": "array",
  select: "select",
};

const OF_TYPE: Readonly<Record<string, FieldKind>> = {
  boolean: "switch",
  int: "number",
  long: "number",
  float: "number",
  double: "number",
  string: "text",
  enum: "select",
  array: "array",
  record: "record",
};

const NUMBERS = new Set(["int", "long", "float", "double"]);

export function fieldsOf(record: AvroRecord, path: readonly string[] = []): FormField[] {
  return record.fields.map((field) => fieldOf(field, [...path, field.name]));
}

function fieldOf(field: AvroField, path: readonly string[]): FormField {
  const type = plainType(field.type);
  const name = typeof type === "string" ? type : type.type;
  const ui: UiHints = field.$ui ?? (typeof type === "string" ? {} : ((type as { $ui?: UiHints }).$ui ?? {}));
  const kind = kindOf(name, ui);
  const symbols = typeof type === "string" ? [] : (type.symbols ?? []);
  const items = typeof type === "string" ? undefined : type.items;
  return {
    name: field.name,
    path,
    kind,
    label: ui.label ?? field.name,
    description: ui.description ?? "",
    width: Math.min(Math.max(ui.flex ?? 24, 1), 24),
    isRequired: ui.required ?? false,
    isWhole: name === "int" || name === "long",
    min: limitOf("min", ui),
    max: limitOf("max", ui),
    isAdvanced: ui.importance === "low",
    options: ui.options ?? symbols.map((value) => ({ label: value, value })),
    default: field.default,
    fields: kind === "record" ? fieldsOf(type as AvroRecord, path) : [],
    hasNumbers: typeof items === "string" && NUMBERS.has(items),
  };
}

/** As EMQX's plugins tell it: a rule of the type "range". */
function limitOf(limit: "min" | "max", { rules = [] }: UiHints): number | undefined {
  return rules.map(({ [limit]: value }) => value).find((value) => typeof value === "number");
}

/** A number is drawn as one, whatever the hint says: EMQX's plugin has `input` for numbers too. */
function kindOf(type: string, { component = "" }: UiHints): FieldKind {
  const byType = OF_TYPE[type] ?? "json";
  if (byType === "record" || byType === "json" || byType === "number" || byType === "switch") return byType;
  if (byType === "array") return "array";
  return OF_COMPONENT[component] ?? byType;
}

/** Of a union with null, the other one. */
function plainType(type: AvroType): Exclude<AvroType, readonly AvroType[]> {
  if (!Array.isArray(type)) return type as Exclude<AvroType, readonly AvroType[]>;
  const other = (type as readonly AvroType[]).find((one) => one !== "null");
  return other === undefined ? "null" : plainType(other);
}

/** All fields that are no records, in the order of the form. */
export function leavesOf(fields: readonly FormField[]): FormField[] {
  return fields.flatMap((field) => (field.kind === "record" ? leavesOf(field.fields) : [field]));
}
