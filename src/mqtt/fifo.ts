// A first-in first-out list whose shift does not move what is behind.

/** Taken slots at the front are given back when there are at least so many, and as many as are left. */
const COMPACT_AT = 32;

export class Fifo<Item> {
  #items: (Item | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  peek(): Item | undefined {
    return this.#items[this.#head];
  }

  shift(): Item | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Takes out, in order, all items that `which` names. */
  extract(which: (item: Item) => boolean): Item[] {
    const taken: Item[] = [];
    const left: Item[] = [];
    for (const item of this) (which(item) ? taken : left).push(item);
    if (taken.length > 0) this.replace(left);
    return taken;
  }

  /** Puts items back in front of all others, in their order. */
  putBack(items: readonly Item[]): void {
    if (items.length > 0) this.replace([...items, ...this]);
  }

  /** Puts these items in place of all. */
  replace(items: Item[]): void {
    this.#items = items;
    this.#head = 0;
  }

  *[Symbol.iterator](): Generator<Item> {
    for (let at = this.#head; at < this.#items.length; at++) yield this.#items[at] as Item;
  }
}
