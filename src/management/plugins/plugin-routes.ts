// The plugin endpoints, under EMQX's paths, with its bodies and codes.

import multipart, { type MultipartFile } from "@fastify/multipart";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { type Static, Type } from "typebox";
import { NODE_NAME } from "../../broker/sys-topics-values.ts";
import { ApiError } from "../api-error.ts";
import { errors, exactly, NoContent } from "../schemas.ts";
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

/** EMQX's shape. */
export const HealthStatus = Type.Object({ status: Type.String(), message: Type.String() });

/** What release.json says, and how the plugin is. */
const Plugin = Type.Object(
  {
    name: Type.String(),
    rel_vsn: Type.String(),
    md5sum: Type.String(),
    running_status: Type.Array(
      Type.Object({ node: Type.String(), status: Type.String(), health_status: Type.Optional(HealthStatus) }),
    ),
    health_status: Type.Optional(HealthStatus),
  },
  { additionalProperties: true },
);

const tags = ["Plugins"];
const OfPlugin = Type.Object({ name: Type.String({ description: "NAME-VERSION" }) });
const Config = Type.Unknown({ description: "The whole configuration, as an object" });
const OfAction = Type.Object({ name: Type.String(), action: Type.String({ description: "start or stop" }) });
const Position = Type.Union([
  Type.Null(),
  exactly({
    position: Type.Optional(Type.Unknown({ description: "front, rear, before:NAME-VERSION or after:NAME-VERSION" })),
  }),
]);
const multipartForm = (field: string) => ({
  consumes: ["multipart/form-data"],
  description: `Form field ${field}: a file`,
});

function ofPlugin<const R, const M extends object = object>(summary: string, response: R, more?: M) {
  return { summary, tags, params: OfPlugin, response: { ...response, ...errors(400) }, ...(more as M) };
}

/** `isTrusted`: who asks is the broker's owner, on its machine. */
export async function pluginRoutes(
  app: FastifyInstance,
  { plugins, allowed, isTrusted }: { plugins: PluginManager; allowed: AllowedPackages; isTrusted: boolean },
): Promise<void> {
  await app.register(multipart, {
    limits: { files: 1, fields: 4, parts: 5, fileSize: MAX_ARCHIVE_BYTES, fieldSize: 1024, headerPairs: 16 },
  });
  const api = app.withTypeProvider<TypeBoxTypeProvider>();
  const nameOf = ({ params }: { readonly params: Static<typeof OfPlugin> }): string => checkPluginName(params.name);
  const done = { 204: NoContent };

  api.get(
    PLUGINS,
    { schema: { summary: "All plugins, in the order of starting", tags, response: { 200: Type.Array(Plugin) } } },
    async () =>
      plugins
        .list()
        .filter(({ source }) => source.info.hidden !== true)
        .map(describe),
  );

  const install = {
    summary: "Install a package",
    tags,
    ...multipartForm("plugin"),
    response: { ...done, ...errors(400, 403, 503) },
  };
  const bodyLimit = MAX_ARCHIVE_BYTES + FORM_OVERHEAD;
  api.post(`${PLUGINS}/install`, { schema: install, bodyLimit }, async (request, reply) => {
    // Nothing of a package is read that may not be installed.
    const { fileName, content } = await uploadOf(request, "plugin", BAD_FORM, (name) =>
      plugins.checkInstall(name, isTrusted),
    );
    await plugins.install(fileName, content, isTrusted);
    return reply.code(204).send();
  });

  api.get(
    `${PLUGINS}/:name`,
    { schema: ofPlugin("A plugin and its README", { 200: Plugin, ...errors(404) }) },
    async (request) => {
      const plugin = plugins.get(nameOf(request));
      return { ...describe(plugin), readme: await plugin.source.readme() };
    },
  );

  api.delete(
    `${PLUGINS}/:name`,
    { schema: ofPlugin("Uninstall a plugin that is stopped", { ...done, ...errors(404) }) },
    async (request, reply) => {
      await plugins.uninstall(nameOf(request));
      return reply.code(204).send();
    },
  );

  api.get(
    `${PLUGINS}/:name/schema`,
    {
      schema: ofPlugin("Schema and texts of a configuration", {
        200: Type.Object({ avsc: Type.Unknown(), i18n: Type.Unknown() }),
        ...errors(404),
      }),
    },
    async (request) => plugins.get(nameOf(request)).source.schema(),
  );

  api.get(
    `${PLUGINS}/:name/config`,
    { schema: ofPlugin("The configuration, secrets masked", { 200: Config, ...errors(404) }) },
    async (request) => plugins.config(nameOf(request)),
  );

  api.put(
    `${PLUGINS}/:name/config`,
    { schema: ofPlugin("Set the whole configuration", { ...done, ...errors(404) }, { body: Config }) },
    async (request, reply) => {
      await plugins.configure(nameOf(request), request.body);
      return reply.code(204).send();
    },
  );

  api.post(
    `${PLUGINS}/:name/config/check`,
    {
      schema: ofPlugin(
        "See whether a configuration could be set, and its database used",
        { ...done, ...errors(404) },
        { body: Config },
      ),
    },
    async (request, reply) => {
      await plugins.checkNewConfig(nameOf(request), request.body);
      return reply.code(204).send();
    },
  );

  api.get(
    `${PLUGINS}/:name/config/download`,
    { schema: ofPlugin("The configuration as a file", { 200: Config, ...errors(404) }) },
    async (request, reply) => {
      const name = nameOf(request);
      const config = await plugins.config(name);
      return reply.header("content-disposition", `attachment; filename="${name}.json"`).send(config);
    },
  );

  api.post(
    `${PLUGINS}/:name/config/upload`,
    {
      schema: ofPlugin("Set the whole configuration from a file", { ...done, ...errors(404) }, multipartForm("config")),
    },
    async (request, reply) => {
      const name = nameOf(request);
      const { content } = await uploadOf(request, "config", BAD_CONFIG_FORM);
      await plugins.configure(name, parsedConfig(content));
      return reply.code(204).send();
    },
  );

  api.post(
    `${PLUGINS}/:name/move`,
    { schema: ofPlugin("Change the order of starting", { ...done, ...errors(404) }, { body: Position }) },
    async (request, reply) => {
      await plugins.move(nameOf(request), request.body?.position);
      return reply.code(204).send();
    },
  );

  const action = {
    summary: "Start or stop a plugin",
    tags,
    params: OfAction,
    response: { ...done, ...errors(400, 404, 500) },
  };
  api.put(`${PLUGINS}/:name/:action`, { schema: action }, async ({ params }, reply) => {
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
  api.post(
    `${PLUGINS}/:name/allow`,
    { schema: ofPlugin("Allow a package to be installed", done) },
    async (request, reply) => {
      allowed.allow(nameOf(request));
      return reply.code(204).send();
    },
  );
  api.post(`${PLUGINS}/:name/disallow`, { schema: ofPlugin("Take that back", done) }, async (request, reply) => {
    allowed.disallow(nameOf(request));
    return reply.code(204).send();
  });
}

/** EMQX's shape. */
export function healthStatus(problem: string | undefined): { readonly status: string; readonly message: string } {
  return { status: problem === undefined ? "ok" : "error", message: problem ?? "" };
}

/** EMQX's shape: what release.json says, and how the plugin is. */
function describe(plugin: InstalledPlugin): Static<typeof Plugin> {
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
