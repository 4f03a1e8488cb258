// What EMQX starts: the engine beside it, with the engine module of the same package.

import { runSpawnedEngine } from "../../src/emqx/spawned-engine.ts";
import { version } from "../../src/mqtt/version.ts";
import { ENGINE_FILE, type EngineModule } from "../../src/plugin/engine-module.ts";

const module: EngineModule = await import(new URL(ENGINE_FILE, import.meta.url).href);
await runSpawnedEngine({ module, engineVersion: version() });
