// `omp admins`: the users of the HTTP API of a broker that runs, as `emqx ctl admins` has them. Passwords are made, and shown once.

import { askBroker, askJson } from "./control-client.ts";
import { type ControlCommands, runControlCommand } from "./control-commands.ts";
import { table } from "./text-table.ts";

const OPTIONS = {
  role: { value: "ROLE", help: "of a new user: administrator (default) or viewer, who reads" },
  description: { value: "TEXT", help: "who a new user is" },
} as const;

const ABOUT = `omp admins: the users of the HTTP API of the broker that runs on a data directory

Usage: omp admins COMMAND [USERNAME] [OPTION ...]

  list               all users
  add USERNAME       add a user, and show the password that is made, this once
  passwd USERNAME    make another password, and show it this once; lets a user in again who failed too often
  del USERNAME       remove a user
`;

const PATH = "/api/v5/users";

const at = (username: string): string => `${PATH}/${encodeURIComponent(username)}`;

const commands: ControlCommands<typeof OPTIONS>["commands"] = {
  list: {
    run: async (paths) => {
      const users = (await askBroker(paths, { method: "GET", path: PATH })) as readonly User[];
      return table(users.map(({ username, role, description }) => [username, role, description]));
    },
  },
  add: {
    argument: "USERNAME",
    run: async (paths, username, { role, description }) =>
      password(await askJson(paths, { method: "POST", path: PATH, json: { username, role, description } })),
  },
  passwd: {
    argument: "USERNAME",
    run: async (paths, username) =>
      password(await askBroker(paths, { method: "POST", path: `${at(username)}/reset_pwd` })),
  },
  del: {
    argument: "USERNAME",
    run: async (paths, username) => {
      await askBroker(paths, { method: "DELETE", path: at(username) });
      return `${username}: removed\n`;
    },
  },
};

interface User {
  readonly username: string;
  readonly role: string;
  readonly description: string;
}

/** Rejects with `CliError`. */
export function adminsCommand(args: readonly string[]): Promise<void> {
  return runControlCommand({ name: "omp admins", about: ABOUT, options: OPTIONS, commands }, args);
}

function password(answer: unknown): string {
  return `${(answer as { readonly password: string }).password}\n`;
}
