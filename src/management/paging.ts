// Pages of a list, as EMQX's API asks for them and answers.

import { type TSchema, Type } from "typebox";
import type { Page, PageRequest } from "../broker/paged-walk.ts";

const DEFAULT_LIMIT = 100;
/** What is described and written in one turn of the event loop. */
const MAX_LIMIT = 1000;

/** Of a query string. */
export const PAGE_FIELDS = {
  page: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER / MAX_LIMIT, default: 1 })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT })),
};

export function pageRequest({ page = 1, limit = DEFAULT_LIMIT }: Partial<PageRequest>): PageRequest {
  return { page, limit };
}

/** The answer's schema. */
export function pageOfItems<Item extends TSchema>(item: Item) {
  const meta = Type.Object({
    page: Type.Integer(),
    limit: Type.Integer(),
    count: Type.Integer(),
    hasnext: Type.Boolean(),
  });
  return Type.Object({ data: Type.Array(item), meta });
}

export function pageAnswer<Item, Told>(
  { items, count, hasNext }: Page<Item>,
  request: PageRequest,
  tell: (item: Item) => Told,
) {
  return { data: items.map(tell), meta: { ...request, count, hasnext: hasNext } };
}
