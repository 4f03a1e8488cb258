// Asks the server what it says of the templates, with a connection of its own, before a store is started.

import { MySqlConnection } from "./connection.ts";
import { columnsOf, isRead, letServerRead } from "./layout.ts";
import type { MySqlConnectionOptions, MySqlStoreOptions } from "./options.ts";
import { type Template, TemplateError } from "./template.ts";
import { allTemplates, readTemplates } from "./templates.ts";

type Options = MySqlConnectionOptions & Pick<MySqlStoreOptions, "templates">;

/**
 * Those that the server refuses, each with its message. None where it cannot be reached or has not answered within the store
 * timeout, where a table of EMQX's plugin is missing or one may not be read: the health tells that later. Throws `TemplateError` as the store
 * does for a template that needs no server to be refused.
 */
export async function refusedTemplates(options: Options): Promise<TemplateError[]> {
  const templates = readTemplates(options.templates);
  const connection = new MySqlConnection(options);
  const tooLate = Promise.withResolvers<void>();
  const timer = setTimeout(tooLate.resolve, options.timeout);
  const refused: TemplateError[] = [];
  try {
    const look = async (): Promise<void> => {
      await connection.attempted;
      if (!connection.isReady) return;
      for (const template of allTemplates(templates)) {
        const error = await refusal(connection, template);
        if (error !== undefined) refused.push(error);
      }
    };
    await Promise.race([look(), tooLate.promise]);
    return [...refused];
  } finally {
    clearTimeout(timer);
    connection.close();
  }
}

async function refusal(connection: MySqlConnection, template: Template): Promise<TemplateError | undefined> {
  try {
    await letServerRead(connection, template);
    if (isRead(template)) await columnsOf(connection, template);
    return undefined;
  } catch (error) {
    return error instanceof TemplateError ? error : undefined;
  }
}
