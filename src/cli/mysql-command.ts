// `omp mysql migrate`: brings the tables of an old database up, and shows first what it will do.

import { describeMysql, mysqlOptions, templateProblems } from "../engine/mysql-config.ts";
import { type PluginConfig, parsePluginConfig } from "../plugin/config.ts";
import { type MigratedTableName, MigrationError, type MigrationStep } from "../store/mysql/migrate.ts";
import { Migration } from "../store/mysql/migration.ts";
import { readTemplates } from "../store/mysql/templates.ts";
import { StartError, UsageError } from "./cli-error.ts";
import { type ConfigFile, problemsError, readConfigFile } from "./config-file.ts";
import { dataPaths } from "./data-directory.ts";
import { describeOptions, type GivenOptions, parseOptions } from "./options.ts";

const MESSAGES = "mqtt_msg";
const SUBSCRIPTIONS = "mqtt_sub";

const MIGRATE_OPTIONS = {
  "plugin-config": { value: "FILE", help: "the plugin's configuration, which says where the tables are" },
  "data-dir": { value: "DIR", help: "the broker's data directory, in which that file is (default ./data)" },
  "dry-run": { help: "only show what would be done" },
  help: { short: "h", help: "show this help" },
} as const;

type MigrateArguments = GivenOptions<typeof MIGRATE_OPTIONS>;

const HELP = `omp mysql: look after the tables in MySQL and MariaDB

Usage: omp mysql migrate [OPTION ...]

  migrate      bring the tables mqtt_msg and mqtt_sub of EMQX's plugin up to what init_default_schema makes

${describeOptions(MIGRATE_OPTIONS)}
Every row and id stays, EMQX's plugin can still use the tables, and a second run finds nothing to do. While a table is
changed nothing can be written to it. docs/mysql.md tells more.

Exit codes: 0 done or nothing to do, 1 the server does not allow it, 2 wrong option or configuration.
`;

/** Rejects with `CliError`. */
export async function mysqlCommand([command, ...args]: readonly string[]): Promise<void> {
  if (command === undefined || command === "help" || command === "-h" || command === "--help") {
    process.stdout.write(HELP);
    return;
  }
  if (command !== "migrate") {
    const what = command.startsWith("-") ? "option" : "command";
    throw new UsageError(`unknown ${what} ${command} (omp mysql --help lists all)`);
  }
  const given = parseOptions("omp mysql migrate", MIGRATE_OPTIONS, args);
  if (given.help) process.stdout.write(HELP);
  else await migrate(given);
}

async function migrate(given: MigrateArguments): Promise<void> {
  const file = configFile(given);
  const config = readConfig(file);
  const { tables, remarks } = tablesToMigrate(config, file);
  const write = (line: string) => process.stdout.write(`${line}\n`);
  try {
    const migration = await Migration.open(mysqlOptions(config, file.path));
    try {
      write(`${describeMysql(config)}:`);
      for (const remark of remarks) write(`\n${remark}`);
      const steps: MigrationStep[] = [];
      for (const table of tables) {
        const step = await migration.plan(table);
        write("");
        for (const line of describeStep(table, step)) write(line);
        if (step?.statement !== undefined) steps.push(step);
      }
      if (steps.length === 0) return;
      write("");
      if (given["dry-run"]) {
        write("Nothing was changed, since this was a dry run.");
        return;
      }
      for (const step of steps) await run(migration, step, write);
      write("A broker that runs makes use of this when it connects again: start it anew.");
    } finally {
      migration.close();
    }
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error;
    throw new StartError(error.message, { cause: error });
  }
}

async function run(migration: Migration, step: MigrationStep, write: (line: string) => void): Promise<void> {
  write(`Changing ${step.table} …`);
  const begun = performance.now();
  await migration.run(step);
  write(`${step.table} is done, after ${((performance.now() - begun) / 1_000).toFixed(1)} s.`);
}

function configFile(given: MigrateArguments): ConfigFile {
  const { "plugin-config": path, "data-dir": directory = "data" } = given;
  if (path !== undefined && given["data-dir"] !== undefined) {
    throw new UsageError("--plugin-config and --data-dir exclude each other: leave one out");
  }
  return readConfigFile(path ?? dataPaths(directory).pluginConfig);
}

/** The section need not be enabled: the tables may be brought up before the broker uses them. */
function readConfig(file: ConfigFile): PluginConfig {
  const result = parsePluginConfig(file.document.value);
  if ("problems" in result) throw problemsError(file, result.problems);
  if (!Object.hasOwn(file.document.value, "mysql")) {
    const message = "there is no section mysql, so it is not known where the tables are: add it, or name another file";
    throw problemsError(file, [{ path: [], message }]);
  }
  const problems = templateProblems(result.config);
  if (problems.length > 0) throw problemsError(file, problems);
  return result.config;
}

/** Those of the two that the templates write to, and what to say of the others. Throws `ConfigFileError` when there are none. */
function tablesToMigrate(
  config: PluginConfig,
  file: ConfigFile,
): { tables: readonly MigratedTableName[]; remarks: readonly string[] } {
  const { messages, subscriptions } = readTemplates(mysqlOptions(config, file.path).templates);
  const used = [
    { key: "insert_message_sql", table: messages?.table, wanted: MESSAGES },
    { key: "insert_subscription_sql", table: subscriptions?.table, wanted: SUBSCRIPTIONS },
  ] as const;
  const isKnown = ({ table, wanted }: (typeof used)[number]): boolean =>
    [wanted, `${config.mysql.database}.${wanted}`].includes(bare(table));
  const problems = used
    .filter((one) => !isKnown(one))
    .map(({ key, table }) => ({
      path: ["mysql", key],
      message: `mysql.${key} writes to ${table ?? "a table that it does not name"}, and this command only knows ${MESSAGES} and ${SUBSCRIPTIONS}: change that table yourself`,
    }));
  if (problems.length === used.length) throw problemsError(file, problems);
  return {
    tables: used.filter(isKnown).map(({ wanted }) => wanted),
    remarks: problems.map(({ message }) => `${message}.`),
  };
}

function bare(table = ""): string {
  return table.replace(/[`"]/g, "");
}

function describeStep(table: MigratedTableName, step: MigrationStep | undefined): string[] {
  if (step === undefined) {
    return [`${table} is not there, or may not be seen: mysql.init_default_schema = true creates it.`];
  }
  if (step.statement === undefined) return [`${table} is up to date: there is nothing to do.`];
  return [
    `${table}, about ${step.rows} rows, so that`,
    ...step.reasons.map((reason) => `  - ${reason}`),
    "",
    ...`${step.statement};`.split("\n").map((line) => `  ${line}`),
  ];
}
