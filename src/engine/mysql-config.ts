// What the section `mysql` of the plugin's configuration means to the store, and what is wrong with its SQL templates.

import { addressText } from "../mqtt/address-text.ts";
import { type ConfigProblem, MYSQL_PORT, type PluginConfig } from "../plugin/config.ts";
import { parseServers, type ServerAddress } from "../plugin/server-list.ts";
import type { MySqlStoreOptions } from "../store/mysql/options.ts";
import { parseTemplate, TemplateError, type TemplateName } from "../store/mysql/template.ts";
import { storeTls } from "./store-tls.ts";

/** EMQX's default, which asks for no grouping: the store has a better one. */
const UNGROUPED = 1;

export function mysqlOptions(config: PluginConfig, configPath: string): Omit<MySqlStoreOptions, "logger"> {
  const { mysql, store_timeout } = config;
  const tls = storeTls(config, "mysql", configPath);
  return {
    ...mysqlServer(mysql),
    database: mysql.database,
    username: mysql.username,
    password: mysql.password,
    ...(tls === undefined ? undefined : { tls }),
    poolSize: mysql.pool_size,
    templates: templatesOf(mysql),
    initDefaultSchema: mysql.init_default_schema,
    messageTtl: mysql.message_ttl,
    maxBacklogPerTopic: mysql.max_backlog_per_topic,
    ...(mysql.batch_size === UNGROUPED ? undefined : { batchSize: mysql.batch_size }),
    timeout: store_timeout,
  };
}

/** Where the tables are, for the user. */
export function describeMysql({ mysql }: PluginConfig): string {
  return `MySQL at ${addressText(mysqlServer(mysql))}, database ${mysql.database}`;
}

/** What is wrong with the templates, as far as it can be told without the server. */
export function templateProblems({ mysql }: PluginConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const [name, text] of Object.entries(templatesOf(mysql))) {
    if (name === "select_topics_sql" && text.trim() === "") continue;
    try {
      parseTemplate(name as TemplateName, text);
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      problems.push(problemOf(error));
    }
  }
  return problems;
}

/** What the server says is wrong with them; nothing where it cannot be asked within the store timeout. Never rejects. */
export async function serverTemplateProblems(config: PluginConfig, configPath: string): Promise<ConfigProblem[]> {
  const { refusedTemplates } = await import("../store/mysql/check-templates.ts");
  return (await refusedTemplates(mysqlOptions(config, configPath))).map(problemOf);
}

function problemOf({ template, message }: TemplateError): ConfigProblem {
  return { path: ["mysql", template], message };
}

function mysqlServer({ server }: PluginConfig["mysql"]): ServerAddress {
  const [address] = parseServers(server, MYSQL_PORT) ?? [];
  // Such a text is refused when the configuration is read.
  if (address === undefined) throw new Error(`no server: ${server}`);
  return address;
}

function templatesOf(mysql: PluginConfig["mysql"]): Record<TemplateName, string> {
  const { insert_message_sql, delete_message_sql, select_message_sql, select_topics_sql } = mysql;
  const { insert_subscription_sql, select_subscriptions_sql, delete_subscription_sql } = mysql;
  return {
    insert_message_sql,
    delete_message_sql,
    select_message_sql,
    insert_subscription_sql,
    select_subscriptions_sql,
    delete_subscription_sql,
    select_topics_sql,
  };
}
