// Whether this Node can run the engine: asked before anything is loaded that an older one does not have.

/** Its major version. */
export const OLDEST_NODE = 24;

/** Why the engine cannot run with this version of Node; undefined: it can. */
export function nodeProblem(version: string): string | undefined {
  const [major = ""] = version.split(".");
  if (Number(major) >= OLDEST_NODE) return undefined;
  return `The engine needs Node ${OLDEST_NODE}, and this is ${version}: name another with engine.node.`;
}
