// What the parser makes of a text: values that know where their keys stand.

import type { TextPosition } from "./hocon-error.ts";

export type HoconNode = HoconObject | HoconArray | HoconScalar;

export interface HoconField {
  /** Offset of the key (of the last one, if it is set more than once). */
  readonly keyOffset: number;
  readonly value: HoconNode;
}

export interface HoconObject {
  readonly kind: "object";
  readonly offset: number;
  readonly fields: Map<string, HoconField>;
}

export interface HoconArray {
  readonly kind: "array";
  readonly offset: number;
  readonly items: readonly HoconNode[];
}

export interface HoconScalar {
  readonly kind: "scalar";
  readonly offset: number;
  readonly value: string | number | boolean | null;
}

/** A parsed file. */
export class HoconDocument {
  /** The content as plain objects, arrays, strings, numbers, booleans and null. */
  readonly value: Record<string, unknown>;
  readonly #root: HoconObject;
  readonly #positionOf: (offset: number) => TextPosition;

  constructor(root: HoconObject, positionOf: (offset: number) => TextPosition) {
    this.#root = root;
    this.#positionOf = positionOf;
    this.value = toPlainObject(root);
  }

  /**
   * Where the last key of the path stands; an array's item is named by its index. Of a path that is not in the file, the
   * longest beginning that is; undefined when not even the first key is.
   */
  positionOf(path: readonly string[]): TextPosition | undefined {
    let node: HoconNode = this.#root;
    let offset: number | undefined;
    for (const key of path) {
      if (node.kind === "object") {
        const field: HoconField | undefined = node.fields.get(key);
        if (field === undefined) break;
        offset = field.keyOffset;
        node = field.value;
      } else if (node.kind === "array") {
        const item: HoconNode | undefined = node.items[Number(key)];
        if (item === undefined) break;
        offset = item.offset;
        node = item;
      } else break;
    }
    return offset === undefined ? undefined : this.#positionOf(offset);
  }
}

/** Sets a value at a path of keys: objects merge, everything else is replaced by what comes later. */
export function setField(target: HoconObject, path: readonly string[], keyOffset: number, value: HoconNode): void {
  const [key = "", ...rest] = path;
  const existing = target.fields.get(key)?.value;
  const existingObject = existing?.kind === "object" ? existing : undefined;
  if (rest.length > 0) {
    const inner: HoconObject = existingObject ?? { kind: "object", offset: keyOffset, fields: new Map() };
    setField(inner, rest, keyOffset, value);
    target.fields.set(key, { keyOffset, value: inner });
  } else if (existingObject !== undefined && value.kind === "object") {
    for (const [name, field] of value.fields) setField(existingObject, [name], field.keyOffset, field.value);
    target.fields.set(key, { keyOffset, value: existingObject });
  } else {
    target.fields.set(key, { keyOffset, value });
  }
}

function toPlain(node: HoconNode): unknown {
  if (node.kind === "object") return toPlainObject(node);
  if (node.kind === "array") return node.items.map(toPlain);
  return node.value;
}

/** `Object.fromEntries` makes own properties of every name, `__proto__` included. */
function toPlainObject(node: HoconObject): Record<string, unknown> {
  return Object.fromEntries([...node.fields].map(([key, field]) => [key, toPlain(field.value)]));
}
