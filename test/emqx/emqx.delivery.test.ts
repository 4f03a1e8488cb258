// Who gets a stored message, through the link: the cases of every host on a scripted node and SQLite.

import { deliveryCases } from "../plugin/delivery-cases.ts";
import { startLinkedPlugin } from "./linked-plugin.ts";

deliveryCases(startLinkedPlugin);
