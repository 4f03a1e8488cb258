// What a release package says of itself: release.json, with EMQX's keys (emqx_plugrel 0.5.1).

export const PLUGIN_NAME = "emqx_offline_message_plugin";

export interface ReleaseInfo {
  readonly hidden: boolean;
  readonly name: string;
  readonly description: string;
  readonly authors: string;
  readonly builder: { readonly name: string; readonly contact: string; readonly website: string };
  readonly repo: string;
  readonly functionality: string;
  readonly compatibility: Readonly<Record<string, string>>;
  readonly git_ref: string;
  readonly git_commit_or_build_date: string;
  /** The Node release, where EMQX has that of OTP. */
  readonly built_on_otp_release: string;
  readonly emqx_plugrel_vsn: string;
  readonly metadata_vsn: string;
  /** Main application first, each `<app>-<vsn>`. */
  readonly rel_apps: readonly [string, ...string[]];
  readonly rel_vsn: string;
  readonly with_config_schema: boolean;
}

/** The commit that a release is built from. */
export interface Commit {
  readonly ref: string;
  /** `2026-01-31` */
  readonly date: string;
}

/** Of this plugin; `node` is the release of Node that it is built for, such as `24`. */
export function releaseInfo(version: string, node: string, { ref, date }: Commit): ReleaseInfo {
  return {
    hidden: false,
    name: PLUGIN_NAME,
    description: "Offline messages for MQTT: what is published while a device is away waits for it.",
    authors: "MQTT offline messages",
    builder: { name: "MQTT offline messages", contact: "", website: "" },
    repo: "",
    functionality: "Offline message persistence",
    compatibility: { emqx: "~> 5.8 or ~> 6.0", omp: `~> ${version.split(".").slice(0, 2).join(".")}` },
    git_ref: ref,
    git_commit_or_build_date: date,
    built_on_otp_release: `node ${node}`,
    emqx_plugrel_vsn: "0.5.1",
    metadata_vsn: "0.2.0",
    rel_apps: [`${PLUGIN_NAME}-${version}`],
    rel_vsn: version,
    with_config_schema: true,
  };
}
