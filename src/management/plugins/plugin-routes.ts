// The plugin endpoints, under EMQX's paths, with its bodies and codes.

import multipart, { type MultipartFile } from "@fastify/multipart";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { NODE_NAME } from "../../broker/sys-topics-values.ts";
import { ApiError } from "../api-error.ts";
import type { AllowedPackages } from "./allowed-packages.ts";
import { MAX_ARCHIVE_BYTES } from "./package-archive.ts";
import { type InstalledPlugin, type PluginManager, problemOf } from "./plugin-manager.ts";
import { checkPluginName } from "./plugin-name.ts";

const PLUGINS = "/api/v5/plugins";
/** Uploads at a time: each is in memory. */
const MAX_UPLOADS = 4;
/** Of a multipart form, besides the package. */
const FORM_OVERHEAD = 64 * 1024;
const BAD_FORM = "form-data should be `plugin=@packagename-vsn.tar.gz;type=application/x-gzip`";

const BAD_CONFIG_FORM = "form-data should be `config=@file.json`";

interface OfPlugin {
  readonly Params: { readonly name: string };
}

interface OfAction {
  readonly Params: { readonly name: string; readonly action: string };
}

/** `isTrusted`: who asks is the broker's owner, on its machine. */
export async function pluginRoutes(
  app: FastifyInstance,
  { plugins, allowed, isTrusted }: { plugins: PluginManager; allowed: AllowedPackages; isTrusted: boolean },
): Promise<void> {
  await app.register(multipart, {
    limits: { files: 1, fields: 4, parts: 5, fileSize: MAX_ARCHIVE_BYTES, fieldSize: 1024, headerPairs: 16 },
  });
  const nameOf = ({ params }: FastifyRequest<OfPlugin>): string => checkPluginName(params.name);

  app.get(PLUGINS, async () =>
    plugins
      .list()
      .filter(({ source }) => source.info.hidden !== true)
      .map(describe),
  );

  app.post(`${PLUGINS}/install`, { bodyLimit: MAX_ARCHIVE_BYTES + FORM_OVERHEAD }, async (request, reply) => {
    // Nothing of a package is read that may not be installed.
    const { fileName, content } = await uploadOf(request, "plugin", BAD_FORM, (name) =>
      plugins.checkInstall(name, isTrusted),
    );
    await plugins.install(fileName, content, isTrusted);
    return reply.code(204).send();
  });

  app.get<OfPlugin>(`${PLUGINS}/:name`, async (request) => {
    const plugin = plugins.get(nameOf(request));
    return { ...describe(plugin), readme: await plugin.source.readme() };
  });

  app.delete<OfPlugin>(`${PLUGINS}/:name`, async (request, reply) => {
    await plugins.uninstall(nameOf(request));
    return reply.code(204).send();
  });

  app.get<OfPlugin>(`${PLUGINS}/:name/schema`, async (request) => plugins.get(nameOf(request)).source.schema());

  app.get<OfPlugin>(`${PLUGINS}/:name/config`, async (request) => plugins.config(nameOf(request)));

  app.put<OfPlugin>(`${PLUGINS}/:name/config`, async (request, reply) => {
    await plugins.configure(nameOf(request), request.body);
    return reply.code(204).send();
  });

  app.get<OfPlugin>(`${PLUGINS}/:name/config/download`, async (request, reply) => {
    const name = nameOf(request);
    const config = await plugins.config(name);
    return reply.header("content-disposition", `attachment; filename="${name}.json"`).send(config);
  });

  app.post<OfPlugin>(`${PLUGINS}/:name/config/upload`, async (request, reply) => {
    const name = nameOf(request);
    const { content } = await uploadOf(request, "config", BAD_CONFIG_FORM);
    await plugins.configure(name, parsedConfig(content));
    return reply.code(204).send();
  });

  app.post<OfPlugin>(`${PLUGINS}/:name/move`, async (request, reply) => {
    const { body } = request as { readonly body?: { readonly position?: unknown } | null };
    await plugins.move(nameOf(request), body?.position);
    return reply.code(204).send();
  });

  app.put<OfAction>(`${PLUGINS}/:name/:action`, async ({ params }, reply) => {
    const name = checkPluginName(params.name);
    if (params.action === "start") await plugins.startPlugin(name);
    else if (params.action === "stop") await plugins.stopPlugin(name);
    else {
      throw new ApiError(
        400,
        "BAD_REQUEST",
        `${JSON.stringify(params.action)} is no action of a plugin: start or stop.`,
      );
    }
    return reply.code(204).send();
  });

  if (!isTrusted) return;
  app.post<OfPlugin>(`${PLUGINS}/:name/allow`, async (request, reply) => {
    allowed.allow(nameOf(request));
    return reply.code(204).send();
  });
  app.post<OfPlugin>(`${PLUGINS}/:name/disallow`, async (request, reply) => {
    allowed.disallow(nameOf(request));
    return reply.code(204).send();
  });
}

/** EMQX's shape. */
export function healthStatus(problem: string | undefined): { readonly status: string; readonly message: string } {
  return { status: problem === undefined ? "ok" : "error", message: problem ?? "" };
}

/** EMQX's shape: what release.json says, and how the plugin is. */
function describe(plugin: InstalledPlugin): Record<string, unknown> {
  const { source, engine } = plugin;
  // What a package says of these is not true.
  const { running_status: _r, health_status: _h, readme: _d, ...info } = source.info;
  const problem = problemOf(plugin);
  const health = healthStatus(problem);
  const isTold = engine !== undefined || problem !== undefined;
  const running = { node: NODE_NAME, status: engine === undefined ? "stopped" : "running" };
  return {
    ...info,
    md5sum: source.md5sum,
    running_status: [isTold ? { ...running, health_status: health } : running],
    ...(isTold ? { health_status: health } : undefined),
  };
}

function parsedConfig(json: Buffer): unknown {
  try {
    return JSON.parse(json.toString("utf8"));
  } catch (error) {
    throw new ApiError(400, "BAD_CONFIG", `The configuration is no JSON: ${(error as Error).message}`);
  }
}

let uploads = 0;

/** The file of a field; `usage` tells how to give it, and `check` throws for a name that is not wanted. Rejects with `ApiError` 400 and 503. */
async function uploadOf(
  request: FastifyRequest,
  field: string,
  usage: string,
  check: (fileName: string) => unknown = () => {},
): Promise<{ fileName: string; content: Buffer }> {
  if (!request.isMultipart()) throw new ApiError(400, "BAD_FORM_DATA", usage);
  if (uploads >= MAX_UPLOADS) {
    throw new ApiError(503, "SERVICE_UNAVAILABLE", `${MAX_UPLOADS} uploads are under way already: try again later.`);
  }
  uploads++;
  let file: MultipartFile | undefined;
  try {
    file = await request.file();
    if (file?.fieldname !== field) throw new ApiError(400, "BAD_FORM_DATA", usage);
    check(file.filename);
    return { fileName: file.filename, content: await file.toBuffer() };
  } catch (error) {
    // What still comes is passed over: the client's connection goes on with its next request.
    file?.file.resume();
    if (error instanceof ApiError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "FST_REQ_FILE_TOO_LARGE") {
      throw new ApiError(400, "BAD_PLUGIN_INFO", `The package has more than ${MAX_ARCHIVE_BYTES} bytes.`);
    }
    throw new ApiError(400, "BAD_FORM_DATA", `${usage} (${message})`, { cause: error });
  } finally {
    uploads--;
  }
}
