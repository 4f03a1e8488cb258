// Takes one page out of many things, so that others have their turn meanwhile.

/** Things looked at in one turn of the event loop. */
const STEPS_PER_TURN = 1000;

export interface PageRequest {
  /** Counted from 1. */
  readonly page: number;
  /** How many things a page has. */
  readonly limit: number;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** How many there are on all pages. */
  readonly count: number;
  readonly hasNext: boolean;
}

/**
 * What matches, in the order of `all`, which may change during the walk. `next` settles when it may go on. `count`: how many there are, where all of them
 * match; then the walk ends with the page.
 */
export async function pageOf<Item>(
  all: Iterable<Item>,
  { page, limit }: PageRequest,
  next: () => Promise<void>,
  matches: (item: Item) => boolean,
  count?: number,
): Promise<Page<Item>> {
  const items: Item[] = [];
  const skipped = (page - 1) * limit;
  let found = 0;
  let steps = 0;
  for (const item of all) {
    steps += 1;
    if (steps % STEPS_PER_TURN === 0) await next();
    if (!matches(item)) continue;
    found += 1;
    if (found > skipped && items.length < limit) items.push(item);
    else if (found > skipped && count !== undefined) break;
  }
  return { items, count: count ?? found, hasNext: found > skipped + items.length };
}
