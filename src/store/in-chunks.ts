// Cuts a long list into calls that each take their share of a batch.

/** Items in one call; a longer list goes out as several. */
const CHUNK = 256;

/** Makes the calls at once, settles when all have, and rejects with the first error in their order. */
export async function inChunks<Item>(
  items: readonly Item[],
  call: (chunk: readonly Item[]) => Promise<unknown>,
): Promise<void> {
  const calls: Promise<unknown>[] = [];
  for (let start = 0; start < items.length; start += CHUNK) calls.push(call(items.slice(start, start + CHUNK)));
  const outcomes = await Promise.allSettled(calls);
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  if (failure !== undefined) throw failure.reason;
}
