// The tables that EMQX's offline message plugin 2.0.0 asks an administrator to create, letter by letter from its README.

export const ORIGINAL_SCHEMA = `
CREATE TABLE IF NOT EXISTS \`mqtt_msg\` (
  \`id\` bigint unsigned NOT NULL AUTO_INCREMENT,
  \`msgid\` varchar(64) DEFAULT NULL,
  \`topic\` varchar(180) NOT NULL,
  \`sender\` varchar(64) DEFAULT NULL,
  \`qos\` tinyint(1) NOT NULL DEFAULT '0',
  \`retain\` tinyint(1) DEFAULT NULL,
  \`payload\` blob,
  \`arrived\` datetime NOT NULL,
  PRIMARY KEY (\`id\`),
  INDEX topic_index(\`topic\`)
)
ENGINE=InnoDB DEFAULT CHARSET=utf8MB4;

CREATE TABLE IF NOT EXISTS \`mqtt_sub\` (
  \`clientid\` varchar(64) NOT NULL,
  \`topic\` varchar(180) NOT NULL,
  \`qos\` tinyint(1) NOT NULL DEFAULT '0',
  PRIMARY KEY (\`clientid\`, \`topic\`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8MB4;
`;
