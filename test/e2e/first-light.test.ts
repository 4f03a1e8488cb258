// The main job on SQLite, as `omp broker` runs when nothing is configured.

import { startBroker } from "../support/omp.ts";
import { firstLight } from "./first-light.ts";

firstLight("SQLite", { broker: (scope) => startBroker(scope), isShared: false });
